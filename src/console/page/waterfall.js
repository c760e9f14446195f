// The spans of a trace below one another, each where it was in time. A thick line on a bar marks the
// critical path: the time that, made shorter, makes the trace shorter. A row opens to its details.

import { h, put, attr, traceLink } from './dom.js';
import { ms, plural, ratio } from './format.js';

const MOST = 500; // rows drawn at first; a trace may have thousands of spans
const DEEPEST = 12; // levels that are indented; deeper ones stand below these

export function waterfall(trace) {
  const total = Math.max(trace.duration_ms, 1e-9);
  const pieces = trace.path.reduce(
    (all, piece) => all.set(piece.span, [...(all.get(piece.span) ?? []), piece]),
    new Map(),
  );
  const rows = h('div', { class: 'wf-rows', role: 'list', 'aria-label': 'Spans' });
  const element = h(
    'section',
    { class: 'wf', 'aria-labelledby': 'wf-title' },
    h('div', { class: 'panel-head' }, h('h2', { id: 'wf-title' }, 'Spans'), legend()),
    h(
      'div',
      { class: 'wf-scroll', tabindex: '0', role: 'region', 'aria-label': 'Waterfall' },
      h('div', { class: 'wf-inner' }, head(), rows),
    ),
  );
  const at = (share) => `${(Math.max(0, Math.min(1, share)) * 100).toFixed(3)}%`;

  function legend() {
    return h(
      'span',
      { class: 'wf-legend dim' },
      h('i', { class: 'key-span' }),
      'span',
      h('i', { class: 'key-path' }),
      'critical path',
      h('i', { class: 'key-failed' }),
      'failed',
    );
  }

  function head() {
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
      const tick = h('span', { class: 'wf-tick' }, ms(share * total));
      tick.style.left = `${share * 100}%`;
      return tick;
    });
    return h(
      'div',
      { class: 'wf-head', 'aria-hidden': 'true' },
      h('span', null, 'Span'),
      h('span', { class: 'num' }, 'Duration'),
      h('span', { class: 'num' }, 'Self'),
      h('span', { class: 'wf-scale' }, ticks),
    );
  }

  function place(bar, from, to) {
    bar.style.left = at(from / total);
    bar.style.width = at((to - from) / total);
    return bar;
  }

  function row(span, i) {
    const path = pieces.get(i) ?? [];
    const timeline = h(
      'span',
      { class: 'wf-time' },
      place(h('i', { class: 'wf-bar' }), span.start_ms, span.start_ms + span.duration_ms),
      path.map((piece) => place(h('i', { class: 'wf-path' }), piece.start_ms, piece.end_ms)),
    );
    for (const event of span.events)
      timeline.append(place(h('i', { class: 'wf-event', title: event.name }), event.at_ms, event.at_ms));
    const label = h(
      'span',
      { class: 'wf-name' },
      span.name,
      span.service && span.service !== trace.spans[0].service
        ? h('span', { class: 'dim' }, ` ${span.service}`)
        : null,
    );
    label.style.paddingLeft = `${Math.min(span.depth, DEEPEST) * 14}px`;
    const button = h(
      'button',
      {
        type: 'button',
        class: 'wf-row',
        'aria-expanded': 'false',
        'data-failed': span.failed,
        'data-path': path.length > 0,
        on: { click: () => toggle(button, span), keydown: (event) => step(event, button) },
      },
      label,
      h('span', { class: 'num wf-took' }, ms(span.duration_ms)),
      h('span', { class: 'num dim wf-self' }, ms(span.self_ms), h('span', { class: 'sr' }, ' of it itself')),
      timeline,
      spoken(span, path),
    );
    return h('div', { role: 'listitem', class: 'wf-item' }, button);
  }

  // What the bar shows, for those who don't see it.
  function spoken(span, path) {
    const parts = [`begins at ${ms(span.start_ms)}`];
    if (path.length) parts.push(`${ms(span.path_ms)} on the critical path`);
    if (span.failed) parts.push('failed');
    return h('span', { class: 'sr' }, parts.join(', '));
  }

  function toggle(button, span) {
    const open = button.getAttribute('aria-expanded') === 'true';
    attr(button, 'aria-expanded', String(!open));
    if (open) button.nextElementSibling?.remove();
    else button.after(details(span));
  }

  // Up and down go from span to span.
  function step(event, button) {
    const items = [...rows.querySelectorAll('.wf-row')];
    const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!to) return;
    event.preventDefault();
    items[items.indexOf(button) + to]?.focus();
  }

  function draw(most) {
    rows.replaceChildren(...trace.spans.slice(0, most).map(row));
    const left = trace.spans.length - most;
    if (left > 0)
      rows.append(
        h(
          'div',
          { role: 'listitem' },
          h(
            'button',
            { type: 'button', class: 'wf-more', on: { click: () => draw(trace.spans.length) } },
            `Show ${plural(left, 'more span')}`,
          ),
        ),
      );
  }

  // What is not there is said: the shortest spans of a very large trace, and what the store left out.
  function missing() {
    const { truncated, left_out: leftOut } = trace;
    const texts = [
      truncated ? `${plural(truncated, 'span')} too short to be listed` : null,
      leftOut ? `${plural(leftOut, 'span')} that the store had no room for` : null,
    ].filter(Boolean);
    return texts.length ? h('p', { class: 'dim' }, `Not shown: ${texts.join(', ')}.`) : null;
  }

  function details(span) {
    const dl = (pairs) =>
      h(
        'dl',
        { class: 'line-fields' },
        pairs.flatMap(([name, value]) => [
          h('dt', null, name),
          h('dd', null, h('span', null, typeof value === 'string' ? value : JSON.stringify(value))),
        ]),
      );
    const facts = [
      ['kind', span.kind],
      ['status', span.message ? `${span.status}: ${span.message}` : span.status],
      ['start', `${ms(span.start_ms)} after the trace's`],
      ['duration', ms(span.duration_ms)],
      [
        'self time',
        `${ms(span.self_ms)}, ${ratio(span.duration_ms ? span.self_ms / span.duration_ms : null)} of it`,
      ],
      ['on the critical path', `${ms(span.path_ms)}, ${ratio(span.path_ms / total)} of the trace`],
      ['service', span.service ?? '–'],
      ['span id', span.span_id],
    ];
    const part = (title, content) => h('div', { class: 'wf-part' }, h('h3', null, title), content);
    return h(
      'div',
      { class: 'wf-details' },
      part('Span', dl(facts)),
      span.attributes.length ? part('Attributes', dl(span.attributes)) : null,
      span.events.length
        ? part(
            'Events',
            span.events.map((event) =>
              h(
                'div',
                { class: 'wf-event-detail' },
                h('p', null, h('b', null, event.name), ` at ${ms(event.at_ms)}`),
                dl(event.attributes),
              ),
            ),
          )
        : null,
      span.links.length
        ? part(
            'Links',
            span.links.map((one) =>
              h('p', null, traceLink(one.trace_id, one.trace_id), ` span ${one.span_id}`),
            ),
          )
        : null,
    );
  }

  draw(MOST);
  element.append(...[missing()].filter(Boolean));
  put(element.querySelector('#wf-title'), trace.spans.length > MOST ? `Spans, the first ${MOST}` : 'Spans');
  return { element };
}
