// One tool: its rate, errors and percentiles over time, and its slow requests, each of which leads
// to its trace.

import { h, traceLink, empty, code } from './dom.js';
import { clock, count, ms, parts, ratio, rate } from './format.js';
import { lineChart } from './charts.js';
import { marksOn, slowest } from './marks.js';
import { rangeButtons } from './range.js';
import { table } from './table.js';
import { tile } from './tile.js';
import { link } from './router.js';
import { recentLines } from './logline.js';
import { requestColumns } from './request_columns.js';

export function open(shell, name) {
  const column = (key) => `tools/${name}/${key}`;
  const tiles = {
    rate: tile({ label: 'Rate', part: parts.rate, tone: 'rate', sparkOptions: { floor: 1 } }),
    error_ratio: tile({ label: 'Errors', part: parts.ratio, tone: 'error', sparkOptions: { floor: 1 } }),
    p50_ms: tile({ label: 'p50', part: parts.ms, tone: 'p50', sparkOptions: { log: true } }),
    p95_ms: tile({ label: 'p95', part: parts.ms, tone: 'p95', sparkOptions: { log: true } }),
    p99_ms: tile({ label: 'p99', part: parts.ms, tone: 'p99', sparkOptions: { log: true } }),
  };
  const latency = lineChart({
    title: 'Latency',
    note: 'diamonds lead to traces',
    unit: ms,
    log: true,
    height: 230,
    series: [
      { label: 'p50', colour: '--p50', column: column('p50_ms') },
      { label: 'p95', colour: '--p95', column: column('p95_ms') },
      { label: 'p99', colour: '--p99', column: column('p99_ms') },
    ],
  });
  const charts = [
    lineChart({
      title: 'Requests',
      note: 'per second',
      unit: rate,
      height: 230,
      series: [{ label: 'requests', colour: '--rate', fill: true, column: column('rate') }],
    }),
    lineChart({
      title: 'Errors',
      note: 'per second',
      unit: rate,
      height: 230,
      series: [{ label: 'errors', colour: '--error', fill: true, column: column('errors') }],
    }),
  ];
  const marks = marksOn(latency);
  const range = rangeButtons();
  const operations = table({
    caption: `Operations of ${name}`,
    rowKey: (row) => row.operation,
    sort: { key: 'total', down: true },
    empty: 'No request yet.',
    columns: [
      { key: 'operation', label: 'Operation' },
      ...requestColumns(shell),
    ],
  });
  const slow = table({
    caption: `Slow requests of ${name}`,
    rowKey: (row) => row.trace_id,
    sort: { key: 'ms', down: true },
    empty: empty(
      'No slow request with a trace in this range.',
      'Requests are linked to traces where the engine records both:',
      code('.traces(TraceConfig::to_memory())\n.exemplars(true)'),
    ),
    columns: [
      { key: 't', label: 'At', text: (row) => clock(row.t * 1000), value: (row) => row.t },
      {
        key: 'trace_id',
        label: 'Trace',
        cell: (cell, row) =>
          cell.firstChild || cell.append(traceLink(row.trace_id, row.trace_id.slice(0, 16))),
      },
      { key: 'ms', label: 'Duration', num: true, text: (row) => ms(row.ms) },
    ],
  });
  const recent = recentLines(`"tool":"${name}"`);
  const element = h(
    'div',
    { class: 'view' },
    h(
      'div',
      { class: 'view-head' },
      h(
        'h1',
        null,
        h('a', { href: link('tools'), class: 'up' }, 'Tools'),
        h('span', { class: 'crumb', 'aria-hidden': 'true' }, '/'),
        name,
      ),
      h(
        'span',
        { class: 'head-links' },
        h('a', { href: link('logs', '', { text: `"tool":"${name}"` }) }, 'its log lines'),
        h('a', { href: link('traces', '', { name }) }, 'its traces'),
      ),
      range.element,
    ),
    h(
      'div',
      { class: 'strip strip-five' },
      Object.values(tiles).map((one) => one.element),
    ),
    h('div', { class: 'grid tool-charts' }, latency.element, ...charts.map((chart) => chart.element)),
    h(
      'div',
      { class: 'grid wide-left tops' },
      h(
        'div',
        { class: 'view' },
        h(
          'section',
          { class: 'panel', 'aria-label': 'Operations' },
          h('h2', null, 'Operations'),
          operations.element,
        ),
        h(
          'section',
          { class: 'panel', 'aria-label': 'Recent log lines' },
          h('h2', null, 'Recent log lines'),
          recent.element,
        ),
      ),
      h(
        'section',
        { class: 'panel', 'aria-label': 'Slow requests' },
        h('h2', null, 'Slow requests'),
        slow.element,
      ),
    ),
  );

  return {
    element,
    title: name,
    back: link('tools'),
    state(state) {
      const rows = state.tools.filter((row) => row.tool === name);
      operations.set(rows);
      recent.renew();
      // The tiles show the busiest operation; a tool nearly always has the one.
      const row = [...rows].sort((a, b) => b.total - a.total)[0];
      if (!row) return;
      for (const [key, one] of Object.entries(tiles)) one.set(row[key]);
      tiles.rate.below.textContent = `${count(row.total)} in all`;
      tiles.error_ratio.below.textContent = `${count(row.errors)} in all, ${ratio(row.total ? row.errors / row.total : null)}`;
      tiles.p50_ms.below.textContent = 'half are quicker';
      tiles.p95_ms.below.textContent = 'one in 20 is slower';
      tiles.p99_ms.below.textContent =
        row.max_ms === null ? 'one in 100 is slower' : `most ${ms(row.max_ms)}`;
    },
    history(history) {
      const { seconds } = shell.range();
      const window = history.window(seconds);
      const found = slowest(window, name, 14);
      marks.set(found);
      slow.set(found);
      latency.draw(window, seconds, found);
      for (const chart of charts) chart.draw(window, seconds);
      for (const [key, one] of Object.entries(tiles))
        one.draw(window.column(column(key === 'error_ratio' ? 'errors' : key)));
    },
    close() {
      recent.close();
      range.close();
      latency.destroy();
      for (const chart of charts) chart.destroy();
    },
  };
}
