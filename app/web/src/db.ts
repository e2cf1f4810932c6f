// What this device holds, in IndexedDB. Views read from here and nowhere else, so they show the same with and
// without a network; every tab reads, and only the tab that holds the connection writes what it hears.

import { deleteDB, openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { Content } from './content.ts';

export type Account = {
  user: number;
  device: number;
  name: string;
  access_token: string;
  refresh_token: string;
  expires_at: number; // Unix seconds
};

export type Conversation = {
  id: number;
  title: string | null;
  users: number[];
  names: string[];
  from_seq: number;
  head: number;
  read: number; // this person's own marker
  told: number; // how far the server knows of it
  reads: Record<number, number>; // how far others have read
  delivered: Record<number, number>; // how far others' devices have stored
  unread: number; // at most MANY
  last: { seq: number; ts: number; sender: number; text: string } | null;
  gone?: boolean; // this person is no member any more
};

export type Message = {
  conv: number;
  seq: number;
  id: string;
  sender: number;
  device: number;
  ts: number; // Unix seconds
  content: Content;
  sealed?: string; // the session whose key is missing, and the body as it came
  body?: string;
  plain?: true; // it came without encryption
};

export type Outgoing = {
  n?: number;
  id: string;
  conv: number;
  content: Content;
  file?: Blob; // to be encrypted
  upload?: Blob; // encrypted, to be uploaded before the message is sent
  at: number; // Unix seconds
  failed?: string; // why it will not be tried again by itself
};

export type Person = { user: number; name: string; avatar: string | null };

/** Whose a conversation's key is, since the library's export does not say. */
export type KeyOwner = { session: string; conv: number; sender: number };

/** Decrypted. Named by its key, too: who names the bytes of another's file with a wrong key spoils nothing. */
export type KeptFile = { sha256: string; key: string; blob: Blob };

interface Schema extends DBSchema {
  meta: { key: string; value: unknown };
  conversations: { key: number; value: Conversation };
  messages: { key: [number, number]; value: Message; indexes: { sealed: string } };
  outbox: { key: number; value: Outgoing; indexes: { id: string } };
  people: { key: number; value: Person };
  owners: { key: string; value: KeyOwner };
  files: { key: [string, string]; value: KeptFile };
}

export type Db = IDBPDatabase<Schema>;
export type Store = 'meta' | 'conversations' | 'messages' | 'outbox' | 'people' | 'owners' | 'files';

export const NAME = 'messenger';
export const MANY = 100;

export function open(): Promise<Db> {
  return openDB<Schema>(NAME, 1, {
    upgrade(db) {
      db.createObjectStore('meta');
      db.createObjectStore('conversations', { keyPath: 'id' });
      const messages = db.createObjectStore('messages', { keyPath: ['conv', 'seq'] });
      messages.createIndex('sealed', 'sealed');
      const outbox = db.createObjectStore('outbox', { keyPath: 'n', autoIncrement: true });
      outbox.createIndex('id', 'id');
      db.createObjectStore('people', { keyPath: 'user' });
      db.createObjectStore('owners', { keyPath: 'session' });
      db.createObjectStore('files', { keyPath: ['sha256', 'key'] });
    },
  });
}

const STORES: Store[] = ['meta', 'conversations', 'messages', 'outbox', 'people', 'owners', 'files'];
const ERASING = 'erasing';

/** Everything this device holds is gone: messages, keys, the account, and what the browser cached of pictures. */
export async function erase(db: Db): Promise<void> {
  const tx = db.transaction(STORES, 'readwrite');
  for (const store of STORES) void tx.objectStore(store).clear();
  void tx.objectStore('meta').put(true, ERASING);
  await tx.done;
  await eraseKeys();
  for (const name of await caches.keys()) if (name.includes('pictures')) await caches.delete(name);
  await db.delete('meta', ERASING);
}

/** End the account here, and see to it that everything is erased, even if this tab dies on the way. */
export async function condemn(db: Db): Promise<void> {
  const tx = db.transaction('meta', 'readwrite');
  void tx.store.delete('account');
  void tx.store.put(true, ERASING);
  await tx.done;
}

export async function isCondemned(db: Db): Promise<boolean> {
  return (await db.get('meta', ERASING)) === true;
}

/**
 * This browser is a new device now. Of the same person, signed in again, it keeps what was said and what waits to be
 * sent; keys and positions belonged to the device that it was. Anybody else finds nothing.
 */
export async function begin(db: Db, own: Account): Promise<void> {
  if ((await db.get('meta', 'person')) !== own.user || (await isCondemned(db))) await erase(db);
  else {
    const tx = db.transaction(['meta', 'owners'], 'readwrite');
    for (const key of await tx.objectStore('meta').getAllKeys()) {
      if (!key.startsWith('draft-')) void tx.objectStore('meta').delete(key);
    }
    void tx.objectStore('owners').clear();
    await tx.done;
    await eraseKeys();
  }
  const tx = db.transaction('meta', 'readwrite');
  void tx.store.put(own, 'account');
  void tx.store.put(own.user, 'person');
  await tx.done;
}

async function eraseKeys(): Promise<void> {
  for (const { name } of await indexedDB.databases()) {
    if (name?.startsWith(`${NAME}-keys`)) await deleteDB(name, { blocked: () => undefined });
  }
}

/** Fresh tokens, unless the account ended while they were asked for; whether they were kept. */
export async function keepTokens(db: Db, fresh: Account): Promise<boolean> {
  const tx = db.transaction('meta', 'readwrite');
  const now = (await tx.store.get('account')) as Account | undefined;
  const isStill = now?.device === fresh.device;
  if (isStill) void tx.store.put(fresh, 'account');
  await tx.done;
  return isStill;
}

/** A file that was decrypted, unless the account ended meanwhile. */
export async function keepFile(db: Db, file: KeptFile): Promise<void> {
  const tx = db.transaction(['meta', 'files'], 'readwrite');
  if (await tx.objectStore('meta').get('account')) void tx.objectStore('files').put(file);
  await tx.done;
}

export async function account(db: Db): Promise<Account | null> {
  return ((await db.get('meta', 'account')) as Account | undefined) ?? null;
}

/** Links that a person confirmed here, and whose end this device has not heard of. */
export async function confirmedLinks(db: Db): Promise<number[]> {
  return ((await db.get('meta', 'links-confirmed')) as number[] | undefined) ?? [];
}

export function rememberLink(db: Db, link: number): Promise<void> {
  return changeLinks(db, (links) => [...links, link]);
}

export function forgetLink(db: Db, link: number): Promise<void> {
  return changeLinks(db, (links) => links.filter((one) => one !== link));
}

async function changeLinks(db: Db, change: (links: number[]) => number[]): Promise<void> {
  const tx = db.transaction('meta', 'readwrite');
  void tx.store.put(change(((await tx.store.get('links-confirmed')) as number[] | undefined) ?? []), 'links-confirmed');
  await tx.done;
}

/** All messages with from <= seq <= to, oldest first. */
export function messages(db: Db, conv: number, from: number, to: number): Promise<Message[]> {
  if (to < from) return Promise.resolve([]);
  return db.getAll('messages', IDBKeyRange.bound([conv, from], [conv, to]));
}

/** The seq of the newest message held, 0 when there is none. */
export async function newest(db: Db, conv: number): Promise<number> {
  const all = IDBKeyRange.bound([conv, 0], [conv, Number.MAX_SAFE_INTEGER]);
  const cursor = await db.transaction('messages').store.openKeyCursor(all, 'prev');
  return cursor ? cursor.key[1] : 0;
}

type Rows = { getAll(range: IDBKeyRange, count: number): Promise<Message[]> };

/** Messages of others beyond what was read, counted up to MANY. */
export async function countUnread(rows: Rows, { id, read }: Conversation, self: number): Promise<number> {
  const beyond = await rows.getAll(IDBKeyRange.bound([id, read + 1], [id, Number.MAX_SAFE_INTEGER]), MANY);
  return beyond.filter((row) => row.sender !== self && row.content.kind !== 'member').length;
}

const AT_A_TIME = 2_000;

/** Messages whose words hold `needle`, newest first, at most `limit`. Reads them all: they are not indexed by words. */
export async function search(db: Db, needle: string, limit: number): Promise<Message[]> {
  const wanted = needle.toLocaleLowerCase();
  const found: Message[] = [];
  let range: IDBKeyRange | null = null;
  for (;;) {
    const rows: Message[] = await db.getAll('messages', range, AT_A_TIME);
    for (const row of rows) if (wordsOf(row.content).toLocaleLowerCase().includes(wanted)) found.push(row);
    const last = rows.at(-1);
    if (!last || rows.length < AT_A_TIME) break;
    range = IDBKeyRange.lowerBound([last.conv, last.seq], true);
  }
  return found.sort((a, b) => b.ts - a.ts).slice(0, limit);
}

function wordsOf(content: Content): string {
  if (content.kind === 'text') return content.text;
  if (content.kind === 'file') return content.name;
  return content.kind === 'incident' ? content.incident.title : '';
}
