// A log line as a row that opens to its fields. The row is a <details>, so Enter and Space open it,
// and a screen reader knows what it is.

import { h, put, traceLink } from './dom.js';
import { clockMs, digits, ms } from './format.js';
import { ask } from './live.js';
import { link } from './router.js';

// Fields that have a place of their own in the row, or that say where in the code: only inside.
const APART = new Set([
  'timestamp',
  'level',
  'logger',
  'message',
  'module',
  'function',
  'file',
  'line',
  'thread',
  'trace_id',
  'span_id',
  'request_id',
  'session_id',
  'mcp_event',
  'task_event',
  'agent_event',
]);

export const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

function short(name, value) {
  if (name === 'duration_seconds' && typeof value === 'number') return ms(value * 1000);
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : digits(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function fields(line) {
  return (
    Object.entries(line)
      // Every call of a tool has this operation: it says nothing.
      .filter(([name, value]) => !APART.has(name) && !(name === 'operation' && value === 'execute'))
      .flatMap(([name, value]) => [
        h(
          'span',
          { class: 'field' },
          h('span', { class: 'field-name' }, `${name === 'duration_seconds' ? 'took' : name}=`),
          short(name, value),
        ),
        ' ',
      ])
  );
}

function details(line) {
  return h(
    'dl',
    { class: 'line-fields' },
    Object.entries(line).flatMap(([name, value]) => {
      const text =
        typeof value === 'object' && value !== null ? JSON.stringify(value, null, 2) : String(value);
      let shown = h('span', null, text);
      if (name === 'trace_id')
        shown = h(
          'span',
          null,
          traceLink(text, text),
          ' ',
          h('a', { href: link('logs', '', { trace: text }), class: 'aside' }, 'only its lines'),
        );
      if (name === 'logger')
        shown = h(
          'span',
          null,
          text,
          ' ',
          h('a', { href: link('logs', '', { logger: text }), class: 'aside' }, 'only this logger'),
        );
      return [h('dt', null, name), h('dd', null, shown)];
    }),
  );
}

/** One line of ours, already parsed. */
export function logLine(line) {
  const level = String(line.level ?? 'info').toLowerCase();
  const at = Date.parse(line.timestamp);
  const trace = typeof line.trace_id === 'string' ? line.trace_id : null;
  const row = h(
    'details',
    null,
    h(
      'summary',
      null,
      h('span', { class: 'line-time' }, Number.isNaN(at) ? '–' : clockMs(at)),
      h('span', { class: 'line-level' }, level),
      h('span', { class: 'line-logger' }, line.logger ?? ''),
      h(
        'span',
        { class: 'line-text' },
        h('span', { class: 'line-message' }, String(line.message ?? '')),
        ' ',
        fields(line),
      ),
    ),
  );
  // Built when it is opened: most lines never are.
  row.addEventListener('toggle', () => row.open && row.childElementCount === 1 && row.append(details(line)));
  // The link stands over the row's end and not in it: a control in a control confuses screen readers.
  return h(
    'div',
    { class: 'line', 'data-level': LEVELS.includes(level) ? level : 'info' },
    row,
    trace ? traceLink(trace) : null,
  );
}

const RECENT = 12;
const RENEW_MS = 4000;

/** The newest lines that contain a text. `renew()` may be called each second, and asks now and then. */
export function recentLines(text) {
  const element = h('div', { class: 'trace-lines' }, h('p', { class: 'loading inset' }, 'Loading…'));
  const asked = new AbortController();
  let at = 0;
  return {
    element,
    async renew() {
      // What is read or opened stays.
      if (Date.now() - at < RENEW_MS || element.matches(':hover, :focus-within, :has(details[open])')) return;
      at = Date.now();
      try {
        const search = new URLSearchParams({ text, limit: RECENT });
        const { lines, on } = await ask(`api/logs?${search}`, asked.signal);
        const none = h('p', { class: 'dim inset' }, on ? 'None of its lines is in memory.' : 'Logs are off.');
        element.replaceChildren(...(lines.length ? lines.map((one) => logLine(one.line)) : [none]));
      } catch (error) {
        if (error.name !== 'AbortError') put(element, error.message);
      }
    },
    close: () => asked.abort(),
  };
}
