// What a dashboard of ours may hold: Grafana's own types, with the options of each type of panel
// instead of the `unknown` that its dashboard type has there.
import type { Dashboard, DataTransformerConfig, FieldConfig, GraphFieldConfig, HideableFieldConfig, Panel, RowPanel, TableFieldOptions } from '@grafana/schema';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as HeatmapOptions } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** The same as it stands in JSON: an enumeration of strings is its words. */
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

/** Every panel and every query asks the variable: none has a data source of its own. */
interface Source {
  type: 'prometheus';
  uid: '${datasource}';
}

interface Target {
  refId: string;
  datasource: Source;
  expr: string;
  editorMode: 'code';
  instant: boolean;
  range: boolean;
  exemplar?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
  legendFormat?: string;
}

/** The transformations that the host page knows: those of @grafana/data. */
type Transformation = Json<DataTransformerConfig> & { id: 'merge' | 'organize' };

interface Fields<Custom> {
  defaults: Omit<Json<FieldConfig>, 'custom'> & { custom?: Json<Custom> };
  overrides: Array<{
    matcher: { id: 'byName' | 'byRegexp' | 'byFrameRefID'; options: string };
    properties: Array<Property>;
  }>;
}

type Property =
  | { id: 'unit' | 'displayName'; value: string }
  | { id: 'decimals' | 'min' | 'max' | 'custom.width'; value: number }
  | { id: 'color'; value: NonNullable<Json<FieldConfig>['color']> }
  | { id: 'thresholds'; value: NonNullable<Json<FieldConfig>['thresholds']> }
  | { id: 'mappings'; value: NonNullable<Json<FieldConfig>['mappings']> }
  | { id: 'custom.cellOptions'; value: NonNullable<Json<TableFieldOptions>['cellOptions']> }
  | { id: 'custom.lineStyle'; value: NonNullable<Json<GraphFieldConfig>['lineStyle']> }
  | { id: 'custom.axisPlacement'; value: NonNullable<Json<GraphFieldConfig>['axisPlacement']> }
  | { id: 'custom.fillOpacity' | 'custom.lineWidth'; value: number };

interface Drawn<Type extends string, Options, Custom>
  extends Pick<Panel, 'description' | 'maxDataPoints' | 'interval'> {
  id: number;
  type: Type;
  title: string;
  gridPos: NonNullable<Panel['gridPos']>;
  datasource: Source;
  targets: Target[];
  options: Json<Options>;
  fieldConfig: Fields<Custom>;
  transformations?: Transformation[];
}

export type AnyPanel =
  | Drawn<'timeseries', TimeSeriesOptions, GraphFieldConfig>
  | Drawn<'stat', StatOptions, never>
  | Drawn<'bargauge', BarGaugeOptions, never>
  | Drawn<'table', TableOptions, Partial<TableFieldOptions>>
  | Drawn<'heatmap', HeatmapOptions, HideableFieldConfig>
  | (RowPanel & { panels: [] });

export interface Board extends Omit<Dashboard, 'panels'> {
  uid: string;
  title: string;
  id: null;
  panels: AnyPanel[];
}

// What is a board of ours is a dashboard of Grafana's.
export const asGrafana = (board: Board): Dashboard => ({ ...board, panels: board.panels as Dashboard['panels'] });
