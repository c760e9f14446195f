// Slow points on a chart of latencies: each is a link to the trace of its exemplar, so it can be
// clicked, tabbed to and opened in a new tab like any link.

import { h, attr } from './dom.js';
import { clock, ms } from './format.js';
import { link } from './router.js';

const MOST = 16;

/** The slowest of a tool's slow points in the window, the slowest first, one for each trace. */
export function slowest(window, tool, most = MOST) {
  const column = window.column(`tools/${tool}/slow`);
  const best = new Map();
  column.forEach((slow, i) => {
    if (!slow) return;
    const known = best.get(slow.trace_id);
    if (!known || slow.ms > known.ms) best.set(slow.trace_id, { ...slow, t: window.t[i], tool });
  });
  return [...best.values()].sort((a, b) => b.ms - a.ms).slice(0, most);
}

/** Keeps the links of a chart's slow points where the points are. */
export function marksOn(chart) {
  const links = new Map();
  let marks = [];
  chart.onDraw(() => {
    const { plot } = chart;
    if (!plot) return;
    const wanted = new Set();
    for (const mark of marks) {
      wanted.add(mark.trace_id);
      let element = links.get(mark.trace_id);
      if (!element) {
        element = h('a', { class: 'mark', href: link('traces', mark.trace_id) });
        links.set(mark.trace_id, element);
      }
      const text = `${mark.tool}: ${ms(mark.ms)} at ${clock(mark.t * 1000)}, open its trace`;
      attr(element, 'aria-label', text);
      attr(element, 'title', text);
      // In pixels of the plot, by CSSOM, which the content security policy allows.
      element.style.left = `${plot.valToPos(mark.t, 'x')}px`;
      element.style.top = `${plot.valToPos(mark.ms, 'y')}px`;
      if (element.parentNode !== plot.over) plot.over.append(element);
    }
    for (const [id, element] of links) {
      if (wanted.has(id)) continue;
      element.remove();
      links.delete(id);
    }
  });
  return {
    set(list) {
      marks = list;
    },
  };
}
