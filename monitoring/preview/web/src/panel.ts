// A panel: its frame, its questions to Prometheus, and whichever drawing its kind has.
import type { DataFrame, GrafanaTheme2 } from '@grafana/data';
import { textUtil } from '@grafana/data';
import * as api from './api';
import { el } from './dom';
import { DRAWINGS } from './draw';
import type { Mark } from './draw/types';
import { configured, transformed } from './fields';
import { icon } from './icons';
import { lines, table } from './frames';
import { type Scope, inPromql, interpolate } from './interpolate';
import { duration, seconds, steps } from './intervals';
import type { Finding, Panel, Target } from './model';

/** What all panels of a board share at one moment. */
export interface Context {
  start: number;
  end: number;
  scrapeS: number;
  scope: Scope;
  look: GrafanaTheme2;
  utc: boolean;
  marks: Mark[];
  zoom: (from: number, to: number) => void;
  link: (url: string) => string;
}

export interface Shell {
  element: HTMLElement;
  refresh: (context: Context) => Promise<void>;
}

export function shell(panel: Panel, findings: Finding[]): Shell {
  const title = el('h2', { class: 'panel-title' }, panel.title ?? '');
  const head = el('header', { class: 'panel-head' }, title);
  const body = el('div', { class: 'panel-body' });
  const { x = 0, y = 0, w = 24, h = 8 } = panel.gridPos ?? {};
  const element = el(
    'section',
    {
      class: panel.transparent ? 'panel transparent' : 'panel',
      data: { panelId: panel.id, panelTitle: panel.title, type: panel.type, state: 'loading' },
      style: { 'grid-column': `${x + 1} / span ${w}`, 'grid-row': `${y + 1} / span ${h}` },
    },
    head,
    body,
  );
  if (panel.description) head.append(hint(icon('info'), 'panel-info', panel.description));
  if (findings.length > 0) {
    const worst = findings.some((one) => one.severity === 'error') ? 'error' : 'warning';
    head.append(hint(`${findings.length}`, `badge ${worst}`, findings.map((one) => `${one.message} [${one.rule}]`).join('\n')));
  }
  const links = el('span', { class: 'panel-links' });
  head.append(links);
  let running: AbortController | undefined;

  async function refresh(context: Context): Promise<void> {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    title.textContent = interpolate(panel.title ?? '', context.scope);
    links.replaceChildren(...(panel.links ?? []).map((link) => anchor(link.title ?? 'Link', context.link(link.url ?? ''))));
    try {
      const state = await draw(panel, body, context, signal);
      if (!signal.aborted) element.dataset.state = state;
    } catch (error) {
      if (signal.aborted) return;
      message(body, 'panel-error', (error as Error).message);
      element.dataset.state = 'error';
    }
  }
  return { element, refresh };
}

function hint(sign: string | Node, name: string, text: string): HTMLElement {
  return el('button', { class: `hint ${name}`, attrs: { type: 'button', 'aria-label': text } }, sign, el('span', { class: 'hint-text' }, text));
}

function anchor(title: string, url: string): HTMLElement {
  const attrs = { href: textUtil.sanitizeUrl(url), target: '_blank', rel: 'noopener noreferrer', title };
  return el('a', { class: 'panel-link', attrs: { ...attrs, 'aria-label': title } }, icon('out'));
}

function message(body: HTMLElement, name: string, text: string): void {
  (body as any).destroy?.();
  body.replaceChildren(el('p', { class: name }, text));
}

async function draw(panel: Panel, body: HTMLElement, context: Context, signal: AbortSignal): Promise<string> {
  if (panel.type === 'text') {
    body.replaceChildren(el('div', { class: 'text' }, interpolate(panel.options?.content ?? '', context.scope)));
    return 'done';
  }
  const drawing = DRAWINGS[panel.type ?? ''];
  if (!drawing) {
    message(body, 'panel-note', `Panels of the kind ${panel.type ?? '?'} are not drawn here.`);
    return 'done';
  }
  // Without the padding around it.
  const width = body.clientWidth - 16;
  const height = body.clientHeight - 8;
  const end = context.end;
  const start = panel.timeFrom ? end - seconds(panel.timeFrom) : context.start;
  const points = panel.maxDataPoints ?? Math.max(50, Math.floor(width));
  const { stepS, rateS } = steps(end - start, points, context.scrapeS, interpolate(panel.interval ?? '', context.scope));
  const scope: Scope = {
    ...context.scope,
    __interval: duration(stepS),
    __interval_ms: `${Math.round(stepS * 1000)}`,
    __rate_interval: duration(rateS),
    __rate_interval_ms: `${Math.round(rateS * 1000)}`,
    __range: `${Math.round(end - start)}s`,
    __range_s: `${Math.round(end - start)}`,
    __range_ms: `${Math.round((end - start) * 1000)}`,
  };
  // On the grid of the step, so that a refresh does not shift every point.
  const grid = { start: Math.floor(start / stepS) * stepS, end, stepS };
  const targets = (panel.targets ?? []).filter((target) => !target.hide && target.expr?.trim());
  const answers = await Promise.all(targets.map((target) => ask(target, panel, scope, grid, signal)));
  if (signal.aborted) return 'loading';
  const series = answers.flatMap((one) => one.series);
  if (series.length === 0) {
    message(body, 'panel-note', 'No data');
    return 'empty';
  }
  const raw = answers.flatMap((answer) => frames(answer, panel, scope, grid, answers.length));
  const shaped = await transformed(raw, panel.transformations);
  const timeZone = context.utc ? 'utc' : 'browser';
  const ready = configured(shaped, panel.fieldConfig, context.look, timeZone, (text) => interpolate(text, scope));
  if (signal.aborted) return 'loading';
  (body as any).destroy?.();
  drawing(body, {
    panel,
    frames: ready,
    series,
    exemplars: answers.flatMap((one) => one.exemplars),
    marks: context.marks,
    look: context.look,
    start,
    end,
    firstS: grid.start,
    stepS,
    utc: context.utc,
    width,
    height,
    zoom: context.zoom,
  });
  return 'done';
}

interface Answer {
  target: Target;
  expr: string;
  series: api.Series[];
  exemplars: api.Exemplar[];
  isInstant: boolean;
}

interface Grid {
  start: number;
  end: number;
  stepS: number;
}

async function ask(target: Target, panel: Panel, scope: Scope, grid: Grid, signal: AbortSignal): Promise<Answer> {
  const expr = inPromql(target.expr!, scope);
  const isInstant = target.instant === true && target.range !== true;
  const wantsExemplars = target.exemplar === true && panel.type === 'timeseries';
  const [series, exemplars] = await Promise.all([
    isInstant ? api.instant(expr, grid.end, signal) : api.range(expr, grid.start, grid.end, grid.stepS, signal),
    // They are beside the point: without them the lines still stand.
    wantsExemplars ? api.exemplars(expr, grid.start, grid.end, signal).catch(() => []) : [],
  ]);
  return { target, expr, series, exemplars, isInstant };
}

function frames(answer: Answer, panel: Panel, scope: Scope, grid: Grid, count: number): DataFrame[] {
  const { target, series, expr, isInstant } = answer;
  const refId = target.refId ?? 'A';
  if (target.format === 'table' || (panel.type === 'table' && isInstant)) return [table(series, refId, count === 1)];
  const format = interpolate(target.legendFormat ?? '', scope);
  return lines(series, refId, format, expr, isInstant ? undefined : grid);
}
