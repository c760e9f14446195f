// Overview: is it well? Big numbers, rate, errors, latency and its heatmap, the key rules, and what
// the server has in hand.

import { code, empty, h, put, metric, show } from './dom.js';
import { bytes, count, ms, parts, percent, plural, rate, ratio, digits } from './format.js';
import { lineChart, BINARY_STEPS } from './charts.js';
import { heatmap } from './heatmap.js';
import { marksOn, slowest } from './marks.js';
import { rangeButtons } from './range.js';
import { rulesPanel } from './rules.js';
import { tile } from './tile.js';
import { link } from './router.js';

export function open(shell) {
  const tiles = {
    rate: tile({
      label: 'Requests',
      part: parts.rate,
      tone: 'rate',
      sparkOptions: { floor: 1 },
      href: link('tools'),
    }),
    errors: tile({
      label: 'Errors',
      part: parts.ratio,
      tone: 'error',
      sparkOptions: { floor: 0.05 },
      href: link('logs', '', { level: 'warn' }),
    }),
    p50: tile({ label: 'p50', part: parts.ms, tone: 'p50', sparkOptions: { log: true } }),
    p95: tile({ label: 'p95', part: parts.ms, tone: 'p95', sparkOptions: { log: true } }),
    p99: tile({
      label: 'p99',
      part: parts.ms,
      tone: 'p99',
      sparkOptions: { log: true },
      href: link('traces'),
    }),
    flight: tile({ label: 'In flight', part: parts.count, sparkOptions: { floor: 4 } }),
    sessions: tile({ label: 'Sessions', part: parts.count, sparkOptions: { floor: 4 } }),
    cpu: tile({ label: 'CPU', part: parts.percent, sparkOptions: { floor: 20 } }),
    memory: tile({ label: 'Memory', part: parts.bytes }),
  };
  const charts = {
    rate: lineChart({
      title: 'Requests',
      note: 'per second',
      unit: rate,
      series: [{ label: 'requests', colour: '--rate', fill: true, column: 'all/rate' }],
    }),
    errors: lineChart({
      title: 'Error ratio',
      unit: ratio,
      floor: 0.02,
      ceiling: 1,
      series: [{ label: 'errors', colour: '--error', fill: true, column: 'all/error_ratio' }],
    }),
    latency: lineChart({
      title: 'Latency',
      unit: ms,
      log: true,
      series: [
        { label: 'p50', colour: '--p50', column: 'all/p50_ms' },
        { label: 'p95', colour: '--p95', column: 'all/p95_ms' },
        { label: 'p99', colour: '--p99', column: 'all/p99_ms' },
      ],
    }),
    agents: small('Agents alive', count, '--agents', 'agents_active', { floor: 4 }),
    tasks: small('Tasks waiting', count, '--tasks', 'tasks_pending', { floor: 10 }),
    tokens: small('Tokens', (value) => `${digits(value)}/s`, '--tokens', 'tokens_rate', { floor: 10 }),
    memory: small('Memory', bytes, '--memory', 'memory_bytes', { floor: 1 << 20, steps: BINARY_STEPS }),
    cpu: small('CPU', percent, '--cpu', 'cpu_percent', { floor: 10, ceiling: 100 }),
  };
  const heat = heatmap({ title: 'Where durations lie', note: 'requests by duration' });
  const marks = marksOn(charts.latency);
  const range = rangeButtons();
  const rules = rulesPanel();
  const quiet = h(
    'div',
    { class: 'panel', hidden: true },
    empty(
      'No request has come yet.',
      'Wrap the server, and each request is counted from then on:',
      code('let service = server.instrumented(&vitals);'),
    ),
  );
  const element = h(
    'div',
    { class: 'view overview' },
    h('div', { class: 'view-head' }, h('h1', null, 'Overview'), range.element),
    quiet,
    h(
      'div',
      { class: 'strip' },
      Object.values(tiles).map((one) => one.element),
    ),
    h('div', { class: 'grid three' }, charts.rate.element, charts.errors.element, charts.latency.element),
    h('div', { class: 'grid wide-left' }, heat.element, rules.element),
    h(
      'div',
      { class: 'grid five' },
      [charts.agents, charts.tasks, charts.tokens, charts.memory, charts.cpu].map((chart) => chart.element),
    ),
  );

  return {
    element,
    state(state) {
      const { requests, process } = state;
      show(quiet, requests.total === 0 && requests.in_flight === 0);
      tiles.rate.set(requests.rate);
      metric(tiles.rate.below, `${count(requests.total)} in all`, requests.total, 'mcp_requests_total');
      tiles.errors.set(requests.error_ratio);
      metric(
        tiles.errors.below,
        `${plural(requests.errors, 'error')} in all`,
        requests.errors,
        'mcp_requests_total',
        { status: 'error' },
      );
      for (const name of ['p50', 'p95', 'p99']) tiles[name].set(requests[`${name}_ms`]);
      put(tiles.p50.below, 'half are quicker');
      put(tiles.p95.below, 'one in 20 is slower');
      put(tiles.p99.below, requests.max_ms === null ? 'one in 100 is slower' : `most ${ms(requests.max_ms)}`);
      tiles.flight.set(requests.in_flight);
      metric(
        tiles.flight.below,
        `${count(requests.cancelled)} cancelled`,
        requests.cancelled,
        'mcp_requests_total',
        { status: 'cancelled' },
      );
      tiles.sessions.set(requests.sessions);
      put(tiles.sessions.below, 'open now');
      metric(tiles.sessions.number, count(requests.sessions), requests.sessions, 'mcp_sessions_active');
      metric(tiles.flight.number, count(requests.in_flight), requests.in_flight, 'mcp_requests_in_flight');
      tiles.cpu.set(process.cpu_percent);
      put(tiles.cpu.below, process.threads ? plural(process.threads, 'thread') : '\u00a0');
      const used =
        process.memory.find((one) => one.type === 'heap') ?? process.memory.find((one) => one.type === 'rss');
      const all = process.memory.find((one) => one.type === 'total');
      tiles.memory.set(used?.bytes ?? null);
      put(tiles.memory.below, all ? `of ${bytes(all.bytes)}` : '\u00a0');
      rules.state(state.rules);
    },
    history(history) {
      const { seconds } = shell.range();
      const window = history.window(seconds);
      const found = [...new Set([...history.fine.tools, ...history.coarse.tools])]
        .flatMap((tool) => slowest(window, tool, 6))
        .sort((a, b) => b.ms - a.ms)
        .slice(0, 12);
      marks.set(found);
      for (const chart of Object.values(charts))
        chart.draw(window, seconds, chart === charts.latency ? found : []);
      heat.draw(window, seconds, history.bounds);
      const sparks = {
        rate: 'all/rate',
        errors: 'all/error_ratio',
        p50: 'all/p50_ms',
        p95: 'all/p95_ms',
        p99: 'all/p99_ms',
        flight: 'all/in_flight',
        sessions: 'all/sessions',
        cpu: 'cpu_percent',
        memory: 'memory_bytes',
      };
      for (const [name, column] of Object.entries(sparks)) tiles[name].draw(window.column(column));
    },
    close() {
      range.close();
      heat.destroy();
      for (const chart of Object.values(charts)) chart.destroy();
    },
  };
}

function small(title, unit, colour, column, scale) {
  return lineChart({
    title,
    unit,
    ...scale,
    height: 96,
    series: [{ label: title.toLowerCase(), colour, fill: true, column }],
  });
}
