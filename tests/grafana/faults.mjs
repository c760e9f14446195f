// Faults, each planted into another panel of a copy of the overview, and what has to be said of it.
const panel = (board, title) => board.panels.find((one) => one.title === title);

export const FAULTS = [
  {
    name: 'an expression that does not parse',
    plant: (board) => (panel(board, 'In flight').targets[0].expr += ' by'),
    says: /stat In flight: .*parse error/,
  },
  {
    name: 'a metric that nobody has',
    plant: (board) => panel(board, 'Sessions').targets.forEach((target) => (target.expr = 'sum(mcp_sessions_inactive{instance=~"$instance"})')),
    says: /timeseries Sessions: no data/,
  },
  {
    name: 'a unit that Grafana does not have',
    plant: (board) => (panel(board, 'Request rate').fieldConfig.defaults.unit = 'reqpersec'),
    says: /stat Request rate: Grafana has no unit reqpersec/,
  },
  {
    name: 'a calculation that Grafana does not have',
    plant: (board) => (panel(board, 'CPU').options.reduceOptions.calcs = ['nothing']),
    says: /stat CPU: /,
  },
  {
    name: 'a setting that Grafana passes over',
    plant: (board) => (panel(board, 'Panics and cancellations').fieldConfig.defaults.custom.lineWeight = 2),
    says: /Panics and cancellations: a timeseries has no setting custom.lineWeight/,
  },
  {
    name: 'lines that are not drawn',
    plant: (board) => Object.assign(panel(board, 'In flight by tool').fieldConfig.defaults.custom, { lineWidth: 0 }),
    says: /timeseries In flight by tool: no line is drawn/,
  },
  {
    name: 'a query that is deaf to a variable',
    plant: (board) => (panel(board, 'Errors by type').targets[0].expr = 'sum by (error_type) (rate(mcp_request_errors_total[$__rate_interval]))'),
    says: /Errors by type A, with no instance: it gives data all the same/,
  },
  {
    name: 'a wrong type',
    plant: (board) => (panel(board, 'Request p95 by tool').gridPos.w = '12'),
    says: /planted.ts:\d+: Type 'string' is not assignable to type 'number'/,
  },
  ...['10', '11', '12'].map((release) => ({
    name: `the wrong type, by Grafana ${release}`,
    plant: () => {},
    says: new RegExp(`Grafana ${release}: planted.ts`),
  })),
  {
    name: 'an option of another panel',
    plant: (board) => (panel(board, 'Request rate by tool').options.textMode = 'name'),
    says: /planted.ts:\d+: .*"textMode"' does not exist/,
  },
];
