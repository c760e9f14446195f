// The queries of a panel, sent to Prometheus as Grafana's data source sends them, and what it answers
// as Grafana's frames.
import {
  dateTime,
  FieldType,
  rangeUtil,
  renderLegendFormat,
  toDataFrame,
  type DataFrame,
  type TimeRange,
} from '@grafana/data';
import type { AnyPanel, Board } from '../model';

export type Panel = Exclude<AnyPanel, { type: 'row' }>;
type Target = Panel['targets'][number];
type Labels = Record<string, string>;
interface Series {
  metric: Labels;
  value?: [number, string];
  values?: Array<[number, string]>;
}

export interface Setting {
  prometheus: string;
  /** Of the scrapes, in seconds: the data source's "scrape interval". */
  scrape: number;
  range: TimeRange;
  variables: Record<string, string>;
}

async function ask<T>(base: string, path: string, query: Record<string, string>): Promise<T> {
  const answer = await fetch(`${base}/api/v1/${path}?${new URLSearchParams(query)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(`${body.error}`);
  return body.data;
}

/** What each variable of the board stands for on "All", and what there was to choose from. */
export async function variables(board: Board, prometheus: string) {
  const values: Record<string, string> = {};
  const choices: Record<string, string[]> = {};
  for (const variable of board.templating?.list ?? []) {
    if (variable.type !== 'query') continue;
    const { query } = variable.query as unknown as { query: string };
    const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
    if (!selector || !label) throw new Error(`the variable ${variable.name} asks ${query}`);
    const match = substituted(selector, values);
    choices[variable.name] = await ask(prometheus, `label/${label}/values`, { 'match[]': match });
    values[variable.name] = String(variable.allValue);
  }
  return { values, choices };
}

/** Text with its variables put in; one that nobody knows is an error. */
export function substituted(text: string, values: Record<string, string>): string {
  return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, braced, bare) => {
    const value = values[braced ?? bare];
    if (value === undefined) throw new Error(`nobody knows the variable ${all}`);
    return value;
  });
}

const number = (text: string) => {
  const value = text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
  return Number.isNaN(value) ? null : value;
};

function legend(target: Target, labels: Labels): string {
  const pairs = Object.entries(labels).filter(([name]) => name !== '__name__');
  const plain = pairs.map(([name, value]) => `${name}="${value}"`).join(', ');
  if (target.legendFormat) return renderLegendFormat(target.legendFormat, labels);
  return labels.__name__ || pairs.length ? `${labels.__name__ ?? ''}{${plain}}` : target.expr;
}

function seriesFrame(target: Target, one: Series, step: number): DataFrame {
  const values = one.values ?? [];
  const { __name__: _, ...labels } = one.metric;
  return toDataFrame({
    refId: target.refId,
    name: legend(target, one.metric),
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        values: values.map(([at]) => at * 1000),
        config: { interval: step * 1000 },
      },
      {
        name: 'Value',
        type: FieldType.number,
        labels,
        values: values.map(([, text]) => number(text)),
        config: { displayNameFromDS: legend(target, one.metric) },
      },
    ],
  });
}

/** A row for each series: its time, its labels, its value. */
function tableFrame(target: Target, answer: Series[], column: string): DataFrame {
  const names = [...new Set(answer.flatMap((one) => Object.keys(one.metric)))].sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: answer.map((one) => (one.value?.[0] ?? 0) * 1000) },
      ...names.map((name) => ({
        name,
        type: FieldType.string,
        values: answer.map((one) => one.metric[name] ?? ''),
      })),
      { name: column, type: FieldType.number, values: answer.map((one) => number(one.value?.[1] ?? '')) },
    ],
  });
}

/** The frames of one panel that is `width` points wide. */
export async function frames(panel: Panel, setting: Setting, width: number): Promise<DataFrame[]> {
  const { range, scrape } = setting;
  const { intervalMs } = rangeUtil.calculateInterval(range, panel.maxDataPoints ?? width, `${scrape}s`);
  const step = intervalMs / 1000;
  const values = {
    ...setting.variables,
    __interval: `${step}s`,
    __range: `${Math.round(range.to.diff(range.from) / 1000)}s`,
    __rate_interval: `${Math.max(step + scrape, 4 * scrape)}s`,
  };
  const answers = panel.targets.map(async (target) => {
    const query = substituted(target.expr, values);
    if (target.instant) {
      const time = String(range.to.unix());
      const { result } = await ask<{ result: Series[] }>(setting.prometheus, 'query', { query, time });
      const column = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
      return [tableFrame(target, result, column)];
    }
    // On multiples of the step, as Grafana has it.
    const start = Math.floor(range.from.unix() / step) * step;
    const end = Math.floor(range.to.unix() / step) * step;
    const asked = { query, start: String(start), end: String(end), step: String(step) };
    const { result } = await ask<{ result: Series[] }>(setting.prometheus, 'query_range', asked);
    return result.map((one) => seriesFrame(target, one, step));
  });
  return (await Promise.all(answers)).flat();
}

export const timeRange = (from: number, to: number): TimeRange => ({
  from: dateTime(from * 1000),
  to: dateTime(to * 1000),
  raw: { from: dateTime(from * 1000), to: dateTime(to * 1000) },
});
