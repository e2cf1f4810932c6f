// What the lines are called, in which colour, with which calculations; a click shows one alone.
import { el } from '../dom';

export interface Entry {
  name: string;
  color: string;
  values: { name: string; text: string }[];
}

export function legend(
  entries: Entry[],
  options: { displayMode?: string; placement?: string; showLegend?: boolean } | undefined,
  toggle: (index: number) => void,
): HTMLElement | null {
  if (options?.showLegend === false || options?.displayMode === 'hidden' || entries.length === 0) return null;
  const key = (entry: Entry) => el('span', { class: 'key', style: { background: entry.color } });
  const common = (entry: Entry, index: number) => ({
    data: { name: entry.name, color: entry.color },
    attrs: { tabindex: 0, title: entry.name },
    on: {
      click: () => toggle(index),
      keydown: (event: KeyboardEvent) => event.key === 'Enter' && toggle(index),
    },
  });
  if (options?.displayMode === 'table') {
    const names = entries[0]!.values.map((one) => one.name);
    return el(
      'table',
      { class: 'legend legend-table' },
      el('thead', {}, el('tr', {}, el('th', {}, 'Name'), ...names.map((name) => el('th', {}, name)))),
      el(
        'tbody',
        {},
        ...entries.map((entry, index) =>
          el(
            'tr',
            { class: 'entry', ...common(entry, index) },
            el('td', {}, key(entry), entry.name),
            ...entry.values.map((one) => el('td', {}, one.text)),
          ),
        ),
      ),
    );
  }
  return el(
    'div',
    { class: 'legend' },
    ...entries.map((entry, index) =>
      el(
        'span',
        { class: 'entry', ...common(entry, index) },
        key(entry),
        entry.name,
        ...entry.values.map((one) => el('span', { class: 'calc' }, `${one.name}: ${one.text}`)),
      ),
    ),
  );
}
