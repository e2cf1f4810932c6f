// Where it begins: open what this device holds, draw it, then let one tab of the browser connect.

import { render } from 'preact';
import { App } from './app.tsx';
import { effect } from '@preact/signals';
import { call, hangUp, listenForCalls } from './calls.ts';
import { preview } from './content.ts';
import * as store from './db.ts';
import type { Account, Db } from './db.ts';
import type { End } from './engine.ts';
import { account, bus, changes, conversations, devicesChanged, go, keep, nameOf, noteTyping, notice, outbox, people, reload, reloadPeople, status, the, stopTyping, titleOf, updateReady } from './state.ts';
import './style.css';

const RETRY_MS = 5_000;
const CONNECTION = 'messenger-connection'; // the lock of the tab that is connected

const WHY: Record<Exclude<End, 'stopped'>, string> = {
  revoked: 'This device was revoked. Everything on it was erased.',
  'signed-out': 'This device is signed out. Sign in again: what it holds of yours is kept until then.',
};

async function begin(): Promise<void> {
  const db = await store.open();
  keep(db);
  hearNews(db);
  listenForCalls();
  if (await store.isCondemned(db)) await navigator.locks.request(CONNECTION, () => store.erase(db)); // a tab died on the way
  await takeAccount(await store.account(db));
  const root = document.getElementById('app');
  if (root) render(<App onAccount={signedIn} onSignOut={signOut} />, root);
  void holdVisible();
  void registerWorker();
}

async function takeAccount(own: Account | null): Promise<void> {
  account.value = own;
  if (!own) return;
  await Promise.all([reload(), reloadPeople()]);
  bus.say({ wish: 'status' });
  void stayConnected();
}

async function signedIn(own: Account): Promise<void> {
  await navigator.locks.request(CONNECTION, () => store.begin(the().db, own));
  void navigator.storage?.persist?.(); // else the browser may throw away keys when the disk is short
  notice.value = null;
  if (location.hash !== '#/') go('#/');
  bus.say({ news: 'signed-in' });
}

async function signOut(): Promise<void> {
  const { api, db } = the();
  await api.call('POST', 'auth/logout').catch(() => undefined); // without a network the tokens run out by themselves
  await store.condemn(db); // so that no other tab takes over
  bus.say({ wish: 'stop' });
  await navigator.locks.request(CONNECTION, () => forget(null)); // when whoever was connected has ended
}

async function forget(why: string | null): Promise<void> {
  const { db } = the();
  await store.condemn(db);
  await store.erase(db);
  const registration = await navigator.serviceWorker?.getRegistration();
  for (const shown of (await registration?.getNotifications()) ?? []) shown.close();
  bus.say({ news: 'signed-out', why });
}

/**
 * One tab holds the connection; when it goes away, the browser hands the lock to the next one. The engine and its
 * encryption are fetched when they are first needed; when that fails, another tab may have them, so the lock is let go.
 */
async function stayConnected(): Promise<void> {
  while (!(await navigator.locks.request(CONNECTION, connect))) {
    notice.value = 'The encryption cannot be loaded now. It is tried again every few seconds.';
    await new Promise((after) => setTimeout(after, RETRY_MS));
    notice.value = null;
  }
}

/** Whether there is nothing more to connect for. */
async function connect(): Promise<boolean> {
  const { db, api } = the();
  const own = await store.account(db);
  if (!own) return true;
  try {
    const { Engine } = await import('./engine.ts');
    const how = await new Engine(db, api, bus, own).run();
    if (how === 'revoked') await forget(WHY[how]);
    if (how === 'signed-out') {
      await db.delete('meta', 'account');
      bus.say({ news: 'signed-out', why: WHY[how] });
    }
    return true;
  } catch (error) {
    console.warn('the connection could not be begun', error);
    return false;
  }
}

function hearNews(db: Db): void {
  bus.listen((said) => {
    if (!('news' in said)) return;
    if (said.news === 'changed') void reload(said.convs);
    else if (said.news === 'people') void reloadPeople();
    else if (said.news === 'devices') devicesChanged.value += 1;
    else if (said.news === 'status') {
      status.value = said.status;
      if (said.status.state === 'live') void adoptName(db);
    } else if (said.news === 'typing') noteTyping(said.conv, said.user);
    else if (said.news === 'broadcast') notice.value = said.body;
    else if (said.news === 'message') {
      stopTyping(said.conv, said.sender);
      void notify(said.conv, said.seq);
    } else if (said.news === 'signed-in') void store.account(db).then(takeAccount);
    else if (said.news === 'signed-out') {
      hangUp(); // else the microphone would go on, with no view left to stop it
      account.value = null;
      conversations.value = [];
      outbox.value = [];
      people.value = new Map();
      changes.value = new Map();
      notice.value = said.why;
    }
  });
}

/** A linked device learns what its person is called from the conversations they are in. */
async function adoptName(db: Db): Promise<void> {
  const own = await store.account(db);
  if (!own || own.name) return;
  const conv = conversations.value.find((one) => one.users.includes(own.user));
  const name = conv?.names[conv.users.indexOf(own.user)];
  if (name) account.value = { ...own, name };
}

// --- notifications ---------------------------------------------------------------------------------

/** A tab that is looked at holds this lock: as long as one does, nothing needs to be announced. */
async function holdVisible(): Promise<void> {
  let release: (() => void) | null = null;
  const apply = () => {
    if (document.visibilityState === 'visible' && !release) {
      void navigator.locks.request('messenger-visible', { mode: 'shared' }, () => new Promise<void>((done) => (release = done)));
    } else if (document.visibilityState !== 'visible' && release) {
      release();
      release = null;
    }
  };
  document.addEventListener('visibilitychange', apply);
  apply();
}

async function notify(conv: number, seq: number): Promise<void> {
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  const { held = [] } = await navigator.locks.query();
  if (held.some((lock) => lock.name === 'messenger-visible')) return;
  const registration = await navigator.serviceWorker?.getRegistration();
  const row = (await store.messages(the().db, conv, seq, seq))[0];
  const of = conversations.value.find((one) => one.id === conv);
  if (!registration || !row || !of) return;
  // The same tag in every tab: the browser shows one notification, whoever asks.
  await registration.showNotification(titleOf(of), {
    body: `${nameOf(row.sender)}: ${preview(row.content)}`,
    tag: `conversation-${conv}`,
    icon: './icon.svg',
    data: { url: `#/c/${conv}` },
  });
}

// --- the service worker ----------------------------------------------------------------------------

async function registerWorker(): Promise<void> {
  if (!('serviceWorker' in navigator) || !import.meta.env.PROD) return;
  const { Workbox } = await import('workbox-window');
  const workbox = new Workbox('./sw.js');
  workbox.addEventListener('waiting', () => (updateReady.value = () => workbox.messageSkipWaiting()));
  // What this page would still load is gone from the cache then, so every tab goes over to the new version.
  if (navigator.serviceWorker.controller) navigator.serviceWorker.addEventListener('controllerchange', reloadWhenFree, { once: true });
  await workbox.register().catch((error: unknown) => console.warn('works without a network only after the next visit', error));
}

/** Not in the middle of a call. */
function reloadWhenFree(): void {
  effect(() => {
    if (!call.value) location.reload();
  });
}

void begin();
