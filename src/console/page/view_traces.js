// Traces: recent ones, the newest first. The list renews itself until it is held still, or the
// pointer is over it.

import { bar, h, put, attr, show, empty, code } from './dom.js';
import { clockMs, count, ms, plural } from './format.js';
import { ask, connection } from './live.js';
import { table } from './table.js';
import { link, replace } from './router.js';
import * as trace from './view_trace.js';

const EVERY_MS = 2000;
const LIMIT = 100;
const TYPING_MS = 250;

export function open(shell, arg, query) {
  if (arg) return trace.open(shell, arg);
  let following = true;
  let asked = null;
  let timer = null;
  let typing = null;
  let longest = 1;

  const name = h('input', {
    type: 'search',
    placeholder: 'name',
    'aria-label': 'Name that the trace contains',
    on: { input: typed },
  });
  const least = h('input', {
    type: 'number',
    min: '0',
    step: 'any',
    placeholder: 'at least ms',
    'aria-label': 'Least duration in milliseconds',
    on: { input: typed },
  });
  const errors = h('input', { type: 'checkbox', on: { change: filtered } });
  const follow = h('button', { type: 'button', class: 'follow', on: { click: toggle } });
  const status = h('span', { class: 'dim', role: 'status' }, 'loading…');
  const bars = new WeakMap();
  const nothing = h('div', { hidden: true });
  const list = table({
    caption: 'Recent traces',
    name: 'traces-table',
    rowKey: (row) => row.trace_id,
    sort: { key: 'start_unix_ms', down: true },
    empty: nothing,
    columns: [
      { key: 'name', label: 'Trace', cell: nameCell, value: (row) => row.root.name },
      { key: 'start_unix_ms', label: 'Start', num: true, text: (row) => clockMs(row.start_unix_ms) },
      { key: 'duration_ms', label: 'Duration', num: true, cell: durationCell },
      { key: 'spans', label: 'Spans', num: true, text: (row) => count(row.spans) },
      {
        key: 'errors',
        label: 'Errors',
        num: true,
        cell: (cell, row) => (
          put(cell, row.errors ? count(row.errors) : '–'),
          cell.classList.toggle('bad', row.errors > 0)
        ),
      },
      {
        key: 'service',
        label: 'Service',
        value: (row) => row.root.service,
        text: (row) => row.root.service ?? '–',
      },
      {
        key: 'trace_id',
        label: 'Id',
        cell: (cell, row) => (put(cell, row.trace_id), cell.classList.add('mono', 'dim')),
      },
    ],
  });
  const element = h(
    'div',
    { class: 'view' },
    h(
      'div',
      { class: 'view-head' },
      h('h1', null, 'Traces'),
      h(
        'div',
        { class: 'filters', role: 'search', 'aria-label': 'Filter traces' },
        name,
        least,
        h('label', { class: 'check' }, errors, 'with errors'),
      ),
      follow,
      status,
    ),
    list.element,
  );

  // A trace that goes on is called by another span until its root has ended.
  function nameCell(cell, row) {
    if (!cell.firstChild) cell.append(h('a', { href: link('traces', row.trace_id), class: 'tool-name' }));
    put(cell.firstChild, row.root.name);
  }

  function durationCell(cell, row) {
    if (!bars.has(cell)) {
      const text = h('span');
      const filled = bar();
      cell.append(h('span', { class: 'used' }, text, filled.element));
      bars.set(cell, { text, filled });
    }
    put(bars.get(cell).text, ms(row.duration_ms));
    bars.get(cell).filled.set(row.duration_ms / longest);
  }

  function filters() {
    return { name: name.value.trim(), min_ms: least.value, errors: errors.checked ? '1' : '' };
  }

  function typed() {
    clearTimeout(typing);
    typing = setTimeout(filtered, TYPING_MS);
  }

  function filtered() {
    clearTimeout(typing);
    replace('traces', '', filters());
    load();
  }

  async function load() {
    clearTimeout(timer);
    asked?.abort();
    asked = new AbortController();
    const search = new URLSearchParams(
      Object.entries({ ...filters(), limit: LIMIT }).filter(([, value]) => value),
    );
    try {
      const answer = await ask(`api/traces?${search}`, asked.signal);
      longest = Math.max(1e-6, ...answer.traces.map((one) => one.duration_ms));
      list.set(answer.traces);
      explain(answer);
    } catch (error) {
      if (error.name === 'AbortError') return;
      put(status, error.message);
    }
    timer = setTimeout(renew, EVERY_MS);
  }

  // Rows that move below the pointer are clicked by mistake; a hidden tab asks for nothing.
  function renew() {
    if (
      following &&
      !document.hidden &&
      connection.link !== 'lost' &&
      !list.element.matches(':hover') &&
      !list.element.contains(document.activeElement)
    )
      load();
    else timer = setTimeout(renew, EVERY_MS);
  }

  function explain(answer) {
    const { traces, on } = answer;
    put(
      status,
      on
        ? `${plural(traces.length, 'trace')}${traces.length === LIMIT ? ', the newest' : ''}`
        : 'traces are off',
    );
    if (traces.length) return;
    const narrowed = Object.values(filters()).some(Boolean);
    if (!on)
      nothing.replaceChildren(
        empty(
          'Traces are not recorded.',
          'Switch them on in the builder; recent ones are then kept in memory, and shown here:',
          code('Vitals::builder()\n    .traces(TraceConfig::to_memory())\n    .console(true)'),
        ),
      );
    else if (narrowed)
      nothing.replaceChildren(
        empty(
          'No trace matches these filters.',
          h('p', null, h('a', { href: link('traces') }, 'Show all traces')),
        ),
      );
    else nothing.replaceChildren(empty('No trace yet.', 'Each request becomes one.'));
    show(nothing, true);
  }

  function toggle() {
    following = !following;
    press();
    if (following) load();
  }

  function press() {
    attr(follow, 'aria-pressed', String(following));
    put(follow, following ? 'Following' : 'Paused');
    attr(follow, 'title', following ? 'Hold the list still (f)' : 'Go on with the newest traces (f)');
  }

  function set(wanted) {
    name.value = wanted.name ?? '';
    least.value = wanted.min_ms ?? '';
    errors.checked = wanted.errors === '1';
    load();
  }

  press();
  set(query);

  return {
    element,
    filter: name,
    follow: toggle,
    query: set,
    close() {
      clearTimeout(timer);
      clearTimeout(typing);
      asked?.abort();
    },
  };
}
