// The box beside the pointer: a time, then names and values. One for the whole page.
import { el } from '../dom';

const box = el('div', { class: 'tooltip', attrs: { role: 'tooltip', hidden: '' } });

export interface Row {
  color: string;
  name: string;
  value: string;
  strong?: boolean;
}

export function show(x: number, y: number, title: string, rows: Row[]): void {
  if (!box.isConnected) document.body.append(box);
  box.replaceChildren(
    el('div', { class: 'tooltip-title' }, title),
    ...rows.map((row) =>
      el(
        'div',
        { class: row.strong ? 'tooltip-row strong' : 'tooltip-row' },
        el('span', { class: 'key', style: { background: row.color } }),
        el('span', { class: 'tooltip-name' }, row.name),
        el('span', { class: 'tooltip-value' }, row.value),
      ),
    ),
  );
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = x + 16 + width > innerWidth ? x - 16 - width : x + 16;
  const top = Math.min(Math.max(8, y - height / 2), innerHeight - height - 8);
  box.style.transform = `translate(${Math.max(8, left)}px, ${top}px)`;
}

export function hide(): void {
  box.hidden = true;
}
