// What each variable can be and is: asked of Prometheus as Grafana does, in the order of the board.
import * as api from './api';
import { type Choice, type Scope, inPromql, interpolate } from './interpolate';
import type { Variable } from './model';

export const ALL = '$__all';

export interface Chooser {
  variable: Variable;
  options: { text: string; value: string }[];
  chosen: string[];
  error?: string;
}

/** Every variable with its options and what is chosen: by the address, else as the board says, else the first. */
export async function load(
  variables: Variable[],
  chosen: Record<string, string[]>,
  scope: Scope,
  start: number,
  end: number,
): Promise<Chooser[]> {
  const choosers: Chooser[] = [];
  for (const variable of variables) {
    const chooser: Chooser = { variable, options: [], chosen: [] };
    try {
      chooser.options = await options(variable, { ...scope, ...scopeOf(choosers) }, start, end);
    } catch (error) {
      chooser.error = (error as Error).message;
    }
    const values = new Set(chooser.options.map((one) => one.value));
    const wanted = (some: string[]) => some.filter((one) => values.has(one) || (one === ALL && variable.includeAll));
    const current = [variable.current?.value ?? []].flat();
    const free = variable.type === 'textbox' || variable.type === 'constant';
    const given = chosen[variable.name]?.map((one) => (one === 'All' ? ALL : one));
    chooser.chosen = free
      ? (given ?? [text(variable)])
      : [given ? wanted(given) : [], wanted(current), variable.includeAll ? [ALL] : [], chooser.options.slice(0, 1).map((one) => one.value)].find(
          (some) => some.length > 0,
        ) ?? [];
    choosers.push(chooser);
  }
  return choosers;
}

/** What texts are filled in with. */
export function scopeOf(choosers: Chooser[]): Scope {
  return Object.fromEntries(
    choosers.map(({ variable, options: offered, chosen }): [string, Choice] => {
      const every = chosen.includes(ALL);
      return [
        variable.name,
        {
          values: every ? offered.map((one) => one.value) : chosen,
          several: variable.multi === true || variable.includeAll === true,
          ...(every && variable.allValue ? { all: variable.allValue } : {}),
        },
      ];
    }),
  );
}

function text(variable: Variable): string {
  return (typeof variable.query === 'string' ? variable.query : variable.query?.query) ?? '';
}

async function options(variable: Variable, scope: Scope, start: number, end: number) {
  const same = (values: string[]) => values.map((value) => ({ text: value, value }));
  switch (variable.type) {
    case 'datasource':
      return [{ text: 'Prometheus', value: 'prometheus' }];
    case 'custom':
      return text(variable)
        .split(/(?<!\\),/)
        .map((one) => one.trim())
        .filter(Boolean)
        .map((one) => {
          const [name, value] = one.split(/\s+:\s+/);
          return { text: name!, value: value ?? name! };
        });
    case 'interval':
      return same(text(variable).split(',').map((one) => one.trim()).filter(Boolean));
    case 'constant':
    case 'textbox':
      return same([text(variable)]);
    case 'query':
      return same(sorted(filtered(await asked(inPromql(text(variable), scope), start, end), interpolate(variable.regex ?? '', scope)), variable.sort));
    default:
      return [];
  }
}

async function asked(query: string, start: number, end: number): Promise<string[]> {
  const said = query.trim();
  let found = /^label_values\(\s*(?:(.+?)\s*,\s*)?(\w+)\s*\)$/s.exec(said);
  if (found) return api.labelValues(found[2]!, found[1] ?? null, start, end);
  found = /^label_names\(\s*\)$/.exec(said);
  if (found) return api.labelNames(start, end);
  found = /^metrics\((.*)\)$/.exec(said);
  if (found) {
    const pattern = new RegExp(found[1]!);
    return (await api.labelValues('__name__', null, start, end)).filter((one) => pattern.test(one));
  }
  found = /^query_result\((.+)\)$/s.exec(said);
  const series = await api.instant(found?.[1] ?? said, end);
  return series.map((one) => {
    const { __name__: name = '', ...labels } = one.metric;
    const pairs = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    return `${name}{${pairs.join(',')}} ${one.values[0]?.[1] ?? ''}`;
  });
}

function filtered(values: string[], regex: string): string[] {
  if (!regex) return [...new Set(values)];
  const parts = /^\/(.*)\/(\w*)$/s.exec(regex);
  const pattern = parts ? new RegExp(parts[1]!, parts[2]) : new RegExp(regex);
  const kept = values.flatMap((value) => {
    const found = pattern.exec(value);
    return found ? [found.groups?.value ?? found[1] ?? value] : [];
  });
  return [...new Set(kept)];
}

function sorted(values: string[], sort: number | undefined): string[] {
  if (!sort) return values;
  const numeric = sort === 3 || sort === 4;
  const made = [...values].sort((a, b) => (numeric ? parseFloat(a) - parseFloat(b) : a.localeCompare(b)));
  return sort % 2 === 0 ? made.reverse() : made;
}
