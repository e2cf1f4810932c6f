// Grafana's variables in texts: in PromQL as the Prometheus data source writes them, elsewhere as they are.

export interface Choice {
  values: string[];
  /** Whether several could be chosen: then PromQL gets a regular expression. */
  several: boolean;
  /** The pattern that stands for all values, when all are chosen and the board has one. */
  all?: string;
}

export type Scope = Record<string, Choice | string>;

const VARIABLE = /\$(\w+)|\$\{(\w+)(?:\.([^:}]+))?(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]/g;

/** The text with every variable that the scope knows; others stay as they are written. */
export function interpolate(text: string, scope: Scope, usual: (choice: Choice) => string = plain): string {
  return text.replace(VARIABLE, (whole, bare, braced, _field, format, old, oldFormat) => {
    const value = scope[bare ?? braced ?? old];
    if (value === undefined) return whole;
    if (typeof value === 'string') return value;
    return formatted(value, format ?? oldFormat, usual);
  });
}

export const inPromql = (text: string, scope: Scope): string => interpolate(text, scope, promql);

function formatted(choice: Choice, format: string | undefined, usual: (choice: Choice) => string): string {
  const { values } = choice;
  switch (format) {
    case undefined:
      return usual(choice);
    case 'regex':
      return choice.all ?? either(values.map(escapeRegex));
    case 'pipe':
      return values.join('|');
    case 'csv':
    case 'raw':
      return values.join(',');
    case 'json':
      return JSON.stringify(values.length === 1 ? values[0] : values);
    case 'doublequote':
      return values.map((one) => `"${one}"`).join(',');
    case 'singlequote':
      return values.map((one) => `'${one}'`).join(',');
    case 'queryparam':
      return values.map((one) => encodeURIComponent(one)).join(',');
    default:
      return plain(choice);
  }
}

function plain(choice: Choice): string {
  return choice.values.length > 1 ? `{${choice.values.join(',')}}` : (choice.values[0] ?? '');
}

function promql(choice: Choice): string {
  if (choice.all !== undefined) return choice.all;
  if (!choice.several) return (choice.values[0] ?? '').replace(/\\/g, '\\\\').replace(/"/g, '\\"');
  return either(choice.values.map((one) => escapeRegex(one).replace(/\\/g, '\\\\')));
}

function either(values: string[]): string {
  return values.length === 1 ? (values[0] ?? '') : `(${values.join('|')})`;
}

function escapeRegex(value: string): string {
  return value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
