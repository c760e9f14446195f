// What has to hold of a drawn board. Each function gives its problems, a line each; none is good.
import { SCRAPE } from './servers.mjs';

/** How a unit of Grafana's shows itself. */
const SHOWN = {
  reqps: /req\/s$/,
  ops: /ops\/s$/,
  percent: /%$/,
  percentunit: /%$/,
  s: /(ns|µs|ms|s|mins?|hours?|days?|weeks?)$/,
  bytes: /(B|KiB|MiB|GiB)$/,
  short: /[0-9KM]$/,
  none: /[0-9]$/,
};

/** Everything wrong with one board, as the page drew it. */
export async function boardProblems(name, board, { page, said }) {
  const { panels, choices } = await page.evaluate(() => window.seen);
  const found = said.map((line) => `the console: ${line}`);
  for (const [variable, values] of Object.entries(choices)) {
    if (!values.length) found.push(`variable ${variable}: nothing to choose`);
  }
  const asked = board.panels.filter(({ type }) => type !== 'row');
  if (panels.length !== asked.length) found.push(`${panels.length} panels of ${asked.length}`);
  for (const seen of panels) {
    const model = asked.find(({ id }) => id === seen.id);
    const problems = [...seen.problems];
    if (!seen.points) problems.push('no data');
    else if (seen.drawable) problems.push(...(await drawnProblems(page, model, seen)));
    found.push(...problems.map((problem) => `${seen.type} ${seen.title}: ${problem}`));
  }
  return found.map((problem) => `${name}: ${problem}`);
}

async function drawnProblems(page, model, seen) {
  const drawn = await page.evaluate(look, model.id);
  if (/no data/i.test(drawn.text)) return ['says "No data"'];
  if (model.type === 'stat') {
    if (model.options.textMode === 'name') return drawn.text.includes(seen.series[0]) ? [] : [`shows ${drawn.text}`];
    const shown = SHOWN[model.fieldConfig.defaults.unit];
    const value = drawn.text.slice(model.title.length).trim();
    return /[0-9]/.test(value) && shown?.test(value) ? [] : [`shows ${value}, not in ${model.fieldConfig.defaults.unit}`];
  }
  if (model.type === 'timeseries') return linesProblems(drawn, seen);
  if (model.type === 'table') return tableProblems(drawn, model);
  return [`nobody looks at a ${model.type}`];
}

function* linesProblems(drawn, seen) {
  const names = [...seen.series].sort().join(' | ');
  const legend = drawn.legend.map(({ name }) => name).sort().join(' | ');
  if (legend !== names) yield `the legend has ${legend}, the data ${names}`;
  if (new Set(drawn.legend.map(({ name }) => name)).size !== drawn.legend.length) yield `a name stands twice: ${legend}`;
  // One may hide another, not all of them all.
  const most = Math.max(0, ...drawn.legend.map(({ pixels }) => pixels));
  if (most < 50) yield `no line is drawn: of the legend's colours the canvas has ${most} points`;
}

function* tableProblems(drawn, model) {
  const { renameByName } = model.transformations.find(({ id }) => id === 'organize').options;
  if (drawn.cells.length < 2) yield `its cells are ${drawn.cells}`;
  for (const header of drawn.headers) {
    if (header in renameByName && renameByName[header] !== header) yield `a column is called ${header}`;
  }
  for (const target of model.targets) {
    const title = renameByName[model.targets.length > 1 ? `Value #${target.refId}` : 'Value'];
    if (!drawn.headers.includes(title)) yield `no column ${title}: ${drawn.headers}`;
  }
}

/** In the page: what stands in the panel, and how often its legend's colours do on its canvas. */
function look(id) {
  const panel = document.querySelector(`[data-panel="${id}"]`);
  if (!panel) return { text: 'nothing: its page broke down', legend: [], headers: [], cells: [] };
  const texts = (selector) => [...panel.querySelectorAll(selector)].map((node) => node.textContent.trim());
  const canvas = panel.querySelector('canvas');
  const points = canvas?.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  const near = (at, colour) => points[at + 3] > 200 && colour.every((part, i) => Math.abs(part - points[at + i]) < 24);
  const count = (colour) => {
    let pixels = 0;
    for (let at = 0; at < points.length; at += 4) pixels += near(at, colour);
    return pixels;
  };
  const legend = [...panel.querySelectorAll('[data-testid="series-icon"]')].map((icon) => {
    const colour = getComputedStyle(icon).background.match(/\d+/g).slice(0, 3).map(Number);
    return { name: (icon.closest('tr') ?? icon.parentElement).querySelector('button').textContent.trim(), pixels: count(colour) };
  });
  return {
    text: panel.textContent,
    legend,
    headers: texts('[role="columnheader"]'),
    cells: texts('[role="gridcell"]').filter(Boolean),
  };
}

/** Queries that give something although a variable that the board has says there is nothing. */
export async function deafProblems(name, board, prometheus) {
  const variables = board.templating.list.filter(({ type }) => type === 'query').map(({ name }) => name);
  const found = [];
  for (const panel of board.panels) {
    for (const { expr, refId } of panel.targets ?? []) {
      for (const deaf of variables.filter((variable) => expr.includes(`$${variable}`) || variable === 'instance')) {
        const query = expr
          .replaceAll('$__rate_interval', `${4 * SCRAPE}s`)
          .replace(/\$(\w+)/g, (_, variable) => (variable === deaf ? 'nothing of this name' : '.*'));
        const answer = await (await fetch(`${prometheus}/api/v1/query?${new URLSearchParams({ query })}`)).json();
        const said = answer.status !== 'success' ? answer.error : answer.data.result.length && 'it gives data all the same';
        if (said) found.push(`${name}: ${panel.title} ${refId}, with no ${deaf}: ${said}`);
      }
    }
  }
  return found;
}
