// One dashboard, read from its file, drawn from a live Prometheus:
// ?board=NAME&prometheus=URL&scrape=SECONDS&from=UNIX&to=UNIX
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  FieldType,
  getFieldDisplayName,
  getValueFormats,
  LoadingState,
  ThemeContext,
  transformDataFrame,
  type DataFrame,
  type FieldConfigSource,
} from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';
import 'uplot/dist/uPlot.min.css';
import '@grafana/react-data-grid/lib/styles.css';
import type { Board } from '../model';
import { register, registryOf } from './fields';
import { Content, drawable } from './panels';
import { frames, timeRange, variables, type Panel, type Setting } from './query';

/** What the runner reads. */
interface Seen {
  id: number;
  title: string;
  type: string;
  drawable: boolean;
  /** As the legend names them. */
  series: string[];
  /** Values that are numbers. */
  points: number;
  problems: string[];
}
declare global {
  interface Window {
    seen?: { panels: Seen[]; choices: Record<string, string[]> };
    failed?: string;
    __grafana_public_path__?: string;
  }
}

const [UNIT, GAP] = [30, 8];
const theme = createTheme({ colors: { mode: 'dark' } });
const KNOWN = new Set(getValueFormats().flatMap((group) => group.submenu ?? []).map((unit) => unit.value));

/** Settings of the fields that Grafana would pass over in silence. */
function* ignored(panel: Panel): Generator<string> {
  const registry = registryOf(panel.type);
  const { custom = {}, ...standard } = panel.fieldConfig.defaults as Record<string, object>;
  const overridden = panel.fieldConfig.overrides.flatMap((rule) => rule.properties);
  const names = [
    ...Object.keys(standard),
    ...Object.keys(custom).map((name) => `custom.${name}`),
    ...overridden.map((property) => property.id),
  ];
  for (const name of names) {
    if (!registry.getIfExists(name)) yield `a ${panel.type} has no setting ${name}`;
  }
  const units = [standard.unit, ...overridden.filter(({ id }) => id === 'unit').map(({ value }) => value)];
  for (const unit of units) {
    if (unit !== undefined && !KNOWN.has(String(unit))) yield `Grafana has no unit ${unit}`;
  }
}

async function prepared(panel: Panel, setting: Setting, width: number) {
  const raw = await frames(panel, setting, width);
  const context = { interpolate: (text: string) => text };
  const steps = (panel.transformations ?? []) as Parameters<typeof transformDataFrame>[0];
  const data = steps.length ? await firstValueFrom(transformDataFrame(steps, raw, context)) : raw;
  const drawn = applyFieldOverrides({
    data,
    fieldConfig: panel.fieldConfig as unknown as FieldConfigSource,
    fieldConfigRegistry: registryOf(panel.type),
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(drawn);
  return drawn;
}

function describe(panel: Panel, data: DataFrame[], problems: string[]): Seen {
  const numbers = data.flatMap((frame) =>
    frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })),
  );
  return {
    id: panel.id,
    title: panel.title,
    type: panel.type,
    drawable: drawable(panel),
    series: numbers.map(({ frame, field }) => getFieldDisplayName(field, frame, data)),
    points: numbers.reduce((sum, { field }) => sum + field.values.filter(Number.isFinite).length, 0),
    problems,
  };
}

async function main() {
  window.__grafana_public_path__ = '/public/';
  register();
  const query = new URLSearchParams(location.search);
  const prometheus = query.get('prometheus') ?? '';
  const board: Board = await (await fetch(`/boards/${query.get('board')}.json`)).json();
  const { values, choices } = await variables(board, prometheus);
  const range = timeRange(Number(query.get('from')), Number(query.get('to')));
  const setting: Setting = { prometheus, scrape: Number(query.get('scrape')), range, variables: values };
  const column = (innerWidth - GAP) / 24;
  const place = ({ x, y, w, h }: Panel['gridPos']) => ({
    left: x * column + GAP,
    top: y * (UNIT + GAP) + GAP,
    width: w * column - GAP,
    height: h * (UNIT + GAP) - GAP,
  });

  const all = await Promise.all(
    board.panels.map(async (panel) => {
      if (panel.type === 'row') return { panel, data: [], problems: [] };
      const problems = [...ignored(panel)];
      const data = await prepared(panel, setting, Math.floor(place(panel.gridPos).width)).catch((error) => {
        problems.push(`${error}`);
        return [];
      });
      return { panel, data, problems };
    }),
  );

  const bottom = Math.max(...board.panels.map(({ gridPos }) => (gridPos?.y ?? 0) + (gridPos?.h ?? 0)));
  const height = bottom * (UNIT + GAP) + GAP;
  const { fontFamily, fontSize } = theme.typography;
  document.body.style.cssText = `margin:0; background:${theme.colors.background.canvas};
    color:${theme.colors.text.primary}; font-family:${fontFamily}; font-size:${fontSize}px;
    line-height:${theme.typography.body.lineHeight}`;
  createRoot(document.body.appendChild(document.createElement('div'))).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'relative', height }}>
        {all.map(({ panel, data }) => {
          const at = place(panel.gridPos as Panel['gridPos']);
          const style = { position: 'absolute' as const, ...at };
          if (panel.type === 'row') {
            return (
              <div key={panel.id} style={{ ...style, paddingTop: 4, fontWeight: 500 }}>
                {panel.title}
              </div>
            );
          }
          return (
            <div key={panel.id} data-panel={panel.id} style={style}>
              <PanelChrome
                title={panel.title}
                description={panel.description}
                width={at.width}
                height={at.height}
                loadingState={LoadingState.Done}
                padding={panel.type === 'table' ? 'none' : 'md'}
              >
                {(width, height) => <Content {...{ panel, data, width, height, range, theme }} />}
              </PanelChrome>
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>,
  );
  await document.fonts.ready;
  // Two frames: React has drawn, and so have the canvases.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const panels = all.flatMap(({ panel, data, problems }) =>
    panel.type === 'row' ? [] : [describe(panel, data, problems)],
  );
  window.seen = { panels, choices };
}

main().catch((error) => {
  window.failed = `${error?.stack ?? error}`;
});
