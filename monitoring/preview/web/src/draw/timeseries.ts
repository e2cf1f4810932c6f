// Lines over time with uPlot: fills, stacks, thresholds, marks, exemplars, one crosshair for all panels.
import { dateTimeFormat, getFieldSeriesColor } from '@grafana/data';
import uPlot from 'uplot';
import { el } from '../dom';
import { calculation, display, nameOf, numbers, written } from '../fields';
import { type Entry, legend } from './legend';
import { hide, show } from './tooltip';
import type { Draw, Drawing } from './types';

const SYNC = uPlot.sync('time');
const AXIS_FONT = '11px Inter, system-ui, sans-serif';

interface Line {
  name: string;
  color: string;
  values: (number | null)[];
  text: (value: unknown) => string;
  custom: Record<string, any>;
}

export const timeseries: Draw = (into, drawing) => {
  const { panel, look } = drawing;
  const fields = numbers(drawing.frames).filter(({ field }) => !field.config.custom?.hideFrom?.viz);
  const lines: Line[] = fields.map(({ frame, field }) => ({
    name: nameOf(field, frame, drawing.frames),
    color: getFieldSeriesColor(field, look).color,
    values: field.values.map((value) => (typeof value === 'number' && Number.isFinite(value) ? value : null)),
    text: (value) => written(display(field, look)(value)),
    custom: field.config.custom ?? {},
  }));
  const times = (fields[0]?.frame.fields[0]?.values ?? []).map((time: number) => time / 1000);
  const calcs: string[] = panel.options?.legend?.calcs ?? [];
  const entries: Entry[] = lines.map((line, i) => ({
    name: line.name,
    color: line.color,
    values: calcs.map((id) => {
      const { name, value } = calculation(fields[i]!.field, id);
      return { name, text: line.text(value) };
    }),
  }));

  const plot = el('div', { class: 'plot' });
  let shown: boolean[] = lines.map(() => true);
  const toggle = (index: number) => {
    const alone = shown[index] && shown.filter(Boolean).length === 1;
    shown = lines.map((_, i) => alone || i === index);
    [...(names?.querySelectorAll<HTMLElement>('.entry') ?? [])].forEach((one, i) => one.classList.toggle('off', !shown[i]));
    lines.forEach((_, i) => chart.setSeries(i + 1, { show: shown[i]! }));
  };
  const names = legend(entries, panel.options?.legend, toggle);
  const beside = panel.options?.legend?.placement === 'right';
  into.classList.toggle('beside', beside);
  into.replaceChildren(...(names ? [plot, names] : [plot]));

  const stacked = lines.some((line) => line.custom.stacking?.mode === 'normal');
  const data = stacked ? stack(lines) : lines.map((line) => line.values);
  const chart = new uPlot(options(drawing, lines, data, stacked, plot), [times, ...data] as uPlot.AlignedData, plot);
  chart.over.addEventListener('mouseleave', hide);
  (into as any).destroy = () => {
    hide();
    chart.destroy();
  };
};

/** Each line on top of those before it; a hole counts as nothing. */
function stack(lines: Line[]): (number | null)[][] {
  const below: number[] = [];
  return lines.map((line) =>
    line.values.map((value, t) => {
      if (value === null) return null;
      below[t] = (below[t] ?? 0) + value;
      return below[t]!;
    }),
  );
}

function limits(drawing: Drawing, data: (number | null)[][]): [number, number] {
  const config = drawing.panel.fieldConfig?.defaults ?? {};
  const values = data.flat().filter((value): value is number => value !== null);
  let low = values.length ? Math.min(...values) : 0;
  let high = values.length ? Math.max(...values) : 1;
  // A limit is worth seeing unless it would press the lines flat.
  for (const { value } of drawn(drawing)) if (high <= 0 || value <= high * 3) high = Math.max(high, value * 1.1);
  if (low >= 0 && low < high * 0.4) low = 0;
  if (low === high) high = low === 0 ? 1 : low + Math.abs(low) * 0.2;
  const room = (high - low) * 0.06;
  return [config.min ?? (low === 0 ? 0 : low - room), Math.max(config.max ?? high + room, (config.min ?? low) + 1e-12)];
}

/** The thresholds that are drawn as lines. */
function drawn(drawing: Drawing): { value: number; color: string }[] {
  const config = drawing.panel.fieldConfig?.defaults ?? {};
  const mode = (config.custom as any)?.thresholdsStyle?.mode ?? 'off';
  if (mode === 'off') return [];
  return (config.thresholds?.steps ?? [])
    .filter((step) => typeof step.value === 'number' && Number.isFinite(step.value))
    .map((step) => ({ value: step.value, color: drawing.look.visualization.getColorByName(step.color) }));
}

function options(
  drawing: Drawing,
  lines: Line[],
  data: (number | null)[][],
  stacked: boolean,
  plot: HTMLElement,
): uPlot.Options {
  const { look } = drawing;
  const [low, high] = limits(drawing, data);
  const grid = { stroke: look.isDark ? 'rgba(240,250,255,0.09)' : 'rgba(0,10,23,0.09)', width: 1 };
  const text = lines[0]?.text ?? String;
  const axis = { stroke: look.colors.text.secondary, font: AXIS_FONT, grid, ticks: { show: false } };
  return {
    width: Math.max(50, plot.clientWidth),
    height: Math.max(40, plot.clientHeight),
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: SYNC.key },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      focus: { prox: 24 },
    },
    tzDate: (s) => (drawing.utc ? uPlot.tzDate(new Date(s * 1000), 'Etc/UTC') : new Date(s * 1000)),
    scales: {
      x: { time: true, range: [drawing.start, drawing.end] },
      y: { range: [low, high] },
    },
    axes: [
      { ...axis, size: 24, space: 70, values: (_u, splits) => splits.map((s) => clock(s, drawing)) },
      {
        ...axis,
        space: 32,
        gap: 6,
        size: (_u, values) => 14 + Math.max(24, ...(values ?? []).map((value) => width(value))),
        values: (_u, splits) => splits.map((value) => text(round(value))),
      },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        const opacity = (line.custom.fillOpacity ?? 0) / 100;
        const dash = line.custom.lineStyle?.fill === 'dash' ? (line.custom.lineStyle.dash ?? [8, 6]) : undefined;
        return {
          label: line.name,
          stroke: line.color,
          width: line.custom.lineWidth ?? 1,
          ...(opacity > 0 ? { fill: faded(line.color, opacity) } : {}),
          ...(dash ? { dash } : {}),
          ...(line.custom.drawStyle === 'bars' ? { paths: uPlot.paths.bars!({ size: [0.8, 60] }) } : {}),
          ...(line.custom.lineInterpolation === 'stepAfter' ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
          points: { show: line.custom.showPoints === 'always', size: 4 },
          spanGaps: line.custom.spanNulls === true,
        };
      }),
    ],
    ...(stacked ? { bands: lines.slice(1).map((_, i): uPlot.Band => ({ series: [i + 2, i + 1] })) } : {}),
    hooks: {
      drawAxes: [(u) => marks(u, drawing)],
      draw: [(u) => thresholds(u, drawing), (u) => exemplars(u, drawing)],
      setCursor: [(u) => hover(u, drawing, lines)],
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          drawing.zoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000);
        },
      ],
    },
  };
}

const round = (value: number): number => Number(value.toPrecision(12));

let measure: CanvasRenderingContext2D | null = null;
function width(value: string): number {
  measure ??= document.createElement('canvas').getContext('2d')!;
  measure.font = AXIS_FONT;
  return measure.measureText(value ?? '').width;
}

function clock(s: number, drawing: Drawing): string {
  const long = drawing.end - drawing.start;
  const format = long > 2 * 86400 ? 'MM-DD HH:mm' : long > 600 ? 'HH:mm' : 'HH:mm:ss';
  return dateTimeFormat(s * 1000, { timeZone: drawing.utc ? 'utc' : 'browser', format });
}

/** A colour with less of it; any notation that a browser reads. */
function faded(color: string, opacity: number): string {
  return `color-mix(in srgb, ${color} ${Math.round(opacity * 100)}%, transparent)`;
}

function thresholds(u: uPlot, drawing: Drawing): void {
  const { ctx, bbox } = u;
  for (const { value, color } of drawn(drawing)) {
    const y = u.valToPos(value, 'y', true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.save();
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([8 * devicePixelRatio, 6 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

function marks(u: uPlot, drawing: Drawing): void {
  const { ctx, bbox } = u;
  for (const mark of drawing.marks) {
    const from = Math.max(u.valToPos(mark.start / 1000, 'x', true), bbox.left);
    const to = Math.min(u.valToPos(mark.end / 1000, 'x', true), bbox.left + bbox.width);
    if (to < bbox.left || from > bbox.left + bbox.width) continue;
    ctx.save();
    ctx.fillStyle = mark.color;
    if (to - from > 1) {
      ctx.globalAlpha = 0.05;
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.globalAlpha = 0.75;
    ctx.fillRect(from, bbox.top, devicePixelRatio, bbox.height);
    ctx.beginPath();
    const foot = bbox.top + bbox.height;
    const size = 4 * devicePixelRatio;
    ctx.moveTo(from - size, foot);
    ctx.lineTo(from + size, foot);
    ctx.lineTo(from, foot - size * 1.4);
    ctx.fill();
    ctx.restore();
  }
}

function exemplars(u: uPlot, drawing: Drawing): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.fillStyle = drawing.look.visualization.getColorByName('blue');
  for (const one of drawing.exemplars) {
    const x = u.valToPos(one.timestamp, 'x', true);
    const y = u.valToPos(Math.min(Number(one.value), u.scales.y!.max!), 'y', true);
    if (x < bbox.left || x > bbox.left + bbox.width || y > bbox.top + bbox.height) continue;
    const size = 3.5 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.fill();
  }
  ctx.restore();
}

function hover(u: uPlot, drawing: Drawing, lines: Line[]): void {
  const { idx, left, top } = u.cursor;
  // The crosshair is in all panels; the box is where the pointer is.
  if (idx == null || left == null || top == null || left < 0 || !u.over.matches(':hover')) return;
  const time = u.data[0][idx]!;
  const at = u.over.getBoundingClientRect();
  const near = (ms: number) => Math.abs(u.valToPos(ms / 1000, 'x') - left) < 6;
  const mode = drawing.panel.options?.tooltip?.mode ?? 'single';
  if (mode === 'none') return hide();
  const wanted = lines
    .map((line, i) => ({ line, value: line.values[idx], show: u.series[i + 1]!.show, i: i + 1 }))
    .filter((one) => one.show && one.value != null);
  const distance = (one: (typeof wanted)[number]) => Math.abs(u.valToPos(one.value!, 'y') - top);
  const closest = wanted.reduce<(typeof wanted)[number] | undefined>(
    (best, one) => (best === undefined || distance(one) < distance(best) ? one : best),
    undefined,
  );
  const rows = (mode === 'single' ? wanted.filter((one) => one === closest) : wanted.sort((a, b) => b.value! - a.value!))
    .slice(0, 24)
    .map((one) => ({
      color: one.line.color,
      name: one.line.name,
      value: one.line.text(one.value),
      strong: one === closest,
    }));
  for (const mark of drawing.marks) {
    if (near(mark.start) || (mark.start <= time * 1000 && time * 1000 <= mark.end)) {
      rows.push({ color: mark.color, name: mark.title, value: '', strong: false });
    }
  }
  for (const one of drawing.exemplars) {
    if (!near(one.timestamp * 1000) || Math.abs(u.valToPos(Number(one.value), 'y') - top) > 8) continue;
    const labels = Object.entries(one.labels).map(([key, value]) => `${key}=${value}`);
    rows.push({ color: 'currentColor', name: labels.join(' '), value: lines[0]?.text(Number(one.value)) ?? '', strong: false });
  }
  const title = dateTimeFormat(time * 1000, { timeZone: drawing.utc ? 'utc' : 'browser' });
  show(at.left + left, at.top + top, title, rows);
}
