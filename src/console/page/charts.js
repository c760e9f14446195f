// Charts of time, drawn by uPlot: a figure with a title, a legend that shows the newest value or the
// one below the cursor, and a sentence for those who hear the page instead of seeing it.
// All charts of a view share one cursor.

import uPlot from './vendor/uPlot.esm.js';
import { h, put } from './dom.js';
import { clock, digits, neat } from './format.js';
import { colour, onTheme } from './theme.js';

const FONT = '11px Inter, system-ui, -apple-system, "Segoe UI", sans-serif';
const AXIS_LEFT = 50; // the same for all, so that times stand below one another
const FIRST_WINDOW_S = 60;

/** Left and right end of the time axis: it grows to the whole range, and then moves. */
export function timeEnds(t, end, seconds) {
  const first = t.length ? Math.max(t[0], end - seconds) : end - FIRST_WINDOW_S;
  return [Math.min(first, end - Math.min(FIRST_WINDOW_S, seconds)), end];
}

/** What all charts have in common: axes in the theme's colours, one cursor, no legend of uPlot's. */
export function frame({ sync, unit, log, steps, ends, height, yRange }) {
  const write = neat(unit);
  const axis = (extra) => ({
    stroke: () => colour('--dim'),
    font: FONT,
    grid: { stroke: () => colour('--grid'), width: 1 },
    ticks: { show: false },
    ...extra,
  });
  return {
    height,
    width: 300,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: {
      sync: { key: sync, setSeries: false },
      drag: { x: false, y: false },
      points: { size: 6 },
      y: false,
    },
    scales: {
      x: { time: true, range: () => ends() },
      y: log ? { distr: 3, log: 10, range: yRange } : { range: yRange },
    },
    axes: [
      axis({
        size: 24,
        gap: 4,
        space: 64,
        grid: { show: false },
        values: (_, splits) => splits.map((s) => axisTime(s, ends())),
      }),
      axis({
        size: AXIS_LEFT,
        gap: 6,
        space: 26,
        incrs: steps,
        splits: log ? (u, i, low, high) => decades(low, high) : undefined,
        filter: (_, splits) => splits,
        values: (_, splits) => splits.map((v) => (v === null ? null : write(v))),
      }),
    ],
  };
}

/** Steps of an axis of bytes: powers of two, which 9.54 MiB is not. */
export const BINARY_STEPS = Array.from({ length: 44 }, (_, i) => 2 ** i);

// Whole minutes need no seconds, and the last label must not be cut off by the edge.
function axisTime(seconds, [from, to]) {
  if (to - seconds < (to - from) * 0.04 || seconds - from < (to - from) * 0.02) return '';
  const text = clock(seconds * 1000);
  return seconds % 60 === 0 ? text.slice(0, 5) : text;
}

// 1, 10, 100 where there are decades, 1, 2, 5, 10 where there are few.
function decades(low, high) {
  const spans = Math.log10(high / low);
  const within = spans > 2 ? [1] : spans > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const splits = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
    for (const digit of within) {
      const value = digit * 10 ** e;
      if (value >= low && value <= high) splits.push(value);
    }
  }
  return splits;
}

/** Whole decades would waste half the chart: from a little below the least to a little above the most. */
function logRange(values, extra) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of [...values.flat(), ...extra]) {
    if (value === null || !(value > 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === Infinity) return [0.1, 100];
  return [low / 1.5, Math.max(high * 1.5, low * 4)];
}

function linearRange(values, floor, ceiling) {
  let high = 0;
  for (const list of values) for (const value of list) if (value > high) high = value;
  const most = Math.max(high * 1.12, floor);
  return [0, ceiling ? Math.min(most, ceiling) : most];
}

/** A uPlot that has the width of its place and the colours of the theme for as long as it lives. */
export function mount(place, options, data) {
  // Where the style gives the place a height, the chart has that one.
  const height = () => (options.fills ? Math.max(place.clientHeight, options.height) : options.height);
  const plot = new uPlot(
    { ...options, width: Math.max(place.clientWidth, 120), height: height() },
    data,
    place,
  );
  const observer = new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width > 0 && (width !== plot.width || height() !== plot.height))
      plot.setSize({ width, height: height() });
  });
  observer.observe(place);
  const forget = onTheme(() => plot.redraw(false, true));
  return {
    plot,
    destroy() {
      observer.disconnect();
      forget();
      plot.destroy();
    },
  };
}

/** The figure around a chart: heading, legend, place. */
export function figure(title, note, legend) {
  const place = h('div', { class: 'plot' });
  // Beside the place and not its label: what is labelled as an image may hold no links.
  const words = h('p', { class: 'sr' }, `Chart of ${title}.`);
  const element = h(
    'figure',
    { class: 'chart' },
    h(
      'figcaption',
      { class: 'chart-head' },
      h('span', { class: 'chart-title' }, title),
      note ? h('span', { class: 'dim' }, note) : null,
      legend,
    ),
    words,
    place,
  );
  return { element, place, words };
}

/**
 * A line chart. `series`: [{ label, colour: '--p50', fill?, column: 'all/rate' }]; `unit` writes a
 * value; `floor` is the least height of a linear scale, so that noise around nothing stays flat.
 * `draw(window, seconds)` brings it up to date; `slow` points are shown where `marks` are given.
 */
export function lineChart({
  title,
  note,
  series,
  unit = digits,
  log = false,
  floor = 1,
  ceiling,
  steps,
  height = 150,
  sync = 'time',
}) {
  const values = series.map(() => h('b', { class: 'legend-value' }, '–'));
  const legend = h(
    'span',
    { class: 'legend' },
    series.map((one, i) =>
      h(
        'span',
        { class: 'legend-item' },
        series.length > 1 ? h('i', { class: `swatch swatch${one.colour}` }) : null,
        series.length > 1 ? `${one.label} ` : null,
        values[i],
      ),
    ),
  );
  const { element, place, words } = figure(title, note, legend);
  let ends = [0, FIRST_WINDOW_S];
  let extra = [];
  let onDraw = () => {};
  let columns = series.map(() => []);
  const options = {
    ...frame({
      sync,
      unit,
      log,
      steps,
      height,
      ends: () => ends,
      yRange: () => (log ? logRange(columns, extra) : linearRange(columns, floor, ceiling)),
    }),
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        stroke: () => colour(one.colour),
        width: 1.5,
        fill: one.fill ? () => colour(`${one.colour}-fill`) : undefined,
        points: { show: (u, i, from, to) => to - from < 2, size: 4, fill: () => colour(one.colour) },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [showValues], draw: [() => onDraw()] },
  };
  let mounted = null;
  let spoken = 0;

  function showValues() {
    const at = mounted?.plot.cursor.idx;
    series.forEach((_, i) => {
      const column = columns[i];
      const value = at !== null && at !== undefined ? column[at] : newest(column);
      put(values[i], value === null || value === undefined ? '–' : unit(value));
    });
  }

  return {
    element,
    place,
    get plot() {
      return mounted?.plot;
    },
    draw(window, seconds, marks = []) {
      columns = series.map((one) => window.column(one.column));
      // A logarithm has no zero.
      const drawn = log
        ? columns.map((column) => column.map((value) => (value > 0 ? value : null)))
        : columns;
      extra = marks.map((mark) => mark.ms);
      ends = timeEnds(window.t, window.end, seconds);
      const data = [window.t, ...drawn];
      if (mounted) mounted.plot.setData(data);
      else mounted = mount(place, options, data);
      showValues();
      if (Date.now() - spoken > 5000) {
        spoken = Date.now();
        put(words, sentence(title, series, columns, unit));
      }
    },
    onDraw(call) {
      onDraw = call;
    },
    destroy() {
      mounted?.destroy();
    },
  };
}

// The newest of the last few points: a second in which nothing ended has no percentile.
function newest(column) {
  for (let i = column.length - 1; i >= Math.max(0, column.length - 5); i--)
    if (column[i] !== null) return column[i];
  return null;
}

function sentence(title, series, columns, unit) {
  const said = series.map((one, i) => {
    const there = columns[i].filter((value) => value !== null);
    if (!there.length) return `${one.label}: no values yet`;
    return `${one.label}: now ${unit(there[there.length - 1])}, lowest ${unit(Math.min(...there))}, highest ${unit(Math.max(...there))}`;
  });
  return `Chart of ${title}. ${said.join('. ')}.`;
}
