// Units, thresholds, mappings, overrides, transformations and names, all by Grafana's own library.
import {
  type DataFrame,
  type DataTransformerConfig,
  type DisplayValue,
  type Field,
  type FieldConfigSource,
  type GrafanaTheme2,
  FieldType,
  Registry,
  applyFieldOverrides,
  createTheme,
  fieldReducers,
  formattedValueToString,
  getDisplayProcessor,
  getFieldDisplayName,
  reduceField,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';

const known = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...known.values()].map((one) => ({ id: one.id, name: one.name, transformation: () => Promise.resolve(one) }) as any),
);

const STANDARD = ['unit', 'min', 'max', 'decimals', 'color', 'thresholds', 'mappings', 'noValue', 'displayName', 'links'];
const CUSTOM = [
  'lineWidth', 'fillOpacity', 'lineStyle', 'stacking', 'thresholdsStyle', 'drawStyle', 'lineInterpolation', 'gradientMode',
  'axisPlacement', 'axisLabel', 'hideFrom', 'spanNulls', 'showPoints', 'align', 'cellOptions', 'width', 'transform', 'displayMode',
];
// Grafana's interface registers editors for these; without editors, a property is where it lies and how it is set.
const registry = new Registry<any>(() => [
  ...STANDARD.map((id) => ({ id, path: id, name: id, process: (value: any) => value, shouldApply: () => true })),
  ...CUSTOM.map((id) => ({
    id: `custom.${id}`,
    path: id,
    name: id,
    isCustom: true,
    process: (value: any) => value,
    shouldApply: () => true,
  })),
]);

export const theme = (mode: 'dark' | 'light'): GrafanaTheme2 => createTheme({ colors: { mode } });

/** The frames after a panel's transformations; those that need a whole Grafana are an error with their name. */
export function transformed(frames: DataFrame[], steps: DataTransformerConfig[] | undefined): Promise<DataFrame[]> {
  const wanted = (steps ?? []).filter((step) => !step.disabled);
  const missing = wanted.find((step) => !known.has(step.id));
  if (missing) return Promise.reject(new Error(`the transformation ${missing.id} is not made here`));
  if (wanted.length === 0) return Promise.resolve(frames);
  return new Promise((resolve, reject) =>
    transformDataFrame(wanted, frames, { interpolate: (text: string) => text }).subscribe({ next: resolve, error: reject }),
  );
}

/** The frames with everything a panel says of its fields, ready to be displayed. */
export function configured(
  frames: DataFrame[],
  source: Partial<FieldConfigSource> | undefined,
  look: GrafanaTheme2,
  timeZone: string,
  fill: (text: string) => string,
): DataFrame[] {
  const fieldConfig: FieldConfigSource = { defaults: source?.defaults ?? {}, overrides: source?.overrides ?? [] };
  return applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: registry,
    replaceVariables: fill,
    theme: look,
    timeZone,
  } as any);
}

export function nameOf(field: Field, frame: DataFrame, all: DataFrame[]): string {
  return getFieldDisplayName(field, frame, all);
}

export function display(field: Field, look: GrafanaTheme2): (value: unknown) => DisplayValue {
  return field.display ?? getDisplayProcessor({ field, theme: look });
}

export const written = (value: DisplayValue): string => formattedValueToString(value);

/** The fields that hold numbers, with their frames. */
export function numbers(frames: DataFrame[]): { frame: DataFrame; field: Field }[] {
  return frames.flatMap((frame) =>
    frame.fields.filter((field) => field.type === FieldType.number).map((field) => ({ frame, field })),
  );
}

/** One number of a field, by the first of a panel's calculations. */
export function reduced(field: Field, calculations: string[] | undefined): unknown {
  const id = calculations?.[0] ?? 'lastNotNull';
  const reducer = fieldReducers.getIfExists(id) ? id : 'lastNotNull';
  return reduceField({ field, reducers: [reducer] })[reducer];
}

export function calculation(field: Field, id: string): { name: string; value: unknown } {
  const reducer = fieldReducers.getIfExists(id);
  return { name: reducer?.name ?? id, value: reducer ? reduceField({ field, reducers: [id] })[id] : null };
}
