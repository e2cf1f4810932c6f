// Rows and columns; a click on a heading sorts by it.
import { FieldType, getDisplayProcessor } from '@grafana/data';
import { el } from '../dom';
import { nameOf, written } from '../fields';
import type { Draw } from './types';

export const table: Draw = (into, drawing) => {
  const frame = drawing.frames[0];
  if (!frame) return;
  const columns = frame.fields.filter((field) => field.type !== FieldType.time || drawing.panel.options?.showTime === true || isWanted(drawing.panel));
  let order = [...Array(frame.length).keys()];
  let by = -1;
  let up = false;
  const body = el('tbody', {});
  const fill = () =>
    body.replaceChildren(
      ...order.map((row) =>
        el(
          'tr',
          {},
          ...columns.map((field) => {
            const value = field.values[row];
            const name = nameOf(field, frame, drawing.frames);
            if (field.type !== FieldType.number) return el('td', { data: { column: name } }, value == null ? '' : `${value}`);
            const said = (field.display ?? getDisplayProcessor({ field, theme: drawing.look }))(value);
            const kind = (field.config.custom as any)?.cellOptions?.type ?? 'auto';
            const style: Record<string, string> =
              kind === 'color-text' ? { color: said.color ?? '' } : kind === 'color-background' ? { background: said.color ?? '' } : {};
            return el(
              'td',
              { class: 'number', data: { column: name } },
              el('span', { class: 'value', data: { color: said.color ?? '' }, style }, written(said)),
            );
          }),
        ),
      ),
    );
  const sort = (index: number) => {
    up = by === index ? !up : false;
    by = index;
    const values = columns[index]!.values;
    order.sort((a, b) => (values[a] === values[b] ? 0 : values[a] > values[b] === up ? 1 : -1));
    fill();
  };
  fill();
  into.replaceChildren(
    el(
      'div',
      { class: 'table' },
      el(
        'table',
        {},
        el(
          'thead',
          {},
          el(
            'tr',
            {},
            ...columns.map((field, i) =>
              el(
                'th',
                { class: field.type === FieldType.number ? 'number' : '', attrs: { tabindex: 0 }, on: { click: () => sort(i) } },
                nameOf(field, frame, drawing.frames),
              ),
            ),
          ),
        ),
        body,
      ),
    ),
  );
};

/** Whether the panel says itself which columns there are; then the time is one of them if it is there. */
function isWanted(panel: { transformations?: { id: string }[] }): boolean {
  return (panel.transformations ?? []).some((step) => step.id === 'organize' || step.id === 'filterFieldsByName');
}
