// How far apart points are asked for, and what $__interval and $__rate_interval then are: Grafana's rules.
import { rangeUtil } from '@grafana/data';

export interface Steps {
  stepS: number;
  rateS: number;
}

/** For a range in seconds and a width in points; never finer than the scrape. */
export function steps(rangeS: number, points: number, scrapeS: number, least?: string): Steps {
  const leastS = Math.max(scrapeS, least ? seconds(least.replace(/^>=?\s*/, '')) : 0);
  const rough = rangeUtil.roundInterval((rangeS * 1000) / Math.max(points, 1)) / 1000;
  const stepS = Math.max(rough, leastS, Math.ceil(rangeS / 11000));
  return { stepS, rateS: Math.max(stepS + scrapeS, 4 * scrapeS) };
}

/** A Prometheus duration in seconds; 0 for what is none. */
export function seconds(duration: string): number {
  const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
  let total = 0;
  for (const [, n, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) total += Number(n) * (units[unit!] ?? 0);
  return total;
}

/** A duration as Prometheus reads it, in whole seconds, or milliseconds where it is shorter. */
export function duration(s: number): string {
  return s >= 1 ? `${Math.round(s)}s` : `${Math.max(1, Math.round(s * 1000))}ms`;
}
