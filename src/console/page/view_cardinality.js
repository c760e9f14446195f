// Cardinality: how many series there are, which families have them, and which values go past a limit.

import { bar, h, put } from './dom.js';
import { bytes, count, parts, ratio } from './format.js';
import { table } from './table.js';
import { tile } from './tile.js';

export function open() {
  const series = tile({ label: 'Series', part: parts.count });
  const families = tile({ label: 'Families', part: parts.count });
  const overflow = tile({ label: 'Past a limit', part: parts.count });
  const largest = table({
    caption: 'Families by their number of series',
    rowKey: (row) => row.name,
    sort: { key: 'series', down: true },
    columns: [
      { key: 'name', label: 'Family' },
      { key: 'series', label: 'Series', num: true, text: (row) => count(row.series) },
      { key: 'limit', label: 'Limit', num: true, text: (row) => count(row.limit) },
      {
        key: 'used',
        label: 'Used',
        cell: usedCell,
        value: (row) => (row.limit ? row.series / row.limit : null),
        num: true,
      },
      {
        key: 'overflow',
        label: 'Overflow',
        num: true,
        title: 'Look-ups whose value became _other',
        cell: overflowCell,
      },
    ],
  });
  const offenders = table({
    caption: 'Values that went past a limit the most',
    rowKey: (row) => `${row.family}/${row.label}/${row.value ?? ''}`,
    sort: { key: 'count', down: true },
    empty: 'No value has gone past a limit.',
    columns: [
      { key: 'family', label: 'Family' },
      { key: 'label', label: 'Label' },
      {
        key: 'value',
        label: 'Value',
        cell: (cell, row) => (put(cell, row.value ?? '–'), cell.classList.add('mono', 'clip')),
      },
      { key: 'count', label: 'At least', num: true, text: (row) => count(row.count) },
    ],
  });
  const bars = new WeakMap();

  function usedCell(cell, row) {
    if (!bars.has(cell)) {
      const filled = bar();
      const text = h('span');
      cell.append(h('span', { class: 'used' }, text, filled.element));
      bars.set(cell, { filled, text });
    }
    const { filled, text } = bars.get(cell);
    const used = row.limit ? row.series / row.limit : null;
    put(text, ratio(used));
    filled.set(used);
  }

  function overflowCell(cell, row) {
    put(cell, count(row.overflow));
    cell.classList.toggle('bad', row.overflow > 0);
  }

  return {
    element: h(
      'div',
      { class: 'view' },
      h(
        'div',
        { class: 'view-head' },
        h('h1', null, 'Cardinality'),
        h(
          'p',
          { class: 'dim lead' },
          'A series is one set of label values. Past its limit a family counts under _other, and says so here.',
        ),
      ),
      h('div', { class: 'strip strip-three plain' }, series.element, families.element, overflow.element),
      h(
        'div',
        { class: 'grid wide-left tops' },
        h(
          'section',
          { class: 'panel', 'aria-label': 'Families' },
          h('h2', null, 'Largest families'),
          largest.element,
        ),
        h(
          'section',
          { class: 'panel', 'aria-label': 'Offenders' },
          h('h2', null, 'Offenders'),
          offenders.element,
        ),
      ),
    ),
    state({ cardinality, engine }) {
      series.set(cardinality.series);
      put(series.below, `${bytes(engine.memory_bytes)} with all else`);
      families.set(cardinality.families.length);
      put(families.below, 'the largest are listed');
      const past = cardinality.families.reduce((sum, row) => sum + row.overflow, 0);
      overflow.set(past);
      put(overflow.below, past ? 'look-ups became _other' : 'as it should be');
      overflow.element.classList.toggle('is-bad', past > 0);
      largest.set(cardinality.families);
      offenders.set(cardinality.offenders);
    },
  };
}
