// The demo as a child of the test, on free ports, and what its /metrics says.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const STARTS_WITHIN_MS = 30_000;

/** Starts `mcp-vitals demo ARGS`; gives back its console's address and how to stop it. */
export async function startDemo(...args) {
  const binary = process.env.CONSOLE_BINARY;
  const child = spawn(binary, ['demo', '--mcp', '0', '--metrics', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const waiting = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      said += text;
      for (const look of waiting) look();
    });
  }
  const ended = once(child, 'exit');
  ended.then(() => waiting.forEach((look) => look()));

  /** The match of what the demo says by and by. */
  function says(pattern) {
    return new Promise((found, failed) => {
      const timer = setTimeout(
        () => done(failed, new Error(`the demo never said ${pattern}:\n${said}`)),
        STARTS_WITHIN_MS,
      );
      const done = (call, value) => {
        clearTimeout(timer);
        waiting.delete(look);
        call(value);
      };
      const look = () => {
        const match = said.match(pattern);
        if (match) done(found, match);
        else if (child.exitCode !== null)
          done(failed, new Error(`the demo ended with ${child.exitCode}:\n${said}`));
      };
      waiting.add(look);
      look();
    });
  }

  const [, url] = await says(/console: (http:\S+\/console\/)/);
  return {
    url,
    says,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The samples of /metrics: name, labels, value. A reader of its own, dull on purpose. */
export async function samples(consoleUrl) {
  const text = await (await fetch(new URL('../metrics', consoleUrl))).text();
  return text
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => {
      const end = line.lastIndexOf(' ');
      return { ...selector(line.slice(0, end)), value: Number(line.slice(end + 1)) };
    });
}

/** name{label="value",…} read character by character. */
export function selector(text) {
  const open = text.indexOf('{');
  if (open < 0) return { name: text, labels: {} };
  const labels = {};
  let at = open + 1;
  while (text[at] !== '}') {
    const equals = text.indexOf('=', at);
    const label = text.slice(at, equals);
    let value = '';
    for (at = equals + 2; text[at] !== '"'; at++) {
      if (text[at] === '\\') {
        at++;
        value += text[at] === 'n' ? '\n' : text[at];
      } else {
        value += text[at];
      }
    }
    labels[label] = value;
    at++;
    if (text[at] === ',') at++;
  }
  return { name: text.slice(0, open), labels };
}

/** The sum of the samples that a selector matches; null where there is none. */
export function sum(all, text) {
  const wanted = selector(text);
  const matching = all.filter(
    ({ name, labels }) =>
      name === wanted.name &&
      Object.entries(wanted.labels).every(([label, value]) => labels[label] === value),
  );
  return matching.length ? matching.reduce((total, { value }) => total + value, 0) : null;
}
