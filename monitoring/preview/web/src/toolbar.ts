// The bar at the top: which board, when, how often, with which choices.
import { el } from './dom';
import { icon } from './icons';
import type { Board, Finding, Listed } from './model';
import { type State, address } from './state';
import { ALL, type Chooser } from './variables';

const RANGES = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '24h', '2d', '7d', '30d'];
const REFRESHES = ['', '5s', '10s', '30s', '1m', '5m'];

export interface Actions {
  go: (change: Partial<State>) => void;
  refresh: () => void;
}

export function toolbar(board: Board, listed: Listed[], state: State, findings: Finding[], actions: Actions): HTMLElement {
  const related = (board.links ?? []).filter((link) => link.type === 'dashboards');
  return el(
    'nav',
    { class: 'bar' },
    el('h1', {}, board.title ?? ''),
    select(
      'Dashboard',
      listed.map((one) => ({ text: one.title, value: one.uid })),
      state.uid,
      (uid) => actions.go({ uid }),
    ),
    ...related.map((link) => {
      const boards = listed.filter((one) => (link.tags ?? []).every((tag) => one.tags.includes(tag)) && one.uid !== state.uid);
      return menu(
        link.title ?? 'Boards',
        boards.map((one) => ({
          text: one.title,
          url: address({ ...state, uid: one.uid }, { time: link.keepTime === true, vars: link.includeVars === true }),
        })),
      );
    }),
    counted(findings),
    el('span', { class: 'space' }),
    ranges(state, actions),
    select(
      'Refresh',
      [...new Set([...REFRESHES, ...(board.timepicker?.refresh_intervals ?? []), state.refresh])].map((value) => ({
        text: value || 'off',
        value,
      })),
      state.refresh,
      (refresh) => actions.go({ refresh }),
    ),
    button(icon('refresh'), 'Refresh now', actions.refresh),
    button(icon(state.theme === 'dark' ? 'sun' : 'moon'), 'Other theme', () => actions.go({ theme: state.theme === 'dark' ? 'light' : 'dark' })),
  );
}

function counted(findings: Finding[]): HTMLElement | null {
  const told = findings.filter((one) => one.severity !== 'note');
  if (told.length === 0) return null;
  const worst = told.some((one) => one.severity === 'error') ? 'error' : 'warning';
  const text = told.map((one) => `${one.message} [${one.rule}]`).join('\n');
  return el('button', { class: `hint badge ${worst}`, attrs: { type: 'button', 'aria-label': text } }, `${told.length}`, el('span', { class: 'hint-text' }, text));
}

function button(sign: Node, label: string, action: () => void): HTMLElement {
  return el('button', { class: 'control', attrs: { type: 'button', title: label, 'aria-label': label }, on: { click: action } }, sign);
}

function select(label: string, options: { text: string; value: string }[], chosen: string, action: (value: string) => void): HTMLElement {
  const made = el(
    'select',
    { class: 'control', attrs: { 'aria-label': label, title: label }, on: { change: () => action(made.value) } },
    ...options.map((one) => el('option', { attrs: { value: one.value, ...(one.value === chosen ? { selected: '' } : {}) } }, one.text)),
  );
  return made;
}

function menu(title: string, items: { text: string; url: string }[]): HTMLElement {
  return el(
    'details',
    { class: 'menu' },
    el('summary', { class: 'control' }, title),
    el('div', { class: 'menu-items' }, ...items.map((one) => el('a', { attrs: { href: one.url } }, one.text))),
  );
}

function ranges(state: State, actions: Actions): HTMLElement {
  const from = el('input', { attrs: { value: state.from, 'aria-label': 'From', spellcheck: 'false' } });
  const to = el('input', { attrs: { value: state.to, 'aria-label': 'To', spellcheck: 'false' } });
  const quick = /^now-(\w+)$/.exec(state.from);
  const isQuick = quick && state.to === 'now';
  const said = isQuick ? `Last ${quick[1]}` : `${state.from} to ${state.to}`;
  return el(
    'details',
    { class: 'menu range' },
    el('summary', { class: 'control', attrs: { title: 'Time range' } }, said),
    el(
      'div',
      { class: 'menu-items' },
      el(
        'form',
        {
          on: {
            submit: (event: Event) => {
              event.preventDefault();
              actions.go({ from: from.value.trim(), to: to.value.trim() });
            },
          },
        },
        el('label', {}, 'From', from),
        el('label', {}, 'To', to),
        el('button', { class: 'control', attrs: { type: 'submit' } }, 'Apply'),
      ),
      ...RANGES.map((one) =>
        el('button', { attrs: { type: 'button' }, on: { click: () => actions.go({ from: `now-${one}`, to: 'now' }) } }, `Last ${one}`),
      ),
    ),
  );
}

export function variables(choosers: Chooser[], choose: (name: string, values: string[]) => void): HTMLElement | null {
  const seen = choosers.filter(({ variable }) => variable.hide !== 2 && variable.type !== 'constant');
  if (seen.length === 0) return null;
  return el('div', { class: 'variables' }, ...seen.map((chooser) => one(chooser, choose)));
}

function one(chooser: Chooser, choose: (name: string, values: string[]) => void): HTMLElement {
  const { variable, options, chosen } = chooser;
  const label = variable.hide === 1 ? null : el('span', { class: 'variable-label' }, variable.label || variable.name);
  const set = (values: string[]) => choose(variable.name, values);
  if (variable.type === 'textbox') {
    const input = el('input', { class: 'control', attrs: { value: chosen[0] ?? '' }, on: { change: () => set([input.value]) } });
    return el('label', { class: 'variable' }, label, input);
  }
  const all = variable.includeAll ? [{ text: 'All', value: ALL }] : [];
  if (!variable.multi) {
    return el('label', { class: 'variable' }, label, select(variable.label || variable.name, [...all, ...options], chosen[0] ?? '', (value) => set([value])));
  }
  const said = chosen.includes(ALL) ? 'All' : chosen.join(' + ') || 'none';
  const boxes = [...all, ...options].map((option) => {
    const box = el('input', { attrs: { type: 'checkbox', value: option.value } });
    box.checked = chosen.includes(option.value);
    box.addEventListener('change', () => {
      const rest = chosen.filter((value) => value !== option.value && value !== ALL);
      if (option.value === ALL) set([ALL]);
      else set(box.checked ? [...rest, option.value] : rest.length ? rest : [ALL]);
    });
    return el('label', {}, box, option.text);
  });
  return el(
    'div',
    { class: 'variable', ...(chooser.error ? { attrs: { title: chooser.error } } : {}) },
    label,
    el('details', { class: 'menu' }, el('summary', { class: 'control' }, said), el('div', { class: 'menu-items' }, ...boxes)),
  );
}
