// The tables of the view of agents & tasks. Where nothing was reported, each says which call of
// vitals.mcp() reports it.

import { h, code, empty, metric } from './dom.js';
import { bytes, compact, count, digits, ms, rate } from './format.js';
import { table } from './table.js';

export const sum = (rows, field) => rows.reduce((all, row) => all + row[field], 0);
export const by = (rows, key) => [...new Set(rows.map((row) => row[key]))];
const hint = (title, call) => empty(title, code(call));

/** A column of numbers that /metrics has too, under the labels of these names where the row has them. */
function number(key, label, name, labels, shown = count) {
  const cell = (cell, row) => {
    const own = labels.filter((label) => row[label]).map((label) => [label, row[label]]);
    metric(cell, shown(row[key]), row[key], name, Object.fromEntries(own));
  };
  return { key, label, num: true, cell };
}

/** The tables, and `state(state)` that fills them. */
export function agentsTables() {
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
      number('total', 'Failed', 'mcp_agents_failed_total', ['type', 'reason']),
    ],
  });
  const pending = table({
    caption: 'Tasks that wait, by priority',
    rowKey: (row) => row.priority,
    sort: { key: 'value', down: true },
    empty: hint(
      'No task has been queued.',
      'let task = vitals.mcp().task_queued("normal");\nlet running = task.start("search");',
    ),
    columns: [
      { key: 'priority', label: 'Priority' },
      number('value', 'Waiting', 'mcp_tasks_pending', ['priority']),
    ],
  });
  const tasks = table({
    caption: 'Tasks that ended, by outcome',
    rowKey: (row) => row.status,
    sort: { key: 'total', down: true },
    empty: 'No task has ended.',
    columns: [
      { key: 'status', label: 'Outcome' },
      number('total', 'Tasks', 'mcp_task_duration_seconds_count', ['status']),
    ],
  });
  const models = table({
    caption: 'Models',
    rowKey: (row) => row.model,
    sort: { key: 'inferences', down: true },
    empty: hint('No model has been asked.', 'vitals.mcp().inference("small", "predict", took, read, wrote);'),
    columns: [
      { key: 'model', label: 'Model' },
      number('inferences', 'Answers', 'mcp_neural_inference_duration_seconds_count', ['model']),
      { key: 'p50_ms', label: 'p50', num: true, text: (row) => ms(row.p50_ms) },
      { key: 'p95_ms', label: 'p95', num: true, text: (row) => ms(row.p95_ms) },
      {
        key: 'tokens_in',
        label: 'Read',
        title: 'Tokens in',
        num: true,
        cell: tokensCell('tokens_in', 'input'),
      },
      {
        key: 'tokens_out',
        label: 'Wrote',
        title: 'Tokens out',
        num: true,
        cell: tokensCell('tokens_out', 'output'),
      },
      { key: 'tokens_rate', label: 'Tokens/s', num: true, text: (row) => digits(row.tokens_rate) },
    ],
  });
  const memory = table({
    caption: 'Operations on the memory store',
    rowKey: (row) => `${row.operation}/${row.status ?? ''}`,
    sort: { key: 'total', down: true },
    empty: hint(
      'No operation on a memory store.',
      'vitals.mcp().memory_operation("retrieve", Status::Success);',
    ),
    columns: [
      { key: 'operation', label: 'Operation' },
      { key: 'status', label: 'Outcome' },
      number('total', 'Operations', 'mcp_memory_operations_total', ['operation', 'status']),
      { key: 'rate', label: 'Rate', num: true, text: (row) => rate(row.rate) },
    ],
  });
  const logins = table({
    caption: 'Authentication by method',
    rowKey: (row) => `${row.method}/${row.status}`,
    sort: { key: 'total', down: true },
    empty: hint(
      'Nobody has logged in.',
      'vitals.mcp().auth_attempt("token", ok);\nvitals.mcp().rate_limited(user);',
    ),
    columns: [
      { key: 'method', label: 'Method' },
      { key: 'status', label: 'Outcome' },
      number('total', 'Attempts', 'mcp_auth_attempts_total', ['method', 'status']),
    ],
  });
  const usage = table({
    caption: 'Memory by kind',
    rowKey: (row) => row.type,
    sort: { key: 'bytes', down: true },
    empty: hint('No reading of memory.', '.system_metrics(true)'),
    columns: [
      { key: 'type', label: 'Memory' },
      number('bytes', 'Size', 'mcp_memory_usage_bytes', ['type'], bytes),
    ],
  });

  function tokensCell(field, direction) {
    return (cell, row) =>
      metric(cell, compact(row[field]), row[field], 'mcp_neural_tokens_processed_total', {
        model: row.model,
        direction,
      });
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
          ...names.map((status) => ({
            key: status,
            label: status,
            num: true,
            value: (row) => row.active[status] ?? null,
            cell: (cell, row) =>
              metric(cell, count(row.active[status]), row.active[status], 'mcp_agents_active', {
                type: row.type,
                status,
              }),
          })),
          number('spawned', 'Spawned', 'mcp_agents_spawned_total', ['type']),
          {
            key: 'failed',
            label: 'Failed',
            num: true,
            cell: (cell, row) => (
              metric(cell, count(row.failed), row.failed, 'mcp_agents_failed_total', { type: row.type }),
              cell.classList.toggle('bad', row.failed > 0)
            ),
          },
        ],
      });
      agentsPlace.replaceChildren(agentsTable.element);
    }
    const types = by([...agents.active, ...agents.spawned, ...agents.failed], 'type');
    agentsTable.set(
      types.map((type) => ({
        type,
        active: Object.fromEntries(
          agents.active.filter((row) => row.type === type).map((row) => [row.status, row.value]),
        ),
        spawned: agents.spawned.find((row) => row.type === type)?.total ?? null,
        failed: agents.failed.some((row) => row.type === type)
          ? sum(
              agents.failed.filter((row) => row.type === type),
              'total',
            )
          : null,
      })),
    );
  }

  return {
    agents: agentsPlace,
    failures: failures.element,
    pending: pending.element,
    tasks: tasks.element,
    models: models.element,
    memory: memory.element,
    logins: logins.element,
    usage: usage.element,
    state(state) {
      drawAgents(state.agents);
      failures.set(state.agents.failed);
      pending.set(state.tasks.pending);
      tasks.set(state.tasks.by_status);
      models.set(state.neural.models);
      memory.set(state.memory.operations);
      logins.set(state.auth.by_method);
      usage.set(state.process.memory);
    },
  };
}
