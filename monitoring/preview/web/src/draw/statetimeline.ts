// A row a series, a block for each stretch of time in one state.
import { dateTimeFormat } from '@grafana/data';
import { el } from '../dom';
import { display, nameOf, numbers, written } from '../fields';
import { hide, show } from './tooltip';
import type { Draw } from './types';

export const stateTimeline: Draw = (into, drawing) => {
  const rows = numbers(drawing.frames);
  const span = drawing.end - drawing.start;
  const zone = drawing.utc ? 'utc' : 'browser';
  const left = (ms: number) => ((ms / 1000 - drawing.start) / span) * 100;
  into.replaceChildren(
    el(
      'div',
      { class: 'states' },
      ...rows.flatMap(({ frame, field }) => {
        const name = nameOf(field, frame, drawing.frames);
        const times = frame.fields[0]!.values as number[];
        const said = display(field, drawing.look);
        const blocks: { from: number; to: number; text: string; color: string }[] = [];
        field.values.forEach((value, i) => {
          if (value == null) return;
          const shown = said(value);
          const block = { from: times[i]!, to: times[i]! + drawing.stepS * 1000, text: written(shown), color: shown.color ?? '#888' };
          const before = blocks[blocks.length - 1];
          if (before && before.text === block.text && before.color === block.color && before.to >= block.from - 1) before.to = block.to;
          else blocks.push(block);
        });
        return [
          el('span', { class: 'state-name', attrs: { title: name } }, name),
          el(
            'div',
            { class: 'state-row' },
            ...blocks.map((block) => {
              const width = Math.min(100, left(block.to)) - left(block.from);
              return el(
                'span',
                {
                  class: 'state value',
                  data: { color: block.color },
                  style: { left: `${left(block.from)}%`, width: `${width}%`, background: block.color },
                  on: {
                    mousemove: (event: MouseEvent) =>
                      show(event.clientX, event.clientY, dateTimeFormat(block.from, { timeZone: zone }), [
                        { color: block.color, name, value: block.text },
                      ]),
                    mouseleave: hide,
                  },
                },
                width > 4 ? block.text : '',
              );
            }),
          ),
        ];
      }),
      el('span', {}),
      el(
        'div',
        { class: 'state-times' },
        ...[0, 0.25, 0.5, 0.75].map((share) =>
          el('span', {}, dateTimeFormat((drawing.start + span * share) * 1000, { timeZone: zone, format: 'HH:mm:ss' })),
        ),
      ),
    ),
  );
};
