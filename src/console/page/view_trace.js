// One trace: the waterfall of its spans with the critical path, and its log lines.

import { h, put, empty } from './dom.js';
import { count, moment, ms, plural } from './format.js';
import { ask } from './live.js';
import { logLine } from './logline.js';
import { link } from './router.js';
import { waterfall } from './waterfall.js';

export function open(shell, id) {
  const title = h('span', { class: 'trace-title' }, 'Trace');
  const facts = h('dl', { class: 'trace-facts' });
  const place = h('div', { class: 'panel' }, h('p', { class: 'loading' }, 'Loading…'));
  const lines = h('div', { class: 'trace-lines' });
  const about = h('span', { class: 'dim', role: 'status' });
  const asked = new AbortController();
  let drawn = null;
  const element = h(
    'div',
    { class: 'view view-trace' },
    h(
      'div',
      { class: 'view-head' },
      h(
        'h1',
        null,
        h('a', { href: link('traces'), class: 'up' }, 'Traces'),
        h('span', { class: 'crumb', 'aria-hidden': 'true' }, '/'),
        title,
      ),
    ),
    facts,
    place,
    h(
      'section',
      { class: 'panel', 'aria-labelledby': 'trace-lines-title' },
      h(
        'div',
        { class: 'panel-head' },
        h('h2', { id: 'trace-lines-title' }, 'Log lines'),
        about,
        h('a', { href: link('logs', '', { trace: id }), class: 'aside' }, 'in the logs'),
      ),
      lines,
    ),
  );

  function fact(label, ...value) {
    return h('div', null, h('dt', null, label), h('dd', null, value));
  }

  async function loadTrace() {
    try {
      const trace = await ask(`api/traces/${encodeURIComponent(id)}`, asked.signal);
      const root = trace.spans.find((span) => span.parent_id === null) ?? trace.spans[0];
      const failed = trace.errors;
      put(title, root?.name ?? 'Trace');
      shell.title(root?.name ?? 'Trace');
      facts.append(
        fact('Duration', h('b', null, ms(trace.duration_ms))),
        fact('Start', moment(trace.start_unix_ms)),
        fact('Spans', count(trace.spans.length + trace.truncated + trace.left_out)),
        fact('Failed', h('span', { class: failed ? 'bad' : null }, count(failed))),
        fact('Service', root?.service ?? '–'),
        fact('Trace id', h('span', { class: 'mono select' }, id)),
      );
      drawn = waterfall(trace);
      place.replaceChildren(drawn.element);
    } catch (error) {
      if (error.name === 'AbortError') return;
      const gone = error.status === 404;
      place.replaceChildren(
        empty(
          gone ? 'This trace is no longer in memory.' : 'The trace could not be loaded.',
          gone
            ? 'The store keeps recent traces, and the slow and failed ones longest; TraceConfig::store sets how many. A sampler or tail rules may also have left it out.'
            : error.message,
          h('p', null, h('a', { href: link('traces') }, 'Recent traces')),
        ),
      );
    }
  }

  async function loadLines() {
    try {
      const answer = await ask(`api/logs?trace=${encodeURIComponent(id)}&limit=200`, asked.signal);
      lines.replaceChildren(...answer.lines.map((one) => logLine(one.line)));
      put(
        about,
        answer.lines.length
          ? plural(answer.lines.length, 'line')
          : answer.on
            ? 'none of them in memory'
            : 'logs are off',
      );
    } catch (error) {
      if (error.name !== 'AbortError') put(about, error.message);
    }
  }

  loadTrace();
  loadLines();

  return {
    element,
    title: 'Trace',
    back: link('traces'),
    close() {
      asked.abort();
      drawn?.destroy?.();
    },
  };
}
