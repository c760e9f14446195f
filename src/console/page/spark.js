// A line the size of a word, without axes: which way a number has gone. The number itself stands
// beside it, so it is hidden from screen readers.

import { svg, attr } from './dom.js';

const WIDTH = 120;
const HEIGHT = 26;

export function spark(name = '') {
  const area = svg('path', { class: 'spark-area' });
  const line = svg('path', { class: 'spark-line' });
  const element = svg(
    'svg',
    {
      class: `spark ${name}`,
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    },
    area,
    line,
  );
  return {
    element,
    /** `log` for durations; `floor` keeps noise around nothing flat. */
    draw(values, { log = false, floor = 0 } = {}) {
      const scaled = values.map((value) =>
        value === null || (log && value <= 0) ? null : log ? Math.log(value) : value,
      );
      const there = scaled.filter((value) => value !== null);
      const low = log ? Math.min(...there) : 0;
      const high = Math.max(
        Math.max(...there) * (log ? 1 : 1.2),
        log ? -Infinity : floor,
        low + (log ? 0.7 : 0),
      );
      const y = (value) => (HEIGHT - 2 - ((value - low) / (high - low || 1)) * (HEIGHT - 4)).toFixed(1);
      const x = (i) => ((i / Math.max(1, scaled.length - 1)) * WIDTH).toFixed(1);
      let path = '';
      let shade = '';
      let from = null;
      scaled.forEach((value, i) => {
        if (value !== null) {
          path += `${from === null ? 'M' : 'L'}${x(i)} ${y(value)}`;
          from ??= i;
        }
        if (from !== null && (value === null || i === scaled.length - 1)) {
          const to = value === null ? i - 1 : i;
          shade += `${path.slice(path.lastIndexOf('M'))}L${x(to)} ${HEIGHT}L${x(from)} ${HEIGHT}Z`;
          from = null;
        }
      });
      attr(line, 'd', path);
      attr(area, 'd', shade);
    },
  };
}
