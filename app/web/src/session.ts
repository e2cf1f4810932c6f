// The session of one device: what to say, what to believe, when to come back. No socket, no clock, no dice:
// all of those are told, and every answer is a list of effects. monitoring/client/session.py is the same machine,
// and tests/transcripts holds both to the same words.

import { isItem, isRow, type Command, type Cursors, type ServerEvent } from './wire.ts';

export type State =
  | 'idle' // nobody asked for a connection
  | 'connecting'
  | 'hello' // said, and not yet welcome
  | 'syncing' // what was missed is on its way
  | 'live'
  | 'backoff' // waits to try again
  | 'drained' // the node went away and said when to come back
  | 'expired' // needs a fresh token
  | 'displaced' // a newer connection of this device took over
  | 'revoked'; // signed out for good

export type Effect =
  | { open: true }
  | { send: Command }
  | { deliver: ServerEvent }
  | { wait_ms: number } // then call `connect`
  | { refresh: true } // get a fresh token, then call `connect`
  | { hang_up: true }
  | { erase: true }; // forget everything this device holds

/** Where a device goes on from. All of it is kept by the device, and none of it by the server alone. */
export type Resume = { cursors: Cursors; epoch?: string; since?: string; inbox?: number };

export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 30_000;
const DEFAULT_BEAT_MS = 30_000;
const MAX_CURSORS = 500; // a command's limit

export class Session {
  state: State = 'idle';
  user = 0;
  device = 0;
  epoch: string | undefined;
  since: string | undefined;
  /** The highest seq that is stored here, by conversation. */
  readonly cursors: Map<number, number>;
  inbox: number;

  #heard: Map<number, number>;
  #heardInbox: number;
  #token = '';
  #attempt = 0;
  #refreshed = false; // since the last welcome: when a fresh token is refused, too, it is not the token
  #unreported = false;
  #holes = new Set<number>();
  #more: Command[] = []; // cursors that had no room in `hello`
  #retryAfterMs: number | undefined;
  #beatMs = DEFAULT_BEAT_MS;
  #heardAtMs = 0;
  #askedAtMs: number | undefined;

  constructor(resume: Resume = { cursors: {} }) {
    this.cursors = new Map(Object.entries(resume.cursors).map(([conv, seq]) => [Number(conv), seq]));
    this.epoch = resume.epoch;
    this.since = resume.since;
    this.inbox = resume.inbox ?? 0;
    this.#heard = new Map(this.cursors);
    this.#heardInbox = this.inbox;
  }

  /** Try to connect with this token. */
  connect(token: string): Effect[] {
    if (this.state === 'revoked') return [];
    this.#token = token;
    this.state = 'connecting';
    this.#retryAfterMs = undefined;
    return [{ open: true }];
  }

  /** The socket is open: say who this is. What was heard and not stored will be sent again. */
  opened(nowMs: number): Effect[] {
    this.state = 'hello';
    this.#heardAtMs = nowMs;
    this.#askedAtMs = undefined;
    this.#heard = new Map(this.cursors);
    this.#heardInbox = this.inbox;
    this.#holes.clear();
    const [first, ...rest] = chunks([...this.cursors]);
    const hello: Command = { type: 'hello', token: this.#token, cursors: Object.fromEntries(first ?? []) };
    if (this.epoch) hello.epoch = this.epoch;
    if (this.since) hello.since = this.since;
    if (this.inbox) hello.to_device = this.inbox;
    this.#more = rest.map((cursors) => ({ type: 'sync', cursors: Object.fromEntries(cursors) }));
    return [{ send: hello }];
  }

  /** One event from the server. What was heard before is not delivered again. */
  heard(event: ServerEvent, nowMs: number): Effect[] {
    this.#heardAtMs = nowMs;
    this.#askedAtMs = undefined;
    if (isItem(event)) {
      if (event.seq <= this.#heardInbox) return [];
      this.#heardInbox = event.seq;
    } else if (isRow(event)) {
      const before = this.#heard.get(event.conv);
      const cameBack = event.type === 'member' && event.event === 'joined' && event.user === this.user;
      if (before !== undefined && event.seq <= before) return [];
      if (before !== undefined && event.seq > before + 1 && !cameBack) {
        if (this.#holes.has(event.conv)) return [];
        this.#holes.add(event.conv);
        return [{ send: { type: 'sync', cursors: { [event.conv]: before } } }]; // ask, and take it when it comes in order
      }
      this.#heard.set(event.conv, event.seq);
    } else if (event.type === 'welcome') {
      this.user = event.user;
      this.device = event.device;
      this.epoch = event.epoch;
      this.#beatMs = event.beat_s * 1000;
      this.#refreshed = false;
      this.state = 'syncing';
      return [{ deliver: event }, ...this.#more.splice(0).map((send) => ({ send }))];
    } else if (event.type === 'resync') {
      this.epoch = event.epoch;
      this.since = undefined;
      this.inbox = this.#heardInbox = 0;
      this.cursors.clear();
      this.#heard.clear();
    } else if (event.type === 'synced') {
      this.since = event.position ?? this.since;
      this.#attempt = 0;
      this.#holes.clear();
      const first = this.state === 'syncing';
      this.state = 'live';
      return first ? [{ deliver: event }] : [];
    } else if (event.type === 'drain') {
      this.#retryAfterMs = event.retry_after_ms;
      this.state = 'drained';
    }
    return [{ deliver: event }];
  }

  /** A row, or an item of the inbox when `conv` is null, is on this device's disk. */
  stored(conv: number | null, seq: number): void {
    if (conv === null) this.inbox = Math.max(this.inbox, seq);
    else this.cursors.set(conv, Math.max(this.cursors.get(conv) ?? 0, seq));
    this.#unreported = true;
  }

  /** Acknowledge what was stored since the last time; worth calling once a second. */
  report(): Effect[] {
    if (!this.#unreported || (this.state !== 'live' && this.state !== 'syncing')) return [];
    this.#unreported = false;
    const parts = chunks([...this.cursors]);
    if (parts.length === 0) parts.push([]);
    return parts.map((part, n) => {
      const send: Command = { type: 'delivered', cursors: Object.fromEntries(part) };
      if (n === 0 && this.inbox) send.to_device = this.inbox;
      return { send };
    });
  }

  /**
   * Time passes: ask a server that was silent for a beat, and hang up when the question is not answered for another.
   * Where time is told rarely (browsers slow the timers of hidden tabs), silence alone proves nothing.
   */
  tick(nowMs: number): Effect[] {
    const silentMs = nowMs - this.#heardAtMs;
    if (this.state === 'hello' || this.state === 'drained') return silentMs >= this.#beatMs ? [{ hang_up: true }] : [];
    if (this.state !== 'live' && this.state !== 'syncing') return [];
    if (this.#askedAtMs !== undefined) return nowMs - this.#askedAtMs >= this.#beatMs ? [{ hang_up: true }] : [];
    if (silentMs >= this.#beatMs) {
      this.#askedAtMs = nowMs;
      return [{ send: { type: 'sync', cursors: {} } }];
    }
    return [];
  }

  /** The connection ended, or could not be opened (1006). `random` is in [0, 1): full jitter. */
  closed(code: number, random: number): Effect[] {
    if (this.state === 'revoked' || this.state === 'idle') return [];
    if (code === 4401) {
      this.state = 'revoked';
      return [{ erase: true }];
    }
    if (code === 4409) {
      this.state = 'displaced';
      return [];
    }
    if ((code === 4402 || (code === 1008 && this.state === 'hello')) && !this.#refreshed) {
      this.#refreshed = true;
      this.state = 'expired';
      return [{ refresh: true }];
    }
    if (this.state === 'drained' && this.#retryAfterMs !== undefined) return [{ wait_ms: this.#retryAfterMs }];
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    this.state = 'backoff';
    return [{ wait_ms: Math.round(most * random) }];
  }

  /** Connect no more until somebody asks again. */
  stop(): Effect[] {
    if (this.state !== 'revoked') this.state = 'idle';
    return [{ hang_up: true }];
  }

  /** What must be kept to go on from here. */
  resume(): Resume {
    return { cursors: Object.fromEntries(this.cursors), epoch: this.epoch, since: this.since, inbox: this.inbox };
  }
}

function chunks<T>(all: T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < all.length; at += MAX_CURSORS) parts.push(all.slice(at, at + MAX_CURSORS));
  return parts;
}
