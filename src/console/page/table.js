// A table that sorts by any column and is brought up to date in place: a row stays the same element
// for as long as its key is there, so that focus, selection and the eye stay where they are.

import { h, put, attr, show } from './dom.js';

/**
 * columns: [{ key, label, title?, num?, text?, cell?, value?, first? }]
 *   value(row)  what is sorted by (default row[key]);
 *   text(row)   what is shown, or cell(td, row) for more than text; `num` aligns to the right.
 * sort: { key, down }; rowKey(row) names a row; empty: what stands there when there are none.
 */
export function table({ caption, columns, rowKey, sort = null, empty, onSort, name = '' }) {
  let order = sort;
  let rows = [];
  let held = false;
  const known = new Map();
  const heads = columns.map((column) => {
    const arrow = h('span', { class: 'arrow', 'aria-hidden': 'true' });
    const button = h(
      'button',
      { type: 'button', title: column.title, on: { click: () => sortBy(column) } },
      column.label,
      arrow,
    );
    return h('th', { scope: 'col', class: column.num ? 'num' : null }, button);
  });
  const body = h('tbody', {
    on: { pointerenter: () => (held = true), pointerleave: () => ((held = false), arrange()) },
  });
  const nothing = h('div', { class: 'table-empty', hidden: true }, empty ?? 'Nothing yet.');
  const element = h(
    'div',
    { class: `table ${name}`, role: 'region', 'aria-label': caption, tabindex: '0' },
    h('table', null, h('caption', { class: 'sr' }, caption), h('thead', null, h('tr', null, heads)), body),
    nothing,
  );

  function sortBy(column) {
    const down = order?.key === column.key ? !order.down : Boolean(column.num);
    order = { key: column.key, down };
    held = false;
    arrange();
    onSort?.(order);
  }

  function compare(a, b) {
    const column = columns.find((one) => one.key === order.key);
    const read = column.value ?? ((row) => row[column.key]);
    const [x, y] = [read(a), read(b)];
    const gone = (value) => value === null || value === undefined;
    // What is not known stands last, whichever way.
    if (gone(x) || gone(y)) return gone(x) - gone(y) || byName(a, b);
    const way = typeof x === 'string' || typeof y === 'string' ? String(x).localeCompare(String(y)) : x - y;
    return (order.down ? -way : way) || byName(a, b);
  }

  const byName = (a, b) => rowKey(a).localeCompare(rowKey(b));

  function arrange() {
    heads.forEach((head, i) =>
      attr(
        head,
        'aria-sort',
        order?.key === columns[i].key ? (order.down ? 'descending' : 'ascending') : null,
      ),
    );
    // Rows that change places below the pointer are clicked by mistake.
    const sorted = order && !held ? [...rows].sort(compare) : rows;
    let before = body.firstChild;
    for (const row of sorted) {
      const line = known.get(rowKey(row)).line;
      if (held && line.parentNode) continue;
      if (line === before) before = before.nextSibling;
      else body.insertBefore(line, held ? null : before);
    }
  }

  function line(row) {
    const cells = columns.map((column, i) =>
      i === 0 ? h('th', { scope: 'row' }) : h('td', { class: column.num ? 'num' : null }),
    );
    return { line: h('tr', null, cells), cells };
  }

  return {
    element,
    get order() {
      return order;
    },
    set(list) {
      rows = list;
      const seen = new Set();
      for (const row of rows) {
        const key = rowKey(row);
        seen.add(key);
        if (!known.has(key)) known.set(key, line(row));
        const { cells } = known.get(key);
        columns.forEach((column, i) => {
          if (column.cell) column.cell(cells[i], row);
          else put(cells[i], column.text ? column.text(row) : (row[column.key] ?? '–'));
        });
      }
      for (const [key, { line: gone }] of known) {
        if (seen.has(key)) continue;
        gone.remove();
        known.delete(key);
      }
      arrange();
      show(nothing, rows.length === 0);
      attr(element, 'data-empty', rows.length === 0);
    },
  };
}
