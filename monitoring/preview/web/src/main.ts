// The page: read the address, load the board, draw it, and again at every refresh.
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { textUtil } from '@grafana/data';
import * as api from './api';
import { grid, marks, range } from './board';
import { el } from './dom';
import { theme } from './fields';
import { interpolate, type Scope } from './interpolate';
import { seconds } from './intervals';
import type { Board, Finding, Listed, Settings } from './model';
import type { Context, Shell } from './panel';
import { type State, address, parse } from './state';
import { toolbar, variables } from './toolbar';
import { load, scopeOf } from './variables';

let settings: Settings;
let listed: Listed[];
let board: Board;
let findings: Finding[] = [];
let state: State;
let timer: ReturnType<typeof setTimeout> | undefined;
let folded: Set<number>;
/** Counts draws: what an older one brings late is dropped. */
let turn = 0;

const fail = (text: string) => {
  document.body.replaceChildren(el('p', { class: 'failed', attrs: { role: 'alert' } }, text));
  document.body.dataset.state = 'ready';
};

async function start(): Promise<void> {
  try {
    [settings, listed] = await Promise.all([api.settings(), api.boards()]);
    const uid = parse(location.pathname, location.search).uid || listed[0]?.uid;
    if (!uid) throw new Error('There is no dashboard here.');
    [board, findings] = await Promise.all([api.board(uid), api.findings(uid).catch(() => [])]);
    state = { ...parse(location.pathname, location.search, usual()), uid };
    folded = new Set((board.panels ?? []).filter((one) => one.type === 'row' && one.collapsed).map((one) => one.id ?? -1));
    document.title = board.title ?? 'Dashboard';
    await show();
  } catch (error) {
    fail((error as Error).message);
  }
}

function usual(): Partial<State> {
  return {
    ...(board.time?.from ? { from: board.time.from } : {}),
    ...(board.time?.to ? { to: board.time.to } : {}),
    refresh: typeof board.refresh === 'string' ? board.refresh : '',
    theme: 'dark',
  };
}

/** Everything anew, for a state that is new. */
async function show(): Promise<void> {
  const mine = ++turn;
  clearTimeout(timer);
  document.body.dataset.state = 'loading';
  document.documentElement.dataset.theme = state.theme;
  history.replaceState(null, '', address(state));
  const { start: begin, end } = range(state.from, state.to);
  const choosers = await load(board.templating?.list ?? [], state.chosen, builtIn(begin, end), begin, end);
  if (mine !== turn) return;
  const made = grid(board, findings, folded, (id) => {
    if (!folded.delete(id)) folded.add(id);
    void show();
  });
  const choose = (name: string, values: string[]) => go({ chosen: { ...state.chosen, [name]: values } });
  const bars = state.kiosk
    ? []
    : [toolbar(board, listed, state, findings, { go, refresh: () => void refresh(made.shells, mine) }), variables(choosers, choose)];
  document.body.replaceChildren(...bars.filter((one) => one !== null), made.element);
  scope = scopeOf(choosers);
  await refresh(made.shells, mine);
}

let scope: Scope = {};

/** The same panels with newer data. */
async function refresh(shells: Shell[], mine: number): Promise<void> {
  clearTimeout(timer);
  const { start: begin, end } = range(state.from, state.to);
  const look = theme(state.theme);
  const filled: Scope = { ...scope, ...builtIn(begin, end) };
  const context: Context = {
    start: begin,
    end,
    scrapeS: seconds(settings.scrapeInterval) || 15,
    scope: filled,
    look,
    utc: board.timezone === 'utc',
    marks: await marks(board.annotations?.list ?? [], filled, begin, end, (name) => look.visualization.getColorByName(name)),
    zoom: (from, to) => go({ from: new Date(from).toISOString(), to: new Date(to).toISOString() }),
    link: (url) => textUtil.sanitizeUrl(interpolate(url, filled)),
  };
  if (mine !== turn) return;
  await Promise.all(shells.map((one) => one.refresh(context)));
  if (mine !== turn) return;
  document.body.dataset.state = 'ready';
  const every = seconds(state.refresh);
  if (every > 0 && state.to.includes('now')) timer = setTimeout(() => void refresh(shells, mine), every * 1000);
}

function builtIn(begin: number, end: number): Scope {
  return {
    __from: `${Math.round(begin * 1000)}`,
    __to: `${Math.round(end * 1000)}`,
    __url_time_range: `from=${Math.round(begin * 1000)}&to=${Math.round(end * 1000)}`,
    __dashboard: board.title ?? '',
    __all_variables: Object.entries(state.chosen)
      .flatMap(([name, values]) => values.map((one) => `var-${name}=${encodeURIComponent(one)}`))
      .join('&'),
  };
}

function go(change: Partial<State>): void {
  if (change.uid && change.uid !== state.uid) {
    location.href = address({ ...state, ...change });
    return;
  }
  const before = state;
  state = { ...state, ...change };
  show().catch((error: Error) => {
    state = before;
    alertOnce(error.message);
  });
}

function alertOnce(text: string): void {
  document.querySelector('.failed')?.remove();
  document.body.prepend(el('p', { class: 'failed', attrs: { role: 'alert' } }, text));
  document.body.dataset.state = 'ready';
}

let width = innerWidth;
let resized: ReturnType<typeof setTimeout> | undefined;
addEventListener('resize', () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(resized);
  resized = setTimeout(() => void show(), 200);
});

void start();
