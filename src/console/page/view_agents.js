// Agents & tasks: what the server's own code reports through vitals.mcp(): agents, tasks, models,
// its memory store, log-ins. Where nothing was reported, which call reports it.

import { h, code, empty, metric, put } from './dom.js';
import { bytes, compact, count, digits, ms, parts, rate } from './format.js';
import { lineChart } from './charts.js';
import { rangeButtons } from './range.js';
import { table } from './table.js';
import { tile } from './tile.js';

const sum = (rows, field) => rows.reduce((all, row) => all + row[field], 0);
const by = (rows, key) => [...new Set(rows.map((row) => row[key]))];
const hint = (title, call) => empty(title, code(call));

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
    lineChart({ title: 'Agents alive', unit: count, floor: 4, series: [{ label: 'agents', colour: '--agents', fill: true, column: 'agents_active' }] }),
    lineChart({ title: 'Tasks waiting', unit: count, floor: 10, series: [{ label: 'tasks', colour: '--tasks', fill: true, column: 'tasks_pending' }] }),
    lineChart({ title: 'Tokens', note: 'per second', unit: (value) => `${digits(value)}/s`, floor: 10, series: [{ label: 'tokens', colour: '--tokens', fill: true, column: 'tokens_rate' }] }),
  ];
  const range = rangeButtons();
  const agentsPlace = h('div');
  let agentsTable = null;
  let statuses = '';
  const failures = table({
    caption: 'Failures of agents by reason',
    rowKey: (row) => `${row.type}/${row.reason}`,
    sort: { key: 'total', down: true },
    empty: 'No agent has failed.',
    columns: [
      { key: 'type', label: 'Type' },
      { key: 'reason', label: 'Reason' },
      { key: 'total', label: 'Failed', num: true, cell: (cell, row) => metric(cell, count(row.total), row.total, 'mcp_agents_failed_total', { type: row.type, reason: row.reason }) },
    ],
  });
  const pending = table({
    caption: 'Tasks that wait, by priority',
    rowKey: (row) => row.priority,
    sort: { key: 'value', down: true },
    empty: hint('No task has been queued.', 'let task = vitals.mcp().task_queued("normal");\nlet running = task.start("search");'),
    columns: [
      { key: 'priority', label: 'Priority' },
      { key: 'value', label: 'Waiting', num: true, cell: (cell, row) => metric(cell, count(row.value), row.value, 'mcp_tasks_pending', { priority: row.priority }) },
    ],
  });
  const tasks = table({
    caption: 'Tasks that ended, by outcome',
    rowKey: (row) => row.status,
    sort: { key: 'total', down: true },
    empty: 'No task has ended.',
    columns: [
      { key: 'status', label: 'Outcome' },
      { key: 'total', label: 'Tasks', num: true, cell: (cell, row) => metric(cell, count(row.total), row.total, 'mcp_task_duration_seconds_count', { status: row.status }) },
    ],
  });
  const models = table({
    caption: 'Models',
    rowKey: (row) => row.model,
    sort: { key: 'inferences', down: true },
    empty: hint('No model has been asked.', 'vitals.mcp().inference("small", "predict", took, read, wrote);'),
    columns: [
      { key: 'model', label: 'Model' },
      { key: 'inferences', label: 'Answers', num: true, cell: (cell, row) => metric(cell, count(row.inferences), row.inferences, 'mcp_neural_inference_duration_seconds_count', { model: row.model }) },
      { key: 'p50_ms', label: 'p50', num: true, text: (row) => ms(row.p50_ms) },
      { key: 'p95_ms', label: 'p95', num: true, text: (row) => ms(row.p95_ms) },
      { key: 'tokens_in', label: 'Read', title: 'Tokens in', num: true, cell: tokensCell('tokens_in', 'input') },
      { key: 'tokens_out', label: 'Wrote', title: 'Tokens out', num: true, cell: tokensCell('tokens_out', 'output') },
      { key: 'tokens_rate', label: 'Tokens/s', num: true, text: (row) => digits(row.tokens_rate) },
    ],
  });
  const memory = table({
    caption: 'Operations on the memory store',
    rowKey: (row) => `${row.operation}/${row.status ?? ''}`,
    sort: { key: 'total', down: true },
    empty: hint('No operation on a memory store.', 'vitals.mcp().memory_operation("retrieve", Status::Success);'),
    columns: [
      { key: 'operation', label: 'Operation' },
      { key: 'status', label: 'Outcome' },
      { key: 'total', label: 'Operations', num: true, cell: (cell, row) => metric(cell, count(row.total), row.total, 'mcp_memory_operations_total', { operation: row.operation, ...(row.status ? { status: row.status } : {}) }) },
      { key: 'rate', label: 'Rate', num: true, text: (row) => rate(row.rate) },
    ],
  });
  const logins = table({
    caption: 'Authentication by method',
    rowKey: (row) => `${row.method}/${row.status}`,
    sort: { key: 'total', down: true },
    empty: hint('Nobody has logged in.', 'vitals.mcp().auth_attempt("token", ok);\nvitals.mcp().rate_limited(user);'),
    columns: [
      { key: 'method', label: 'Method' },
      { key: 'status', label: 'Outcome' },
      { key: 'total', label: 'Attempts', num: true, cell: (cell, row) => metric(cell, count(row.total), row.total, 'mcp_auth_attempts_total', { method: row.method, status: row.status }) },
    ],
  });
  const usage = table({
    caption: 'Memory by kind',
    rowKey: (row) => row.type,
    sort: { key: 'bytes', down: true },
    empty: hint('No reading of memory.', '.system_metrics(true)'),
    columns: [
      { key: 'type', label: 'Memory' },
      { key: 'bytes', label: 'Size', num: true, cell: (cell, row) => metric(cell, bytes(row.bytes), row.bytes, 'mcp_memory_usage_bytes', { type: row.type }) },
    ],
  });

  function tokensCell(field, direction) {
    return (cell, row) => metric(cell, compact(row[field]), row[field], 'mcp_neural_tokens_processed_total', { model: row.model, direction });
  }

  // A row for each type, a column for each status that there is.
  function drawAgents(agents) {
    const names = by(agents.active, 'status');
    if (!agentsTable || names.join() !== statuses) {
      statuses = names.join();
      agentsTable = table({
        caption: 'Agents by type and status',
        rowKey: (row) => row.type,
        sort: { key: 'spawned', down: true },
        empty: hint('No agent has been started.', 'let agent = vitals.mcp().agent_spawned("coder");'),
        columns: [
          { key: 'type', label: 'Type' },
          ...names.map((status) => ({ key: status, label: status, num: true, value: (row) => row.active[status] ?? null, cell: (cell, row) => metric(cell, count(row.active[status]), row.active[status], 'mcp_agents_active', { type: row.type, status }) })),
          { key: 'spawned', label: 'Spawned', num: true, cell: (cell, row) => metric(cell, count(row.spawned), row.spawned, 'mcp_agents_spawned_total', { type: row.type }) },
          { key: 'failed', label: 'Failed', num: true, cell: (cell, row) => (metric(cell, count(row.failed), row.failed, 'mcp_agents_failed_total', { type: row.type }), cell.classList.toggle('bad', row.failed > 0)) },
        ],
      });
      agentsPlace.replaceChildren(agentsTable.element);
    }
    const types = by([...agents.active, ...agents.spawned, ...agents.failed], 'type');
    agentsTable.set(
      types.map((type) => ({
        type,
        active: Object.fromEntries(agents.active.filter((row) => row.type === type).map((row) => [row.status, row.value])),
        spawned: agents.spawned.find((row) => row.type === type)?.total ?? null,
        failed: agents.failed.some((row) => row.type === type) ? sum(agents.failed.filter((row) => row.type === type), 'total') : null,
      })),
    );
  }

  const panel = (title, ...inside) => h('section', { class: 'panel', 'aria-label': title }, h('h2', null, title), inside);
  const element = h(
    'div',
    { class: 'view' },
    h('div', { class: 'view-head' }, h('h1', null, 'Agents & tasks'), range.element),
    h('div', { class: 'strip strip-six' }, Object.values(tiles).map((one) => one.element)),
    h('div', { class: 'grid three' }, charts.map((chart) => chart.element)),
    h('div', { class: 'columns' }, panel('Agents', agentsPlace), panel('Failures', failures.element), panel('Models', models.element), panel('Tasks waiting', pending.element), panel('Tasks ended', tasks.element), panel('Memory store', memory.element), panel('Log-ins', logins.element), panel('Memory', usage.element)),
  );

  return {
    element,
    state(state) {
      const { agents, auth } = state;
      drawAgents(agents);
      failures.set(agents.failed);
      pending.set(state.tasks.pending);
      tasks.set(state.tasks.by_status);
      models.set(state.neural.models);
      memory.set(state.memory.operations);
      logins.set(auth.by_method ?? []);
      usage.set(state.process.memory);
      tiles.alive.set(sum(agents.active, 'value'));
      put(tiles.alive.below, `of ${by(agents.active, 'type').length} types`);
      tiles.spawned.set(sum(agents.spawned, 'total'));
      put(tiles.spawned.below, agents.spawned_rate === null ? `${count(sum(agents.failed, 'total'))} failed` : `${rate(agents.spawned_rate)}, ${count(sum(agents.failed, 'total'))} failed`);
      tiles.waiting.set(sum(state.tasks.pending, 'value'));
      if (state.tasks.running !== null) metric(tiles.waiting.below, `${count(state.tasks.running)} running`, state.tasks.running, 'mcp_tasks_running');
      tiles.done.set(state.tasks.rate);
      put(tiles.done.below, state.tasks.p95_ms === null ? `${count(state.tasks.total)} in all` : `p50 ${ms(state.tasks.p50_ms)}, p95 ${ms(state.tasks.p95_ms)}`);
      tiles.tokens.set(state.neural.tokens_rate);
      put(tiles.tokens.below, `${compact(sum(state.neural.models, 'tokens_in') + sum(state.neural.models, 'tokens_out'))} in all`);
      tiles.logins.set(auth.success);
      metric(tiles.logins.number, count(auth.success), auth.success, 'mcp_auth_attempts_total', { status: 'success' });
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
