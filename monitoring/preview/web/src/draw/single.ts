// One number of each series: stat, gauge and bar gauge.
import { type DataFrame, type Field, getActiveThreshold } from '@grafana/data';
import { el, svg } from '../dom';
import { display, nameOf, numbers, reduced, written } from '../fields';
import type { Draw, Drawing } from './types';

interface Shown {
  name: string;
  text: string;
  color: string;
  level: string;
  share: number;
  field: Field;
  frame: DataFrame;
}

function shown(drawing: Drawing): Shown[] {
  const calculations = drawing.panel.options?.reduceOptions?.calcs;
  return numbers(drawing.frames).map(({ frame, field }) => {
    const value = reduced(field, calculations);
    const said = display(field, drawing.look)(value);
    const steps = field.config.thresholds?.steps ?? [];
    const level = typeof value === 'number' ? (getActiveThreshold(value, steps)?.color ?? '') : '';
    return {
      name: nameOf(field, frame, drawing.frames),
      text: written(said) || (field.config.noValue ?? '–'),
      color: (typeof value === 'number' && said.color) || drawing.look.colors.text.secondary,
      level,
      share: Math.min(1, Math.max(0, said.percent ?? 0)),
      field,
      frame,
    };
  });
}

const value = (one: Shown, size: number) =>
  el(
    'span',
    {
      class: 'value',
      data: { color: one.color, level: one.level, name: one.name },
      style: { color: one.color, 'font-size': `${size}px` },
    },
    one.text,
  );

/** Columns and rows in which `count` boxes are as wide as they need to be, and as large as can be. */
function tiles(count: number, width: number, height: number): { columns: number; w: number; h: number } {
  let best = { columns: 1, w: width, h: height / count, size: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const w = width / columns;
    const h = height / rows;
    const size = Math.min(w / 3.2, h);
    if (size > best.size * 1.05) best = { columns, w, h, size };
  }
  return best;
}

export const stat: Draw = (into, drawing) => {
  const all = shown(drawing);
  const { columns, w, h } = tiles(all.length, drawing.width, drawing.height);
  const options = drawing.panel.options ?? {};
  const named = options.textMode === 'value_and_name' || (all.length > 1 && options.textMode !== 'value');
  const longest = Math.max(...all.map((one) => one.text.length), 3);
  const size = Math.max(12, Math.min((w * 0.8) / (longest * 0.6), (h - (named ? 18 : 0)) * 0.5, 64));
  // The line has what the words leave.
  const graph = options.graphMode === 'none' ? 0 : h - (named ? 18 : 0) - size * 1.15 - 14;
  into.replaceChildren(
    el(
      'div',
      { class: 'tiles', style: { 'grid-template-columns': `repeat(${columns}, 1fr)` } },
      ...all.map((one) =>
        el(
          'div',
          { class: graph >= 14 ? 'tile over-graph' : 'tile', attrs: { title: one.name } },
          graph >= 14 ? sparkline(one, w, graph) : null,
          named && el('span', { class: 'tile-name' }, one.name),
          value(one, size),
        ),
      ),
    ),
  );
};

function sparkline(one: Shown, width: number, height: number): SVGElement | null {
  const values = one.field.values as (number | null)[];
  const known = values.filter((v): v is number => typeof v === 'number' && Number.isFinite(v));
  if (known.length < 2) return null;
  const low = Math.min(...known);
  const high = Math.max(...known);
  const x = (i: number) => (i / (values.length - 1)) * width;
  const y = (v: number) => height - 2 - (high === low ? 0.5 : (v - low) / (high - low)) * (height - 4);
  const points = values.flatMap((v, i) => (typeof v === 'number' && Number.isFinite(v) ? [`${x(i).toFixed(1)},${y(v).toFixed(1)}`] : []));
  const first = points[0]!.split(',')[0];
  const last = points[points.length - 1]!.split(',')[0];
  return svg(
    'svg',
    { class: 'sparkline', height, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('path', { d: `M${first},${height}L${points.join('L')}L${last},${height}Z`, fill: one.color, opacity: 0.16 }),
    svg('path', { d: `M${points.join('L')}`, fill: 'none', stroke: one.color, 'stroke-width': 1.2, 'vector-effect': 'non-scaling-stroke' }),
  );
}

export const gauge: Draw = (into, drawing) => {
  const all = shown(drawing);
  const { columns, w, h } = tiles(all.length, drawing.width, drawing.height);
  const named = all.length > 1;
  into.replaceChildren(
    el(
      'div',
      { class: 'tiles', style: { 'grid-template-columns': `repeat(${columns}, 1fr)` } },
      ...all.map((one) => {
        const room = Math.min(w - 16, (h - (named ? 24 : 8)) * 1.5);
        return el(
          'div',
          { class: 'tile', attrs: { title: one.name } },
          el('div', { class: 'dial', style: { width: `${room}px` } }, dial(one, drawing), value(one, Math.max(10, Math.min(room / 7.5, (room * 0.9) / Math.max(one.text.length, 1))))),
          named && el('span', { class: 'tile-name' }, one.name),
        );
      }),
    ),
  );
};

const TURN = Math.PI * 1.25;
const point = (share: number, radius: number) => {
  const angle = Math.PI * 1.5 - TURN / 2 + TURN * share;
  return [100 + radius * Math.cos(angle), 100 + radius * Math.sin(angle)].map((n) => n.toFixed(2)).join(',');
};

function arc(from: number, to: number, radius: number, width: number, color: string): SVGElement {
  const large = (to - from) * TURN > Math.PI ? 1 : 0;
  const d = `M${point(from, radius)}A${radius},${radius} 0 ${large} 1 ${point(to, radius)}`;
  return svg('path', { d, fill: 'none', stroke: color, 'stroke-width': width });
}

function dial(one: Shown, drawing: Drawing): SVGElement {
  const { min = 0, max = 100, thresholds } = one.field.config;
  const share = (v: number | null) => Math.min(1, Math.max(0, ((v ?? -Infinity) - min!) / (max! - min!)));
  const steps = thresholds?.steps ?? [];
  const ring = steps.map((step, i) => {
    const relative = thresholds?.mode === 'percentage';
    const at = (s: (typeof steps)[number] | undefined) => (s === undefined ? 1 : relative ? Math.min(1, Math.max(0, (s.value ?? 0) / 100)) : share(s.value));
    return arc(at(step), at(steps[i + 1]), 92, 4, drawing.look.visualization.getColorByName(step.color));
  });
  return svg(
    'svg',
    { viewBox: '0 0 200 140', 'aria-hidden': 'true' },
    arc(0, 1, 76, 22, drawing.look.isDark ? 'rgba(204,204,220,0.12)' : 'rgba(36,41,46,0.1)'),
    one.share > 0 ? arc(0, one.share, 76, 22, one.color) : null,
    ...(drawing.panel.options?.showThresholdMarkers === false ? [] : ring),
  );
}

export const bargauge: Draw = (into, drawing) => {
  const all = shown(drawing);
  into.replaceChildren(
    el(
      'div',
      { class: 'bars' },
      ...all.map((one) =>
        el(
          'div',
          { class: 'bar', attrs: { title: one.name } },
          el('span', { class: 'bar-name' }, one.name),
          el(
            'span',
            { class: 'bar-track' },
            el('span', { class: 'bar-fill', style: { width: `${one.share * 100}%`, background: one.color } }),
          ),
          value(one, 15),
        ),
      ),
    ),
  );
};
