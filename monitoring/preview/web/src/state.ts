// What the address says: which board, when, how often, with which choices, in which theme.

export interface State {
  uid: string;
  from: string;
  to: string;
  refresh: string;
  theme: 'dark' | 'light';
  kiosk: boolean;
  chosen: Record<string, string[]>;
}

/** The state of an address; what it does not say comes from `usual`. */
export function parse(path: string, search: string, usual: Partial<State> = {}): State {
  const params = new URLSearchParams(search);
  const chosen: Record<string, string[]> = {};
  for (const [key, value] of params) {
    if (key.startsWith('var-')) (chosen[key.slice(4)] ??= []).push(value);
  }
  const theme = params.get('theme') ?? usual.theme;
  return {
    uid: decodeURIComponent(/^\/d\/([^/]+)/.exec(path)?.[1] ?? ''),
    from: absolute(params.get('from')) ?? usual.from ?? 'now-30m',
    to: absolute(params.get('to')) ?? usual.to ?? 'now',
    refresh: params.get('refresh') ?? usual.refresh ?? '',
    theme: theme === 'light' ? 'light' : 'dark',
    kiosk: params.has('kiosk'),
    chosen,
  };
}

/** Milliseconds, as Grafana writes absolute times, as the ISO time that date maths reads. */
function absolute(time: string | null): string | null {
  return time && /^\d{9,}$/.test(time) ? new Date(Number(time)).toISOString() : time;
}

/** The address of a state; `only` leaves out the time, or the choices. */
export function address(state: State, only: { time?: boolean; vars?: boolean } = {}): string {
  const params = new URLSearchParams();
  if (only.time !== false) {
    params.set('from', state.from);
    params.set('to', state.to);
    params.set('refresh', state.refresh);
  }
  if (only.vars !== false) {
    for (const [name, values] of Object.entries(state.chosen)) for (const one of values) params.append(`var-${name}`, one);
  }
  params.set('theme', state.theme);
  if (state.kiosk) params.set('kiosk', '');
  return `/d/${encodeURIComponent(state.uid)}?${params}`;
}
