// Tools: every tool and method, sortable by any column. The name leads to the tool's own page.

import { h, put, metric, traceLink } from './dom.js';
import { count, ms, ratio, rate, plural } from './format.js';
import { spark } from './spark.js';
import { table } from './table.js';
import { rangeButtons } from './range.js';
import { link } from './router.js';
import { empty, code } from './dom.js';
import * as tool from './view_tool.js';

const key = (row) => `${row.tool}/${row.operation}`;

/** Numbers of a row that /metrics has too. */
export function requestsCell(field, status) {
  return (cell, row) => {
    const labels = { tool: row.tool, operation: row.operation, ...(status ? { status } : {}) };
    // `_other` sums the tools past the fiftieth, which is not a series of /metrics.
    if (row.summed) put(cell, count(row[field]));
    else metric(cell, count(row[field]), row[field], 'mcp_requests_total', labels);
  };
}

export function exemplarCell(cell, row) {
  const { exemplar } = row;
  const shown = exemplar ? exemplar.trace_id : '';
  if (cell.dataset.trace === shown) return;
  cell.dataset.trace = shown;
  cell.replaceChildren(exemplar ? traceLink(exemplar.trace_id, ms(exemplar.ms)) : '–');
}

export function errorCell(cell, row) {
  put(cell, ratio(row.error_ratio));
  cell.classList.toggle('bad', row.error_ratio > 0.05);
}

export function open(shell, arg, query) {
  if (arg) return tool.open(shell, arg);
  let rows = [];
  let newest = null;
  const sparks = new Map();
  const columns = [
    { key: 'tool', label: 'Tool', cell: nameCell, value: key },
    { key: 'total', label: 'Requests', num: true, cell: requestsCell('total') },
    { key: 'rate', label: 'Rate', num: true, text: (row) => rate(row.rate) },
    { key: 'trend', label: 'Trend', cell: trendCell, value: (row) => row.rate },
    { key: 'errors', label: 'Errors', num: true, cell: requestsCell('errors', 'error') },
    { key: 'error_ratio', label: 'Error ratio', num: true, cell: errorCell },
    { key: 'cancelled', label: 'Cancelled', num: true, cell: requestsCell('cancelled', 'cancelled') },
    { key: 'p50_ms', label: 'p50', num: true, text: (row) => ms(row.p50_ms) },
    { key: 'p95_ms', label: 'p95', num: true, text: (row) => ms(row.p95_ms) },
    { key: 'p99_ms', label: 'p99', num: true, text: (row) => ms(row.p99_ms) },
    { key: 'max_ms', label: 'Max', num: true, text: (row) => ms(row.max_ms) },
    {
      key: 'exemplar',
      label: 'Slow trace',
      num: true,
      title: 'Duration of the slowest request that has a trace',
      cell: exemplarCell,
      value: (row) => row.exemplar?.ms ?? null,
    },
  ];
  const list = table({
    caption: 'Tools and methods',
    name: 'tools-table',
    columns,
    rowKey: key,
    sort: { key: 'total', down: true },
    empty: empty(
      'No request has come yet.',
      'Every tool and method is listed here from its first request on.',
      code('let service = server.instrumented(&vitals);'),
    ),
  });
  const filter = h('input', {
    type: 'search',
    placeholder: 'filter by name',
    'aria-label': 'Filter tools by name',
    value: query.name ?? '',
    on: { input: draw },
  });
  const shown = h('span', { class: 'dim', role: 'status' });
  const range = rangeButtons();
  const element = h(
    'div',
    { class: 'view' },
    h('div', { class: 'view-head' }, h('h1', null, 'Tools'), filter, shown, range.element),
    list.element,
  );

  function nameCell(cell, row) {
    if (cell.firstChild) return;
    cell.append(
      h('a', { href: link('tools', row.tool), class: 'tool-name' }, row.tool),
      h('span', { class: 'operation' }, ` ${row.operation}`),
    );
  }

  function trendCell(cell, row) {
    if (!sparks.has(key(row))) sparks.set(key(row), spark('rate'));
    const { element: line } = sparks.get(key(row));
    if (cell.firstChild !== line) cell.replaceChildren(line);
  }

  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const matching = rows.filter((row) => key(row).toLowerCase().includes(wanted));
    list.set(matching);
    put(shown, wanted ? `${matching.length} of ${rows.length}` : plural(rows.length, 'row'));
    if (newest) trends(newest);
  }

  function trends(history) {
    newest = history;
    const window = history.window(shell.range().seconds);
    const drawn = new Map();
    for (const row of rows) {
      if (!drawn.has(row.tool)) drawn.set(row.tool, window.column(`tools/${row.tool}/rate`));
      sparks.get(key(row))?.draw(drawn.get(row.tool));
    }
  }

  return {
    element,
    filter,
    state(state) {
      rows = state.tools;
      draw();
    },
    history: trends,
    close: range.close,
  };
}
