// What the page reads of a dashboard's JSON. Anything may be absent: it draws boards of strangers too.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface Target {
  refId?: string;
  expr?: string;
  legendFormat?: string;
  format?: string;
  instant?: boolean;
  range?: boolean;
  hide?: boolean;
  exemplar?: boolean;
  interval?: string;
  datasource?: { type?: string; uid?: string } | string | null;
}

export interface Link {
  title?: string;
  url?: string;
  type?: string;
  tags?: string[];
  keepTime?: boolean;
  includeVars?: boolean;
  targetBlank?: boolean;
}

export interface Panel {
  id?: number;
  type?: string;
  title?: string;
  description?: string;
  gridPos?: { x?: number; y?: number; w?: number; h?: number };
  targets?: Target[];
  fieldConfig?: Partial<FieldConfigSource>;
  options?: Record<string, any>;
  transformations?: DataTransformerConfig[];
  links?: Link[];
  panels?: Panel[];
  collapsed?: boolean;
  interval?: string;
  maxDataPoints?: number;
  timeFrom?: string;
  transparent?: boolean;
}

export interface Variable {
  name: string;
  label?: string;
  type?: string;
  query?: string | { query?: string };
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  hide?: number;
  sort?: number;
  current?: { text?: string | string[]; value?: string | string[] };
}

export interface Annotation {
  name?: string;
  enable?: boolean;
  expr?: string;
  iconColor?: string;
  titleFormat?: string;
  textFormat?: string;
  useValueForTime?: boolean | string;
}

export interface Board {
  uid?: string;
  title?: string;
  description?: string;
  tags?: string[];
  refresh?: string | boolean;
  timezone?: string;
  time?: { from?: string; to?: string };
  timepicker?: { refresh_intervals?: string[] };
  templating?: { list?: Variable[] };
  annotations?: { list?: Annotation[] };
  links?: Link[];
  panels?: Panel[];
}

export interface Finding {
  rule: string;
  severity: 'error' | 'warning' | 'note';
  message: string;
  panelId: number | null;
}

export interface Settings {
  scrapeInterval: string;
  prometheus: string;
}

export interface Listed {
  uid: string;
  title: string;
  tags: string[];
}
