/** A generated board as @grafana/schema has it: its own types, and for each kind of panel those of its options.
 *
 * The schema writes enumerations where JSON has texts and numbers; `Plain` is the same type with their values.
 * A literal assigned to `Board` is checked for keys that the types do not know, at every depth.
 */
import type * as dashboard from "@grafana/schema/raw/dashboard/x/types.gen";
import type * as bargauge from "@grafana/schema/raw/composable/bargauge/panelcfg/x/types.gen";
import type * as gauge from "@grafana/schema/raw/composable/gauge/panelcfg/x/types.gen";
import type * as heatmap from "@grafana/schema/raw/composable/heatmap/panelcfg/x/types.gen";
import type * as stat from "@grafana/schema/raw/composable/stat/panelcfg/x/types.gen";
import type * as stateTimeline from "@grafana/schema/raw/composable/statetimeline/panelcfg/x/types.gen";
import type * as table from "@grafana/schema/raw/composable/table/panelcfg/x/types.gen";
import type * as timeseries from "@grafana/schema/raw/composable/timeseries/panelcfg/x/types.gen";

type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : never
      : T extends boolean | null | undefined
        ? T
        : T extends Array<infer Item>
          ? Array<Plain<Item>>
          : { [Key in keyof T]: Plain<T[Key]> };

type Source = { type: string; uid: string };

/** The Prometheus data source's query; its types are not in the schema's package. */
interface Target {
  datasource: Source;
  exemplar?: boolean;
  expr: string;
  format: "time_series" | "table" | "heatmap";
  instant: boolean;
  legendFormat: string;
  range: boolean;
  refId: string;
}

interface FieldConfig<Custom> {
  defaults: Omit<Plain<dashboard.FieldConfig>, "custom"> & { custom: Partial<Plain<Custom>> };
  overrides: Array<{ matcher: { id: string; options: string }; properties: Array<{ id: string; value: unknown }> }>;
}

type Panel<Type extends string, Options, Custom> = Omit<
  Plain<dashboard.Panel>,
  "fieldConfig" | "options" | "targets" | "type"
> & {
  description: string;
  fieldConfig: FieldConfig<Custom>;
  gridPos: { h: number; w: number; x: number; y: number };
  id: number;
  options: Plain<Options>;
  targets: Target[];
  title: string;
  type: Type;
};

type Nothing = Record<never, never>;

type AnyPanel =
  | Plain<dashboard.RowPanel>
  | Panel<"bargauge", bargauge.Options, Nothing>
  | Panel<"gauge", Partial<gauge.Options>, Nothing> // Grafana 13 added required ones, which it fills in itself
  | Panel<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | Panel<"stat", stat.Options, Nothing>
  | Panel<"state-timeline", stateTimeline.Options, stateTimeline.FieldConfig>
  | Panel<"table", table.Options, table.FieldConfig>
  | Panel<"timeseries", timeseries.Options, timeseries.FieldConfig>;

/** What Prometheus annotations have beside the schema's keys. */
type Annotation = Plain<dashboard.AnnotationQuery> & {
  expr?: string;
  tagKeys?: string;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
};

/** What only a board to be imported has. */
interface Importable {
  __elements?: Record<string, never>;
  __inputs?: Array<{ name: string; label: string; description: string; type: string; pluginId: string; pluginName: string }>;
  __requires?: Array<{ type: "datasource" | "grafana" | "panel"; id: string; name: string; version: string }>;
}

export type Board = Omit<Plain<dashboard.Dashboard>, "annotations" | "panels" | "schemaVersion"> &
  Importable & {
    annotations: { list: Annotation[] };
    panels: AnyPanel[];
    schemaVersion: 42;
    title: string;
    uid: string;
  };
