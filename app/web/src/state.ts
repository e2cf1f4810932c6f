// What the views show, as signals. Filled from the database; news from the tab with the connection says when to look again.

import { computed, signal } from '@preact/signals';
import { Api } from './api.ts';
import { Bus, type Status } from './bus.ts';
import type { Account, Conversation, Db, Outgoing, Person } from './db.ts';

export const account = signal<Account | null>(null);
export const conversations = signal<Conversation[]>([]);
export const outbox = signal<Outgoing[]>([]);
export const people = signal<Map<number, Person>>(new Map());
export const status = signal<Status>({ state: 'idle', online: navigator.onLine, waiting: 0 });
export const typing = signal<Map<string, number>>(new Map()); // "conv user" → when it was last said (ms)
export const notice = signal<string | null>(null); // one thing worth saying, until it is dismissed
export const route = signal(location.hash || '#/');
/** Counts changes of a conversation's messages: whoever shows them looks again. */
export const changes = signal<Map<number, number>>(new Map());
export const devicesChanged = signal(0);
export const updateReady = signal<(() => void) | null>(null);

const TYPING_MS = 6_000; // repeated every three seconds while it is true

/** Who else writes in a conversation now. */
export function writingIn(conv: Conversation): number[] {
  const since = Date.now() - TYPING_MS;
  return othersIn(conv).filter((user) => (typing.value.get(`${conv.id} ${user}`) ?? 0) > since);
}

export function noteTyping(conv: number, user: number): void {
  typing.value = new Map(typing.value).set(`${conv} ${user}`, Date.now());
  setTimeout(() => (typing.value = new Map(typing.value)), TYPING_MS + 100);
}

/** They sent it. */
export function stopTyping(conv: number, user: number): void {
  const left = new Map(typing.value);
  if (left.delete(`${conv} ${user}`)) typing.value = left;
}

export const isLive = computed(() => status.value.state === 'live');
export const self = computed(() => account.value?.user ?? 0);

export const bus = new Bus();

type Kept = { db: Db; api: Api };
let kept: Kept | null = null;

export function keep(db: Db): Kept {
  kept = { db, api: new Api(db) };
  return kept;
}

/** The database and the API; there from the first moment that a view is drawn. */
export function the(): Kept {
  if (!kept) throw new Error('nothing is open yet');
  return kept;
}

addEventListener('hashchange', () => (route.value = location.hash || '#/'));

export function go(to: string): void {
  if (location.hash !== to) location.hash = to;
}

/** Read everything that lists show. */
export async function reload(convs: number[] = []): Promise<void> {
  const { db } = the();
  const [all, waiting] = await Promise.all([db.getAll('conversations'), db.getAll('outbox')]);
  conversations.value = all.filter((one) => one.users.length > 0 && !one.gone).sort((a, b) => recency(b) - recency(a));
  outbox.value = waiting;
  const next = new Map(changes.value);
  for (const conv of convs) next.set(conv, (next.get(conv) ?? 0) + 1);
  changes.value = next;
}

function recency(conv: Conversation): number {
  return conv.last?.ts ?? 0;
}

export async function reloadPeople(): Promise<void> {
  people.value = new Map((await the().db.getAll('people')).map((one) => [one.user, one]));
}

/** The name of somebody, from whatever this device knows. */
export function nameOf(user: number): string {
  if (user === self.value) return account.value?.name || 'You';
  const known = people.value.get(user)?.name;
  if (known) return known;
  for (const conv of conversations.value) {
    const at = conv.users.indexOf(user);
    if (at >= 0) return conv.names[at] ?? '';
  }
  return `Person ${user}`;
}

/** What a conversation is called: its title, or who else is in it. */
export function titleOf(conv: Conversation): string {
  if (conv.title) return conv.title;
  const others = conv.names.filter((_, n) => conv.users[n] !== self.value);
  return others.join(', ') || 'Only you';
}

export function othersIn(conv: Conversation): number[] {
  return conv.users.filter((user) => user !== self.value);
}

/** Put a message where it waits for the connection; it stays there over reloads and crashes until it is acknowledged. */
export async function send(conv: number, content: Outgoing['content'], file?: Blob): Promise<void> {
  const one: Outgoing = { id: crypto.randomUUID(), conv, content, at: Date.now() / 1000 };
  if (file) one.file = file;
  await the().db.add('outbox', one);
  bus.say({ wish: 'flush' });
  await reload([conv]);
}

export async function retry(one: Outgoing): Promise<void> {
  const again = { ...one };
  delete again.failed;
  await the().db.put('outbox', again);
  bus.say({ wish: 'flush' });
  await reload([one.conv]);
}

export async function discard(one: Outgoing): Promise<void> {
  if (one.n !== undefined) await the().db.delete('outbox', one.n);
  await reload([one.conv]);
}
