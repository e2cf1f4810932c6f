// Buckets over time: the darker, the more.
import { type GrafanaTheme2, dateTimeFormat, getValueFormat, formattedValueToString } from '@grafana/data';
import { el } from '../dom';
import { buckets } from '../frames';
import { hide, show } from './tooltip';
import type { Draw, Drawing } from './types';

const LEFT = 56;
const BOTTOM = 22;
const SCALES: Record<string, [string, string, string]> = {
  Oranges: ['#3d1f0a', '#e6550d', '#fdd0a2'],
  Blues: ['#0b1f3f', '#2171b5', '#c6dbef'],
  Greens: ['#0a2f16', '#238b45', '#c7e9c0'],
  Reds: ['#3f0b0b', '#cb181d', '#fcbba1'],
};

export const heatmap: Draw = (into, drawing) => {
  const { times, bounds, counts } = buckets(drawing.series, { start: drawing.firstS, end: drawing.end, stepS: drawing.stepS });
  const highest = counts.map((row) => row.some((value) => (value ?? 0) > 0)).lastIndexOf(true);
  const lowest = counts.findIndex((row) => row.some((value) => (value ?? 0) > 0));
  const first = Math.max(0, lowest - 1);
  const rows = bounds.slice(first, Math.max(first + 2, highest + 2));
  const canvas = el('canvas', { class: 'heat' });
  into.replaceChildren(canvas);
  const { width, height } = drawing;
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const ctx = canvas.getContext('2d')!;
  ctx.scale(devicePixelRatio, devicePixelRatio);
  const most = Math.max(...counts.flat().map((value) => value ?? 0), 1e-12);
  const w = (width - LEFT - 8) / times.length;
  const h = (height - BOTTOM - 8) / rows.length;
  const colors = palette(drawing);
  rows.forEach((_bound, r) => {
    times.forEach((_time, t) => {
      const value = counts[r + first]?.[t] ?? 0;
      if (value <= 1e-9) return;
      ctx.fillStyle = colors(Math.sqrt(value / most));
      ctx.fillRect(LEFT + t * w, height - BOTTOM - (r + 1) * h, Math.max(1, w - (w > 4 ? 1 : 0)), Math.max(1, h - 1));
    });
  });
  axes(ctx, drawing, rows, h, w, times);
  canvas.addEventListener('mousemove', (event) => {
    const t = Math.floor((event.offsetX - LEFT) / w);
    const r = Math.floor((height - BOTTOM - event.offsetY) / h);
    if (t < 0 || t >= times.length || r < 0 || r >= rows.length) return hide();
    const value = counts[r + first]?.[t] ?? 0;
    show(event.clientX, event.clientY, clock(times[t]!, drawing, 'YYYY-MM-DD HH:mm:ss'), [
      { color: value > 1e-9 ? colors(Math.sqrt(value / most)) : 'transparent', name: `≤ ${named(rows[r]!, drawing)}`, value: Number(value.toPrecision(3)).toString() },
    ]);
  });
  canvas.addEventListener('mouseleave', hide);
};

function palette(drawing: Drawing): (share: number) => string {
  const [dark, middle, light] = SCALES[drawing.panel.options?.color?.scheme] ?? SCALES.Oranges!;
  const stops = drawing.look.isDark ? [dark, middle, light] : ['#fde3cf', '#f58b45', '#b34a06'];
  return (share) =>
    share < 0.5
      ? `color-mix(in oklab, ${stops[1]} ${share * 200}%, ${stops[0]})`
      : `color-mix(in oklab, ${stops[2]} ${(share - 0.5) * 200}%, ${stops[1]})`;
}

function named(bound: string, drawing: Drawing): string {
  if (bound === '+Inf') return '∞';
  const unit = drawing.panel.options?.yAxis?.unit ?? drawing.panel.fieldConfig?.defaults?.unit ?? 'none';
  return formattedValueToString(getValueFormat(unit)(Number(bound)));
}

const clock = (ms: number, drawing: Drawing, format: string) =>
  dateTimeFormat(ms, { timeZone: drawing.utc ? 'utc' : 'browser', format });

function axes(ctx: CanvasRenderingContext2D, drawing: Drawing, rows: string[], h: number, w: number, times: number[]): void {
  const look: GrafanaTheme2 = drawing.look;
  ctx.fillStyle = look.colors.text.secondary;
  ctx.font = '11px Inter, system-ui, sans-serif';
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'right';
  const every = Math.ceil(18 / h);
  rows.forEach((bound, r) => {
    if (r % every === 0) ctx.fillText(named(bound, drawing), LEFT - 8, drawing.height - BOTTOM - (r + 0.5) * h);
  });
  ctx.textAlign = 'center';
  ctx.textBaseline = 'top';
  const columns = Math.max(1, Math.ceil(90 / w));
  const format = drawing.end - drawing.start > 600 ? 'HH:mm' : 'HH:mm:ss';
  times.forEach((time, t) => {
    if (t % columns === 0 && t > 0) ctx.fillText(clock(time, drawing, format), LEFT + t * w, drawing.height - BOTTOM + 7);
  });
}
