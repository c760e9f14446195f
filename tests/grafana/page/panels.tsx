// Each panel as Grafana's own panel of that type calls the components of @grafana/ui.
import {
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type DataFrame,
  type DisplayValueAlignmentFactors,
  type FieldConfigSource,
  type FieldDisplay,
  type GrafanaTheme2,
  type TimeRange,
  VizOrientation,
} from '@grafana/data';
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { BigValueColorMode, BigValueGraphMode, BigValueTextMode, VizLegendOptions } from '@grafana/schema';
import { BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { ReactNode } from 'react';
import { substituted, type Panel } from './query';

export interface Drawing {
  panel: Panel;
  data: DataFrame[];
  width: number;
  height: number;
  range: TimeRange;
  theme: GrafanaTheme2;
}

type Of<Type extends Panel['type']> = Drawing & { panel: Extract<Panel, { type: Type }> };

function Lines({ panel, data, width, height, range }: Of<'timeseries'>) {
  const legend = panel.options.legend as VizLegendOptions;
  return <TimeSeries frames={data} width={width} height={height} timeRange={range} timeZone="utc" legend={legend} />;
}

function Stat({ panel, data, width, height, theme }: Of<'stat'>) {
  const options = panel.options;
  const values = () =>
    getFieldDisplayValues({
      fieldConfig: panel.fieldConfig as unknown as FieldConfigSource,
      reduceOptions: options.reduceOptions,
      replaceVariables: (text) => substituted(text, {}),
      theme,
      data,
      sparkline: options.graphMode !== 'none',
      timeZone: 'utc',
    });
  return (
    <VizRepeater<FieldDisplay, DisplayValueAlignmentFactors>
      getValues={values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, alignmentFactors, count }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={options.colorMode as BigValueColorMode}
          graphMode={options.graphMode as BigValueGraphMode}
          textMode={options.textMode as BigValueTextMode}
          alignmentFactors={alignmentFactors}
          disableWideLayout={!options.wideLayout}
          width={width}
          height={height}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      source={data}
      autoGrid
      renderCounter={0}
      orientation={VizOrientation.Auto}
    />
  );
}

function Table({ panel, data, width, height, range }: Of<'table'>) {
  const [frame] = data;
  if (!frame) return null;
  const { sortBy, cellHeight, showHeader } = panel.options as TableOptions;
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      timeRange={range}
      noHeader={!showHeader}
      sortBy={sortBy}
      cellHeight={cellHeight}
      enableVirtualization={false}
    />
  );
}

/** Whether the packages can draw it; the rest is in Grafana's server only. */
export const drawable = (panel: Panel) => panel.type in DRAW;

const DRAW: { [type: string]: (drawing: never) => ReactNode } = { timeseries: Lines, stat: Stat, table: Table };

export function Content(drawing: Drawing) {
  const Draw = DRAW[drawing.panel.type] as undefined | ((drawing: Drawing) => ReactNode);
  const points = drawing.data.reduce((sum, frame) => sum + frame.length, 0);
  if (!points) return <p>No data</p>;
  if (Draw) return <Draw {...drawing} />;
  return (
    <p style={{ opacity: 0.6, padding: 8 }}>
      A {drawing.panel.type} is drawn by Grafana's server only. Its query gave {drawing.data.length} series of{' '}
      {points} points in all.
    </p>
  );
}
