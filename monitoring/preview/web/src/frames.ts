// Prometheus' answers as the data frames that @grafana/data works on.
import { type DataFrame, FieldType, toDataFrame } from '@grafana/data';
import type { Series } from './api';

/** The name of a series: the legend with its labels put in, or all labels where there is no legend. */
export function legend(format: string | undefined, labels: Record<string, string>, expr: string): string {
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_whole, label) => labels[label] ?? '');
  }
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  if (pairs.length === 0) return name || expr;
  return `${name}{${pairs.join(', ')}}`;
}

function number(value: string): number | null {
  const read = value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value);
  return Number.isNaN(read) ? null : read;
}

/** One frame a series, on the times of the whole range, so that a hole is a hole. */
export function lines(
  series: Series[],
  refId: string,
  format: string | undefined,
  expr: string,
  grid?: { start: number; end: number; stepS: number },
): DataFrame[] {
  return series.map((one) => {
    const name = legend(format, one.metric, expr);
    const known = new Map(one.values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
    const times = grid ? gridTimes(grid) : [...known.keys()];
    return toDataFrame({
      name,
      refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: times, config: {} },
        {
          name: 'Value',
          type: FieldType.number,
          values: times.map((time) => known.get(time) ?? null),
          labels: one.metric,
          config: { displayNameFromDS: name },
        },
      ],
    });
  });
}

function gridTimes({ start, end, stepS }: { start: number; end: number; stepS: number }): number[] {
  const times = [];
  for (let i = 0; start + i * stepS <= end + 1e-6; i++) times.push(Math.round((start + i * stepS) * 1000));
  return times;
}

/** One frame for a query: a column for each label, then the value. */
export function table(series: Series[], refId: string, isOnly: boolean): DataFrame {
  const labels = [...new Set(series.flatMap((one) => Object.keys(one.metric)))].sort();
  const last = (one: Series) => one.values[one.values.length - 1]!;
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: series.map((one) => last(one)[0] * 1000), config: {} },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        values: series.map((one) => one.metric[label] ?? ''),
        config: {},
      })),
      {
        name: isOnly ? 'Value' : `Value #${refId}`,
        type: FieldType.number,
        values: series.map((one) => number(last(one)[1])),
        config: {},
      },
    ],
  });
}

export interface Buckets {
  times: number[];
  /** Upper bounds as they are written, lowest first. */
  bounds: string[];
  /** counts[bound][time] */
  counts: (number | null)[][];
}

/** Cumulative buckets by `le`, each without what the lower one holds. */
export function buckets(series: Series[], grid: { start: number; end: number; stepS: number }): Buckets {
  const times = gridTimes(grid);
  const sorted = series
    .filter((one) => one.metric.le !== undefined)
    .map((one) => ({ le: one.metric.le!, bound: number(one.metric.le!) ?? Infinity, values: one.values }))
    .sort((a, b) => a.bound - b.bound);
  const rows = sorted.map((one) => {
    const known = new Map(one.values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
    return times.map((time) => known.get(time) ?? null);
  });
  const counts = rows.map((row, i) =>
    row.map((value, t) => (value === null ? null : Math.max(0, value - (i > 0 ? (rows[i - 1]![t] ?? 0) : 0)))),
  );
  return { times, bounds: sorted.map((one) => one.le), counts };
}
