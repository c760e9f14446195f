// The columns of a table of requests, a row for each tool and operation: what the list of tools and the
// page of one tool have in common.

import { put, metric, traceLink } from './dom.js';
import { count, ms, ratio, rate } from './format.js';

/** The columns from the number of requests on; `more` stand behind the rate. */
export function requestColumns(shell, ...more) {
  const percentile = (key, label) => ({ key, label, num: true, text: (row) => ms(row[key]) });
  return [
    { key: 'total', label: 'Requests', num: true, cell: requestsCell('total') },
    { key: 'rate', label: 'Rate', num: true, text: (row) => rate(row.rate) },
    ...more,
    { key: 'errors', label: 'Errors', num: true, cell: requestsCell('errors', 'error') },
    { key: 'error_ratio', label: 'Error ratio', num: true, cell: errorCell(shell) },
    { key: 'cancelled', label: 'Cancelled', num: true, cell: requestsCell('cancelled', 'cancelled') },
    percentile('p50_ms', 'p50'),
    percentile('p95_ms', 'p95'),
    percentile('p99_ms', 'p99'),
    percentile('max_ms', 'Max'),
    {
      key: 'exemplar',
      label: 'Slow trace',
      num: true,
      title: 'Duration of the slowest request that has a trace',
      cell: exemplarCell,
      value: (row) => row.exemplar?.ms ?? null,
    },
  ];
}

/** Numbers of a row that /metrics has too. */
function requestsCell(field, status) {
  return (cell, row) => {
    const labels = { tool: row.tool, operation: row.operation, ...(status ? { status } : {}) };
    // `_other` sums the tools past the fiftieth, which is not a series of /metrics.
    if (row.summed) put(cell, count(row[field]));
    else metric(cell, count(row[field]), row[field], 'mcp_requests_total', labels);
  };
}

function exemplarCell(cell, row) {
  const { exemplar } = row;
  const shown = exemplar ? exemplar.trace_id : '';
  if (cell.dataset.trace === shown) return;
  cell.dataset.trace = shown;
  cell.replaceChildren(exemplar ? traceLink(exemplar.trace_id, ms(exemplar.ms)) : '–');
}

/** Bad where the key rule would find it so, were it the whole server's. */
function errorCell(shell) {
  return (cell, row) => {
    put(cell, ratio(row.error_ratio));
    cell.classList.toggle('bad', row.error_ratio > shell.rule('HighErrorRate').threshold);
  };
}
