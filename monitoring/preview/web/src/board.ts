// A board on the page: rows that fold, panels in their grid, marks for all of them.
import { dateMath } from '@grafana/data';
import * as api from './api';
import { el } from './dom';
import type { Mark } from './draw/types';
import { inPromql, type Scope } from './interpolate';
import type { Annotation, Board, Finding, Panel } from './model';
import { type Shell, shell } from './panel';

/** The beginning and end of a range in seconds; an error for what is no time. */
export function range(from: string, to: string): { start: number; end: number } {
  const start = dateMath.toDateTime(from, { roundUp: false });
  const end = dateMath.toDateTime(to, { roundUp: true });
  if (!start?.isValid() || !end?.isValid()) throw new Error(`not a time range: ${from} to ${to}`);
  if (!start.isBefore(end)) throw new Error(`${from} is not before ${to}`);
  return { start: start.valueOf() / 1000, end: end.valueOf() / 1000 };
}

/** The panels that are to be seen, and the headings over them, in a grid of 24 columns. */
export function grid(board: Board, findings: Finding[], folded: Set<number>, fold: (id: number) => void): { element: HTMLElement; shells: Shell[] } {
  const shells: Shell[] = [];
  const element = el('main', { class: 'grid' });
  let hidden = false;
  let up = 0;
  for (const panel of flat(board.panels ?? [])) {
    const { y = 0, h = 8 } = panel.gridPos ?? {};
    if (panel.type === 'row') {
      hidden = folded.has(panel.id ?? -1);
      element.append(heading(panel, y - up, hidden, fold));
    } else if (hidden) {
      const beside = panel.gridPos?.x ?? 0;
      if (beside === 0) up += h;
    } else {
      const moved = { ...panel, gridPos: { ...panel.gridPos, y: y - up } };
      const made = shell(moved, findings.filter((one) => one.panelId === panel.id && one.severity !== 'note'));
      shells.push(made);
      element.append(made.element);
    }
  }
  return { element, shells };
}

/** Panels of collapsed rows behind their row, below it. */
function flat(panels: Panel[]): Panel[] {
  const sorted = [...panels].sort((a, b) => (a.gridPos?.y ?? 0) - (b.gridPos?.y ?? 0) || (a.gridPos?.x ?? 0) - (b.gridPos?.x ?? 0));
  let down = 0;
  return sorted.flatMap((panel) => {
    const moved = { ...panel, gridPos: { ...panel.gridPos, y: (panel.gridPos?.y ?? 0) + down } };
    if (panel.type !== 'row' || !panel.collapsed || !panel.panels?.length) return [moved];
    const top = Math.min(...panel.panels.map((one) => one.gridPos?.y ?? 0));
    const bottom = Math.max(...panel.panels.map((one) => (one.gridPos?.y ?? 0) + (one.gridPos?.h ?? 8)));
    const inside = panel.panels.map((one) => ({
      ...one,
      gridPos: { ...one.gridPos, y: (one.gridPos?.y ?? 0) - top + (moved.gridPos.y ?? 0) + 1 },
    }));
    down += bottom - top;
    return [moved, ...inside];
  });
}

function heading(panel: Panel, y: number, hidden: boolean, fold: (id: number) => void): HTMLElement {
  return el(
    'button',
    {
      class: 'row',
      attrs: { type: 'button', 'aria-expanded': `${!hidden}` },
      style: { 'grid-column': '1 / span 24', 'grid-row': `${y + 1} / span 1` },
      on: { click: () => fold(panel.id ?? -1) },
    },
    el('span', { class: hidden ? 'chevron closed' : 'chevron' }, '⌄'),
    panel.title ?? '',
  );
}

/** What the board's annotations mark in a range; one that fails marks nothing. */
export async function marks(annotations: Annotation[], scope: Scope, start: number, end: number, color: (name: string) => string): Promise<Mark[]> {
  const stepS = Math.max(1, Math.ceil((end - start) / 400));
  const found = await Promise.all(
    annotations
      .filter((one) => one.enable !== false && one.expr)
      .map(async (one) => {
        const series = await api.range(inPromql(one.expr!, scope), start, end, stepS).catch(() => []);
        return series.flatMap((each) => stretches(one, each, stepS, color));
      }),
  );
  return found.flat().filter((mark) => mark.end >= start * 1000 && mark.start <= end * 1000);
}

function stretches(one: Annotation, series: api.Series, stepS: number, color: (name: string) => string): Mark[] {
  const fill = (format: string | undefined) => (format ?? '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_whole, label) => series.metric[label] ?? '');
  const title = [fill(one.titleFormat) || one.name || '', fill(one.textFormat)].filter(Boolean).join(' · ');
  const look = { color: color(one.iconColor ?? 'blue'), title };
  if (one.useValueForTime) {
    const moments = new Set(series.values.map(([, value]) => Number(value)).filter((ms) => ms > 0));
    return [...moments].map((ms) => ({ start: ms, end: ms, ...look }));
  }
  const made: Mark[] = [];
  for (const [time, value] of series.values) {
    if (Number(value) === 0) continue;
    const before = made[made.length - 1];
    if (before && time * 1000 - before.end <= stepS * 1000 + 1) before.end = time * 1000;
    else made.push({ start: time * 1000, end: time * 1000, ...look });
  }
  return made;
}
