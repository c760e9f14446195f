// Engine: what measuring costs, and what could not be kept. All losses at 0 is as it should be.

import { bar, h, metric, put } from './dom.js';
import { bytes, count, ms, parts, ratio } from './format.js';
import { table } from './table.js';
import { tile } from './tile.js';

// The label `reason`, in words.
const WHY = {
  full: 'no room: they came too fast',
  failed: 'could not be written or sent',
  stopped: 'it was stopped before they were written',
  refused: 'the receiver did not take them',
  own: 'made by the engine’s own threads',
  poison: 'could not be read back',
};

export function open() {
  const memory = tile({ label: 'Memory', part: parts.bytes });
  const share = bar('wide');
  memory.element.append(share.element);
  const scrape = tile({ label: 'Last scrape', part: parts.ms });
  const lines = tile({ label: 'Log lines', part: parts.count });
  const spans = tile({ label: 'Spans', part: parts.count });
  const lost = tile({ label: 'Lost', part: parts.count });
  const viewers = tile({ label: 'Viewers', part: parts.count });

  const facts = [];
  const list = h('dl', { class: 'facts' });
  function fact(label, about, show) {
    const value = h('dd');
    list.append(h('dt', null, label, h('span', { class: 'dim' }, about)), value);
    facts.push((engine) => show(value, engine));
  }
  fact('Series', 'label sets that are held', (cell, engine) =>
    metric(cell, count(engine.series), engine.series, 'mcp_vitals_series'),
  );
  fact('Shards', 'one for each recording thread', (cell, engine) =>
    metric(cell, count(engine.shards), engine.shards, 'mcp_vitals_shards'),
  );
  fact('Scrapes', 'since the start', (cell, engine) => put(cell, count(engine.scrapes)));
  fact('Common records', 'by threads without a shard of their own', (cell, engine) =>
    metric(cell, count(engine.records_common), engine.records_common, 'mcp_vitals_common_records_total'),
  );
  fact('This console', 'time of one state', (cell, engine) => put(cell, ms(engine.console.state_ms)));
  fact('Its history', 'an hour, in bounded memory', (cell, engine) =>
    put(cell, bytes(engine.console.history_bytes)),
  );

  const losses = table({
    caption: 'What was lost, by reason',
    rowKey: (row) => `${row.what}/${row.reason}`,
    sort: { key: 'total', down: true },
    empty: 'Nothing can be lost yet: neither logs nor traces are on.',
    columns: [
      { key: 'what', label: 'What' },
      { key: 'reason', label: 'Why', text: (row) => WHY[row.reason] ?? row.reason },
      {
        key: 'total',
        label: 'Lost',
        num: true,
        cell: (cell, row) => {
          metric(cell, count(row.total), row.total, row.metric, { reason: row.reason });
          cell.classList.toggle('bad', row.total > 0);
        },
      },
    ],
  });

  return {
    element: h(
      'div',
      { class: 'view' },
      h(
        'div',
        { class: 'view-head' },
        h('h1', null, 'Engine'),
        h('p', { class: 'dim lead' }, 'What measuring costs this process, and what could not be kept.'),
      ),
      h(
        'div',
        { class: 'strip strip-six plain' },
        [memory, scrape, lines, spans, lost, viewers].map((one) => one.element),
      ),
      h(
        'div',
        { class: 'grid two' },
        h('section', { class: 'panel', 'aria-label': 'Cost' }, h('h2', null, 'Cost'), list),
        h('section', { class: 'panel', 'aria-label': 'Losses' }, h('h2', null, 'Losses'), losses.element),
      ),
    ),
    state({ engine }) {
      memory.set(engine.memory_bytes);
      put(
        memory.below,
        `${ratio(engine.memory_limit ? engine.memory_bytes / engine.memory_limit : null)} of ${bytes(engine.memory_limit)}`,
      );
      share.set(engine.memory_limit ? engine.memory_bytes / engine.memory_limit : 0);
      scrape.set(engine.scrape_last_ms);
      put(scrape.below, engine.scrapes ? `one in 100 over ${ms(engine.scrape_p99_ms)}` : 'none has come yet');
      lines.set(engine.log_lines);
      metric(lines.number, count(engine.log_lines), engine.log_lines, 'mcp_vitals_log_lines_total');
      put(lines.below, 'written, over all sinks');
      spans.set(engine.spans);
      metric(spans.number, count(engine.spans), engine.spans, 'mcp_vitals_spans_total');
      put(spans.below, 'recorded');
      const rows = [
        ...engine.log_lost.map((row) => ({ ...row, what: 'log lines', metric: 'mcp_vitals_log_lost_total' })),
        ...engine.span_lost.map((row) => ({ ...row, what: 'spans', metric: 'mcp_vitals_span_lost_total' })),
      ];
      const all = rows.reduce((sum, row) => sum + row.total, 0);
      lost.set(all);
      put(lost.below, all ? 'see why below' : 'as it should be');
      lost.element.classList.toggle('is-bad', all > 0);
      viewers.set(engine.console.viewers);
      put(
        viewers.below,
        engine.console.viewers_most ? `of ${count(engine.console.viewers_most)} at most` : 'of this console',
      );
      for (const one of facts) one(engine);
      losses.set(rows);
    },
  };
}
