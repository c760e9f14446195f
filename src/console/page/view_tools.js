// Tools: every tool and method, sortable by any column. The name leads to the tool's own page.

import { h, put, empty, code } from './dom.js';
import { plural } from './format.js';
import { requestColumns } from './request_columns.js';
import { spark } from './spark.js';
import { table } from './table.js';
import { rangeButtons } from './range.js';
import { link } from './router.js';
import * as tool from './view_tool.js';

const key = (row) => `${row.tool}/${row.operation}`;

export function open(shell, arg, query) {
  if (arg) return tool.open(shell, arg);
  let rows = [];
  let newest = null;
  const sparks = new Map();
  const columns = [
    { key: 'tool', label: 'Tool', cell: nameCell, value: key },
    ...requestColumns(shell, { key: 'trend', label: 'Trend', cell: trendCell, value: (row) => row.rate }),
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
      const here = new Set(rows.map(key));
      [...sparks.keys()].filter((gone) => !here.has(gone)).forEach((gone) => sparks.delete(gone));
      draw();
    },
    history: trends,
    close: range.close,
  };
}
