// What Grafana's server registers at its start for @grafana/data to work with: the properties that a
// field may be configured with, and the transformations. Without the editors, which nobody sees here.
import {
  FieldConfigOptionsRegistry,
  booleanOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';

type Item = Parameters<FieldConfigOptionsRegistry['register']>[0];
const NoEditor = () => null;

function item(id: string, process: unknown, isCustom = false): Item {
  return {
    id: isCustom ? `custom.${id}` : id,
    path: id,
    name: id,
    isCustom,
    process: process as Item['process'],
    shouldApply: () => true,
    override: NoEditor,
    editor: NoEditor,
    settings: {},
  };
}

const STANDARD = [
  item('unit', unitOverrideProcessor),
  item('min', numberOverrideProcessor),
  item('max', numberOverrideProcessor),
  item('decimals', numberOverrideProcessor),
  item('displayName', displayNameOverrideProcessor),
  item('color', identityOverrideProcessor),
  item('noValue', stringOverrideProcessor),
  item('mappings', valueMappingsOverrideProcessor),
  item('thresholds', thresholdsOverrideProcessor),
];

/** Those of the panels that our boards have, by the names in Grafana's types. */
const CUSTOM: Record<string, string[]> = {
  timeseries: [
    'drawStyle', 'lineInterpolation', 'lineWidth', 'lineStyle', 'fillOpacity', 'gradientMode', 'showPoints',
    'pointSize', 'spanNulls', 'stacking', 'axisPlacement', 'axisLabel', 'axisSoftMin', 'axisSoftMax',
    'thresholdsStyle', 'hideFrom',
  ],
  table: ['align', 'cellOptions', 'width', 'minWidth', 'filterable', 'hideFrom'],
  heatmap: ['hideFrom'],
};

export function registryOf(type: string): FieldConfigOptionsRegistry {
  const registry = new FieldConfigOptionsRegistry();
  for (const each of STANDARD) registry.register(each);
  for (const name of CUSTOM[type] ?? []) {
    const plain = name === 'filterable' ? booleanOverrideProcessor : identityOverrideProcessor;
    registry.register(item(name, plain, true));
  }
  return registry;
}

export function register(): void {
  standardEditorsRegistry.setInit(() => []);
  standardFieldConfigEditorRegistry.setInit(() => STANDARD);
  // One of them is there under two names.
  const transformers = new Map(Object.values(standardTransformers).map((info) => [info.id, info]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((info) => ({
      id: info.id,
      name: info.name,
      transformation: () => Promise.resolve(info),
      editor: NoEditor,
      imageDark: '',
      imageLight: '',
    })),
  );
}
