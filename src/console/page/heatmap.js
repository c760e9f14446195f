// Where requests' durations lie, over time: a cell for each step and bucket, the darker the more.
// Drawn on a uPlot without lines, so that its axes and cursor are those of the other charts.

import { h, put } from './dom.js';
import { clock, ms, plural, digits } from './format.js';
import { colour } from './theme.js';
import { figure, frame, mount, timeEnds } from './charts.js';

export function heatmap({ title, note, height = 180, sync = 'time' }) {
  const reading = h('b', { class: 'legend-value wide' }, '–');
  const { element, place, words } = figure(title, note, h('span', { class: 'legend' }, reading));
  let view = { t: [], steps: [], counts: [], bounds: [] };
  let ends = [0, 60];
  let y = [0.1, 1000];
  let most = 1;
  let mounted = null;
  let spoken = 0;

  const options = {
    fills: true,
    ...frame({ sync, unit: ms, log: true, height, ends: () => ends, yRange: () => y }),
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: { drawAxes: [cells], setCursor: [read] },
  };
  options.cursor = { ...options.cursor, y: true, points: { show: false } };

  // Buckets: [lower, upper] of index i. The last one has no upper end, and is drawn as high as the others.
  function bucket(i) {
    const { bounds } = view;
    const factor = bounds.length > 1 ? bounds[1] / bounds[0] : 2;
    return [
      i === 0 ? bounds[0] / factor : bounds[i - 1],
      i < bounds.length ? bounds[i] : bounds[bounds.length - 1] * factor,
    ];
  }

  function cells(u) {
    const { ctx } = u;
    const { left, top, width, height: tall } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, tall);
    ctx.clip();
    ctx.fillStyle = colour('--heat');
    view.counts.forEach((counts, p) => {
      if (!counts) return;
      const right = u.valToPos(view.t[p], 'x', true);
      const from = u.valToPos(view.t[p] - view.steps[p], 'x', true);
      counts.forEach((n, i) => {
        if (!n) return;
        const [low, high] = bucket(i);
        const upper = Math.round(u.valToPos(high, 'y', true));
        const lower = Math.round(u.valToPos(low, 'y', true));
        // By the second, as a step of ten holds ten times as many; by the logarithm, as one slow
        // request among thousands of quick ones is what one looks for.
        ctx.globalAlpha = 0.16 + 0.84 * Math.min(1, Math.log1p(n / view.steps[p]) / Math.log1p(most));
        ctx.fillRect(
          Math.round(from),
          upper,
          Math.max(1, Math.round(right) - Math.round(from)),
          Math.max(1, lower - upper - 1),
        );
      });
    });
    ctx.restore();
  }

  function read(u) {
    const { idx, top } = u.cursor;
    if (idx === null || idx === undefined || top < 0 || !view.counts[idx]) return put(reading, '');
    const at = u.posToVal(top, 'y');
    const i = view.counts[idx].findIndex((_, b) => at > bucket(b)[0] && at <= bucket(b)[1]);
    if (i < 0) return put(reading, '');
    const [low, high] = bucket(i);
    put(
      reading,
      `${clock(view.t[idx] * 1000)}  ${ms(low)} to ${ms(high)}: ${plural(view.counts[idx][i], 'request')}`,
    );
  }

  return {
    element,
    draw(window, seconds, bounds) {
      view = { t: window.t, steps: window.steps, counts: window.column('heat/counts'), bounds };
      ends = timeEnds(window.t, window.end, seconds);
      let low = Infinity;
      let high = -1;
      most = 0;
      const sums = [];
      view.counts.forEach((counts, p) =>
        counts?.forEach((n, i) => {
          if (!n) return;
          low = Math.min(low, i);
          high = Math.max(high, i);
          most = Math.max(most, n / view.steps[p]);
          sums[i] = (sums[i] ?? 0) + n;
        }),
      );
      if (high >= 0) y = [bucket(low)[0], bucket(high)[1]];
      const data = [view.t, view.t.map(() => null)];
      if (mounted) mounted.plot.setData(data);
      else mounted = mount(place, options, data);
      if (Date.now() - spoken > 5000) {
        spoken = Date.now();
        const peak = sums.reduce((best, n, i) => (n > (sums[best] ?? 0) ? i : best), 0);
        put(
          words,
          high < 0
            ? `${title}: no requests yet.`
            : `${title}. Most requests took ${bucket(peak).map(ms).join(' to ')}; the slowest ${ms(bucket(high)[0])} or more. At most ${digits(most)} a second in one bucket.`,
        );
      }
    },
    destroy() {
      mounted?.destroy();
    },
  };
}
