// Where things are: the node folder that scripts/install-parts.sh makes, the browser, the program.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..', '..');
const parts = join(process.env.MCP_VITALS_PARTS ?? join(root, 'target', 'parts'), 'console');
const load = createRequire(join(parts, 'package.json'));

/** A command of PATH. */
function command(name) {
  const places = process.env.PATH.split(delimiter).map((folder) => join(folder, name));
  return places.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export const chromiumPath = command('chromium') ?? command('chromium-browser') ?? command('google-chrome');

/** What is not installed. */
export function missing() {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  const there = (name) => existsSync(join(parts, 'node_modules', name, 'package.json'));
  const version = (name) =>
    JSON.parse(readFileSync(join(parts, 'node_modules', name, 'package.json'), 'utf8')).version;
  return [
    ...Object.entries(dependencies)
      .filter(([name, wanted]) => !there(name) || version(name) !== wanted)
      .map(([name, wanted]) => `npm package ${name}@${wanted} in ${parts}`),
    ...(chromiumPath ? [] : ['apt package chromium']),
  ];
}

export const chromium = () => load('playwright-core').chromium;
export const axeSource = () => load('axe-core').source;

// node tests/console/parts.mjs: names what is missing, a line each.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const what of missing()) console.log(what);
}
