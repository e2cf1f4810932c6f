// All conversations, the last one written in first, and what search finds in what this device holds.

import { useEffect, useState } from 'preact/hooks';
import { search, MANY, type Conversation, type Message } from '../db.ts';
import { preview } from '../content.ts';
import { Icon } from '../icons.tsx';
import { bus, changes, conversations, go, nameOf, othersIn, outbox, route, self, status, the, titleOf, writingIn } from '../state.ts';
import { brief } from '../words.ts';
import { Avatar, Dialog, IconButton, Problem, useAction, useNow } from './parts.tsx';

const SEARCH_AFTER_MS = 150;
const MOST_FOUND = 50;

export function Sidebar() {
  const [needle, setNeedle] = useState('');
  const [making, setMaking] = useState(false);
  return (
    <nav class="sidebar" aria-label="Conversations">
      <header>
        <h1>Messenger</h1>
        <IconButton icon="desktop" label="Devices" onClick={() => go('#/devices')} />
        <IconButton icon="gear" label="Settings" onClick={() => go('#/settings')} />
        <IconButton icon="plus" label="New conversation" onClick={() => setMaking(true)} />
      </header>
      <Connection />
      <label class="search">
        <Icon name="search" />
        <span class="hidden">Search in what this device holds</span>
        <input type="search" placeholder="Search" value={needle} onInput={(event) => setNeedle(event.currentTarget.value)} />
      </label>
      {needle.trim() ? <Found needle={needle.trim()} /> : <Conversations />}
      {making && <NewConversation onClose={() => setMaking(false)} />}
    </nav>
  );
}

/** Whether what is shown is up to date, said only when it is not. */
export function Connection() {
  const { state, online, waiting } = status.value;
  const queued = waiting > 0 ? ` ${waiting} waiting to be sent.` : '';
  if (state === 'displaced') {
    return (
      <p class="connection" role="status">
        In use elsewhere. <button onClick={() => bus.say({ wish: 'reconnect' })}>Use it here</button>
      </p>
    );
  }
  let words = '';
  if (!online || state === 'backoff') words = `Offline.${queued}`;
  else if (state === 'drained') words = `The server restarts.${queued}`;
  else if (state === 'syncing') words = 'Fetching what you missed …';
  else if (state !== 'live') words = `Connecting …${queued}`;
  return (
    <p class={`connection${words ? '' : ' hidden'}`} role="status">
      {words || 'Connected.'}
    </p>
  );
}

function Conversations() {
  const now = useNow(60_000);
  const all = conversations.value;
  if (all.length === 0) return <p class="empty">No conversations yet. Begin one with +.</p>;
  return (
    <ul class="conversations">
      {all.map((conv) => (
        <Row key={conv.id} conv={conv} now={now} />
      ))}
    </ul>
  );
}

function Row({ conv, now }: { conv: Conversation; now: number }) {
  const title = titleOf(conv);
  const others = othersIn(conv);
  const isOpen = route.value.split('/')[2] === String(conv.id) && route.value.startsWith('#/c/');
  const [writes] = writingIn(conv);
  const waiting = outbox.value.some((one) => one.conv === conv.id);
  const last = conv.last;
  return (
    <li>
      <a href={`#/c/${conv.id}`} aria-current={isOpen ? 'page' : undefined}>
        <Avatar user={others.length === 1 ? others[0] : undefined} name={title} group={others.length > 1} />
        <span class="title">{title}</span>
        {last && <time class="quiet">{brief(last.ts, now)}</time>}
        <span class="last quiet">
          {writes !== undefined ? (
            <em>{nameOf(writes)} is writing …</em>
          ) : (
            last && `${last.sender === self.value ? 'You: ' : others.length > 1 ? `${nameOf(last.sender)}: ` : ''}${last.text}`
          )}
        </span>
        {waiting && <Icon name="clock" />}
        {conv.unread > 0 && (
          <span class="unread">
            {conv.unread >= MANY ? '99+' : conv.unread}
            <span class="hidden"> unread</span>
          </span>
        )}
      </a>
    </li>
  );
}

function Found({ needle }: { needle: string }) {
  const [found, setFound] = useState<Message[] | null>(null);
  const now = useNow(60_000);
  useEffect(() => {
    let over = false;
    const timer = setTimeout(() => {
      void search(the().db, needle, MOST_FOUND).then((all) => over || setFound(all));
    }, SEARCH_AFTER_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [needle, changes.value]);
  const named = conversations.value.filter((conv) => titleOf(conv).toLocaleLowerCase().includes(needle.toLocaleLowerCase()));
  const titles = new Map(conversations.value.map((conv) => [conv.id, titleOf(conv)]));
  return (
    <>
      <p class="quiet found" role="status">
        {found === null ? 'Searching …' : `${named.length} conversations, ${found.length === MOST_FOUND ? 'the newest ' : ''}${found.length} messages`}
      </p>
      <ul class="conversations">
        {named.map((conv) => (
          <Row key={conv.id} conv={conv} now={now} />
        ))}
        {found?.map((one) => (
          <li key={`${one.conv}-${one.seq}`}>
            <a href={`#/c/${one.conv}/${one.seq}`}>
              <Avatar user={one.sender} name={nameOf(one.sender)} />
              <span class="title">{titles.get(one.conv) ?? ''}</span>
              <time class="quiet">{brief(one.ts, now)}</time>
              <span class="last quiet">{preview(one.content)}</span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function NewConversation({ onClose }: { onClose: () => void }) {
  const { busy, problem, run } = useAction();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const members = namesIn(String(form.get('members')));
    const title = String(form.get('title')).trim() || null;
    run(async () => {
      if (members.length === 0) throw new Error('Name somebody.');
      const only = conversations.value.find(
        (conv) => !title && !conv.title && members.length === 1 && conv.users.length === 2 && conv.names.includes(members[0] ?? ''),
      );
      const id = only?.id ?? (await the().api.createConversation(members, title));
      bus.say({ wish: 'refresh' });
      onClose();
      go(`#/c/${id}`);
    });
  };
  return (
    <Dialog title="New conversation" onClose={onClose}>
      <form onSubmit={submit}>
        <label>
          With whom <span class="quiet">(names, with commas between)</span>
          <input name="members" autocapitalize="none" autocomplete="off" required />
        </label>
        <label>
          Title <span class="quiet">(for a group)</span>
          <input name="title" maxLength={128} autocomplete="off" />
        </label>
        <Problem>{problem}</Problem>
        <button class="primary" disabled={busy}>
          Begin
        </button>
      </form>
    </Dialog>
  );
}

/** The names in "ann, bob" */
export function namesIn(text: string): string[] {
  return [...new Set(text.split(',').map((name) => name.trim()))].filter(Boolean);
}
