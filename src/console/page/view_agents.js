// Agents & tasks: what the server's own code reports through vitals.mcp(): agents, tasks, models,
// its memory store, log-ins.

import { h, metric, put } from './dom.js';
import { compact, count, digits, ms, parts, rate } from './format.js';
import { lineChart } from './charts.js';
import { rangeButtons } from './range.js';
import { agentsTables, by, sum } from './agents_tables.js';
import { tile } from './tile.js';

export function open(shell) {
  const tiles = {
    alive: tile({ label: 'Agents alive', part: parts.count, tone: 'agents', sparkOptions: { floor: 4 } }),
    spawned: tile({ label: 'Spawned', part: parts.count }),
    waiting: tile({ label: 'Tasks waiting', part: parts.count, tone: 'tasks', sparkOptions: { floor: 10 } }),
    done: tile({ label: 'Tasks', part: parts.rate }),
    tokens: tile({ label: 'Tokens', part: parts.rate, tone: 'tokens' }),
    logins: tile({ label: 'Log-ins', part: parts.count }),
  };
  const charts = [
    lineChart({
      title: 'Agents alive',
      unit: count,
      floor: 4,
      series: [{ label: 'agents', colour: '--agents', fill: true, column: 'agents_active' }],
    }),
    lineChart({
      title: 'Tasks waiting',
      unit: count,
      floor: 10,
      series: [{ label: 'tasks', colour: '--tasks', fill: true, column: 'tasks_pending' }],
    }),
    lineChart({
      title: 'Tokens',
      note: 'per second',
      unit: (value) => `${digits(value)}/s`,
      floor: 10,
      series: [{ label: 'tokens', colour: '--tokens', fill: true, column: 'tokens_rate' }],
    }),
  ];
  const range = rangeButtons();
  const tables = agentsTables();

  const panel = (title, ...inside) =>
    h('section', { class: 'panel', 'aria-label': title }, h('h2', null, title), inside);
  const element = h(
    'div',
    { class: 'view' },
    h('div', { class: 'view-head' }, h('h1', null, 'Agents & tasks'), range.element),
    h(
      'div',
      { class: 'strip strip-six' },
      Object.values(tiles).map((one) => one.element),
    ),
    h(
      'div',
      { class: 'grid three' },
      charts.map((chart) => chart.element),
    ),
    h(
      'div',
      { class: 'columns' },
      panel('Agents', tables.agents),
      panel('Failures', tables.failures),
      panel('Models', tables.models),
      panel('Tasks waiting', tables.pending),
      panel('Tasks ended', tables.tasks),
      panel('Memory store', tables.memory),
      panel('Log-ins', tables.logins),
      panel('Memory', tables.usage),
    ),
  );

  return {
    element,
    state(state) {
      const { agents, auth } = state;
      tables.state(state);
      tiles.alive.set(sum(agents.active, 'value'));
      put(tiles.alive.below, `of ${by(agents.active, 'type').length} types`);
      tiles.spawned.set(sum(agents.spawned, 'total'));
      put(
        tiles.spawned.below,
        agents.spawned_rate === null
          ? `${count(sum(agents.failed, 'total'))} failed`
          : `${rate(agents.spawned_rate)}, ${count(sum(agents.failed, 'total'))} failed`,
      );
      tiles.waiting.set(sum(state.tasks.pending, 'value'));
      if (state.tasks.running !== null)
        metric(
          tiles.waiting.below,
          `${count(state.tasks.running)} running`,
          state.tasks.running,
          'mcp_tasks_running',
        );
      tiles.done.set(state.tasks.rate);
      put(
        tiles.done.below,
        state.tasks.p95_ms === null
          ? `${count(state.tasks.total)} in all`
          : `p50 ${ms(state.tasks.p50_ms)}, p95 ${ms(state.tasks.p95_ms)}`,
      );
      tiles.tokens.set(state.neural.tokens_rate);
      put(
        tiles.tokens.below,
        `${compact(sum(state.neural.models, 'tokens_in') + sum(state.neural.models, 'tokens_out'))} in all`,
      );
      tiles.logins.set(auth.success);
      metric(tiles.logins.number, count(auth.success), auth.success, 'mcp_auth_attempts_total', {
        status: 'success',
      });
      put(tiles.logins.below, `${count(auth.failed)} failed, ${count(auth.rate_limit_hits)} over limit`);
    },
    history(history) {
      const { seconds } = shell.range();
      const window = history.window(seconds);
      for (const chart of charts) chart.draw(window, seconds);
      tiles.alive.draw(window.column('agents_active'));
      tiles.waiting.draw(window.column('tasks_pending'));
      tiles.tokens.draw(window.column('tokens_rate'));
    },
    close() {
      range.close();
      for (const chart of charts) chart.destroy();
    },
  };
}
