// The dashboards, proved by Grafana's own code:
//
//   node tests/grafana/run.mjs BINARY [--pictures FOLDER]
//
// Each is a constant of Grafana's types; then the demo runs under its load, a Prometheus scrapes it, and
// each board is drawn from it by @grafana/ui in a browser, looked at, and kept as a picture if asked to.
// At last faults are planted, which have to be seen. scripts/install-parts.sh installs what it needs;
// what is not there is SKIPPED, with exit 0, unless CI=true: then it is a failure.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { boardProblems, deafProblems } from './checks.mjs';
import { Host, chromium } from './host.mjs';
import { BOARDS, load, missing } from './parts.mjs';
import { FAULTS } from './faults.mjs';
import { SCRAPE, Servers } from './servers.mjs';
import { OLDER, olderProblems, pageProblems, readBoards, typeProblems } from './types.mjs';

/** So many seconds of the demo are drawn. */
const SECONDS = 76;

const [binary, option, pictures] = process.argv.slice(2);
if (!binary || (option && (option !== '--pictures' || !pictures))) {
  console.error('usage: node tests/grafana/run.mjs BINARY [--pictures FOLDER]');
  process.exit(2);
}

const lacking = missing();
if (!chromium()) lacking.push('chromium');
try {
  execFileSync('sh', ['-c', 'command -v prometheus']);
} catch {
  lacking.push('prometheus');
}
if (lacking.length) {
  const strict = process.env.CI === 'true';
  console.log(`${strict ? 'FAILED' : 'SKIPPED'}: dashboards: ${lacking.join(', ')} missing; scripts/install-parts.sh installs it`);
  process.exit(strict ? 1 : 0);
}

let [passed, failed] = [0, 0];
function report(name, problems) {
  problems.length ? failed++ : passed++;
  console.log(problems.length ? `FAILED: ${name}` : `ok: ${name}`);
  for (const line of problems.slice(0, 20)) console.log(`    ${line}`);
}

const folder = mkdtempSync(join(tmpdir(), 'mcp-vitals-grafana-'));
const servers = new Servers(folder);
let host;
async function end(code) {
  await host?.stop();
  await servers.stop();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}
process.on('SIGINT', () => end(130));
process.on('SIGTERM', () => end(143));

async function main() {
  const boards = readBoards();
  const prometheus = await servers.prometheus(await servers.demo(resolve(binary)));
  // While the data come together.
  report("the boards are of Grafana's types", typeProblems(boards));
  for (const release of OLDER) report(`and of those of Grafana ${release}`, olderProblems(boards, release));
  report("the page that draws them is of Grafana's types", pageProblems());
  host = await Host.start(boards);
  const to = await servers.scraped(prometheus, SECONDS / SCRAPE);
  const draw = async (name) => {
    const opened = await host.open(name, prometheus, Math.floor(to) - SECONDS + SCRAPE, Math.floor(to));
    const problems = await boardProblems(name, boards[name], opened);
    return { ...opened, problems };
  };

  for (const name of BOARDS) {
    const { page, problems } = await draw(name);
    const panels = boards[name].panels.filter(({ type }) => type !== 'row');
    const plain = panels.filter(({ type }) => type === 'heatmap').length;
    report(`${name}: ${panels.length - plain} panels drawn with their data, ${plain} with data only`, problems);
    if (pictures) keep(name, await page.screenshot());
    await page.close();
    report(`${name}: every query follows every variable`, await deafProblems(name, boards[name], prometheus));
  }

  boards.planted = structuredClone(boards.overview);
  for (const { plant } of FAULTS) plant(boards.planted);
  const { problems } = await draw('planted');
  problems.push(...typeProblems({ planted: boards.planted }));
  for (const release of OLDER) {
    const [first] = olderProblems({ planted: boards.planted }, release);
    problems.push(`Grafana ${release}: ${first}`);
  }
  problems.push(...(await deafProblems('planted', boards.planted, prometheus)));
  for (const { name, says } of FAULTS) {
    const seen = problems.some((problem) => says.test(problem));
    report(`a planted fault is seen: ${name}`, seen ? [] : ['it is not; what is:', ...problems]);
  }
}

/** With as few colours as a picture of lines needs: a fifth of the bytes. */
function keep(name, png) {
  const upng = load('upng-js');
  const image = upng.decode(png.buffer.slice(png.byteOffset, png.byteOffset + png.length));
  const small = Buffer.from(upng.encode(upng.toRGBA8(image), image.width, image.height, 128));
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(pictures, `grafana-${name}.png`), small);
  report(`${name}: the picture has ${small.length} bytes`, small.length < 300_000 ? [] : ['more than 300,000']);
}

await main().catch((error) => report('the run', [`${error?.stack ?? error}`]));
console.log(`${passed} passed, ${failed} failed`);
await end(failed ? 1 : 0);
