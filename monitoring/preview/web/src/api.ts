// The server's answers, and Prometheus' through it.
import type { Board, Finding, Listed, Settings } from './model';

export interface Series {
  metric: Record<string, string>;
  /** [seconds, value as text] */
  values: [number, string][];
}

export interface Exemplar {
  labels: Record<string, string>;
  value: string;
  timestamp: number;
}

async function answer(path: string, signal?: AbortSignal): Promise<any> {
  const response = await fetch(path, signal ? { signal } : {});
  const body = await response.json().catch(() => null);
  if (!response.ok || body === null) {
    throw new Error(body?.error ?? `${response.status} ${response.statusText}`);
  }
  return body;
}

export const settings = (): Promise<Settings> => answer('/api/settings');
export const boards = (): Promise<Listed[]> => answer('/api/boards');
export const board = (uid: string): Promise<Board> => answer(`/api/boards/${encodeURIComponent(uid)}`);
export const findings = (uid: string): Promise<Finding[]> => answer(`/api/lint/${encodeURIComponent(uid)}`);

type Params = Record<string, string | number>;

async function prometheus(path: string, params: Params, signal?: AbortSignal): Promise<any> {
  const query = new URLSearchParams(Object.entries(params).map(([key, value]) => [key, `${value}`]));
  const body = await answer(`/api/prometheus/api/v1/${path}?${query}`, signal);
  if (body.status !== 'success') throw new Error(body.error ?? 'no answer of a Prometheus');
  return body.data;
}

export async function range(expr: string, start: number, end: number, stepS: number, signal?: AbortSignal): Promise<Series[]> {
  const data = await prometheus('query_range', { query: expr, start, end, step: stepS }, signal);
  return data.result;
}

export async function instant(expr: string, time: number, signal?: AbortSignal): Promise<Series[]> {
  const data = await prometheus('query', { query: expr, time }, signal);
  if (data.resultType === 'scalar') return [{ metric: {}, values: [data.result] }];
  return data.result.map((one: any) => ({ metric: one.metric, values: one.values ?? [one.value] }));
}

export async function exemplars(expr: string, start: number, end: number, signal?: AbortSignal): Promise<Exemplar[]> {
  const data: { exemplars: Exemplar[] }[] = await prometheus('query_exemplars', { query: expr, start, end }, signal);
  return data.flatMap((one) => one.exemplars);
}

export function labelValues(label: string, match: string | null, start: number, end: number): Promise<string[]> {
  return prometheus(`label/${encodeURIComponent(label)}/values`, { start, end, ...(match ? { 'match[]': match } : {}) });
}

export function labelNames(start: number, end: number): Promise<string[]> {
  return prometheus('labels', { start, end });
}
