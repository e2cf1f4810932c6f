// What tabs of this browser tell each other. One of them holds the connection; all of them show the same.

import type { State } from './session.ts';
import type { CallCommand, CallEvent, LinkEvent } from './wire.ts';

export type Status = { state: State | 'signed-out'; online: boolean; waiting: number };

/** From the tab with the connection to all. */
export type News =
  | { news: 'changed'; convs: number[] } // conversations, their messages, what is queued in them
  | { news: 'people' }
  | { news: 'devices' }
  | { news: 'status'; status: Status }
  | { news: 'typing'; conv: number; user: number }
  | { news: 'call'; event: CallEvent | { type: 'call.ack' | 'call.error'; call: string; detail?: string }; content: unknown }
  | { news: 'link'; event: LinkEvent }
  | { news: 'broadcast'; body: string }
  | { news: 'signed-in' }
  | { news: 'signed-out'; why: string | null }
  | { news: 'call-taken'; call: string } // a tab answers: the others stop ringing
  | { news: 'message'; conv: number; seq: number; sender: number }; // somebody else wrote, just now

/** From any tab to the one with the connection. */
export type Wish =
  | { wish: 'status' }
  | { wish: 'flush' } // something was put into the outbox
  | { wish: 'read'; conv: number; seq: number }
  | { wish: 'typing'; conv: number }
  | { wish: 'refresh' } // ask the server for the list of conversations
  | { wish: 'reconnect' }
  | { wish: 'call'; command: CallCommand; content?: unknown }
  | { wish: 'stop' };

type Said = News | Wish;

/** A channel that is heard in this tab, too. */
export class Bus {
  readonly #channel = new BroadcastChannel('messenger');
  readonly #listeners = new Set<(said: Said) => void>();

  constructor() {
    this.#channel.onmessage = (event: MessageEvent<Said>) => this.#hear(event.data);
  }

  say(said: Said): void {
    this.#channel.postMessage(said);
    this.#hear(said);
  }

  /** Returns how to stop listening. */
  listen(listener: (said: Said) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #hear(said: Said): void {
    for (const listener of this.#listeners) listener(said);
  }
}
