// One conversation: its log, of which only a part is drawn, and where one writes.

import type { VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Presence } from '../api.ts';
import * as store from '../db.ts';
import type { Conversation, Message } from '../db.ts';
import { Icon } from '../icons.tsx';
import { bus, changes, conversations, go, isLive, nameOf, othersIn, outbox, self, the, titleOf, writingIn } from '../state.ts';
import { around, grown, latest, newer, older, type Span } from '../span.ts';
import { ago, day, daysBetween } from '../words.ts';
import { Composer } from './composer.tsx';
import { MessageRow, OutgoingRow } from './message.tsx';
import { Avatar, Dialog, IconButton, Problem, useAction, useNow } from './parts.tsx';
import { startCall } from '../calls.ts';
import { namesIn } from './list.tsx';

const NEAR_PX = 400;
const AT_END_PX = 40;
const FOLLOWS_S = 300; // messages of one person within this time stand together
const PRESENCE_EVERY_MS = 20_000;
const PRESENCE_SOON_MS = 3_000; // nodes write down every two seconds who came

export function Chat({ id, at }: { id: number; at: number | null }) {
  const conv = conversations.value.find((one) => one.id === id);
  if (!conv) return <p class="empty">This conversation is not on this device.</p>;
  return (
    <section class="chat" aria-label={titleOf(conv)}>
      <Header conv={conv} />
      <Log key={`${id}-${at ?? ''}`} conv={conv} at={at} />
      {conv.gone ? <p class="empty">You left this conversation.</p> : <Composer key={id} conv={conv} />}
    </section>
  );
}

function Header({ conv }: { conv: Conversation }) {
  const [about, setAbout] = useState(false);
  const others = othersIn(conv);
  const title = titleOf(conv);
  const other = others.length === 1 ? others[0] : undefined;
  return (
    <header class="chat-header">
      <IconButton icon="back" label="All conversations" class="icon-button only-narrow" onClick={() => go('#/')} />
      <Avatar user={other} name={title} group={others.length > 1} />
      <h2>
        {title} <PresenceLine conv={conv} />
      </h2>
      {other !== undefined && !conv.gone && (
        <>
          <IconButton icon="phone" label="Call" onClick={() => void startCall(conv.id, other, false)} />
          <IconButton icon="video" label="Video call" onClick={() => void startCall(conv.id, other, true)} />
        </>
      )}
      <IconButton icon="more" label="About this conversation" onClick={() => setAbout(true)} />
      {about && <About conv={conv} onClose={() => setAbout(false)} />}
    </header>
  );
}

/** Who is there, asked for now and then while somebody looks. */
function PresenceLine({ conv }: { conv: Conversation }) {
  const [known, setKnown] = useState<Presence[] | null>(null);
  const now = useNow(30_000);
  const live = isLive.value;
  useEffect(() => {
    setKnown(null);
    if (!live || conv.gone) return;
    const ask = () => {
      if (document.visibilityState === 'visible') the().api.presence(conv.id).then(setKnown, () => undefined);
    };
    ask();
    const soon = setTimeout(ask, PRESENCE_SOON_MS);
    const timer = setInterval(ask, PRESENCE_EVERY_MS);
    return () => {
      clearTimeout(soon);
      clearInterval(timer);
    };
  }, [conv.id, live, conv.users.length]);
  const others = (known ?? []).filter((one) => one.user !== self.value);
  let words = '';
  if (others.length === 1 && others[0]) {
    const [one] = others;
    words = one.online ? 'online' : one.last_seen_at ? `last seen ${ago(one.last_seen_at, now)}` : '';
  } else if (others.length > 1) words = `${conv.users.length} people, ${others.filter((one) => one.online).length + 1} online`;
  else if (conv.users.length > 2) words = `${conv.users.length} people`;
  return <small class="quiet">{words}</small>;
}

function About({ conv, onClose }: { conv: Conversation; onClose: () => void }) {
  const { busy, problem, run } = useAction();
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    run(async () => {
      await the().api.addMembers(conv.id, namesIn(String(new FormData(form).get('members'))));
      form.reset();
      bus.say({ wish: 'refresh' });
    });
  };
  const leave = () =>
    run(async () => {
      await the().api.leave(conv.id);
      bus.say({ wish: 'refresh' });
      onClose();
      go('#/');
    });
  return (
    <Dialog title={titleOf(conv)} onClose={onClose}>
      <p class="quiet">
        <Icon name="lock" /> Messages are encrypted for the devices of these people.
      </p>
      <ul class="people">
        {conv.users.map((user) => (
          <li key={user}>
            <Avatar user={user} name={nameOf(user)} /> {nameOf(user)}
          </li>
        ))}
      </ul>
      {!conv.gone && (
        <>
          <form onSubmit={add} class="in-line">
            <label>
              Add people
              <input name="members" autocapitalize="none" autocomplete="off" required />
            </label>
            <button disabled={busy}>Add</button>
          </form>
          <Problem>{problem}</Problem>
          <button class="danger" disabled={busy} onClick={leave}>
            Leave
          </button>
        </>
      )}
    </Dialog>
  );
}

type Place = { seq: string; top: number } | 'end' | null;

function Log({ conv, at }: { conv: Conversation; at: number | null }) {
  const box = useRef<HTMLDivElement>(null);
  const [span, setSpan] = useState<Span | null>(null);
  const [rows, setRows] = useState<Message[]>([]);
  const newest = useRef(0);
  const keep = useRef<Place>(at === null ? 'end' : null);
  const jumped = useRef(false);
  const [away, setAway] = useState(false);
  const change = changes.value.get(conv.id) ?? 0;
  const waiting = outbox.value.filter((one) => one.conv === conv.id);
  const now = useNow(60_000);

  useEffect(() => {
    let over = false;
    void (async () => {
      const { db } = the();
      const last = await store.newest(db, conv.id);
      const wanted = span === null ? (at === null ? latest(last) : around(at, last)) : grown(span, newest.current, last);
      const found = await store.messages(db, conv.id, wanted.from, wanted.to);
      if (over) return;
      newest.current = last;
      if (keep.current !== 'end') keep.current = placeOf(box.current) ?? keep.current;
      if (wanted.from !== span?.from || wanted.to !== span.to) setSpan(wanted);
      setRows(found);
    })();
    return () => {
      over = true;
    };
  }, [conv.id, change, span?.from, span?.to]);

  useLayoutEffect(() => {
    const from = box.current;
    if (!from || rows.length === 0) return;
    if (at !== null && !jumped.current) {
      const row = from.querySelector<HTMLElement>(`[data-seq="${at}"]`);
      row?.scrollIntoView({ block: 'center' });
      row?.classList.add('found-row');
      jumped.current = row !== null;
    } else if (keep.current === 'end') from.scrollTop = from.scrollHeight;
    else if (keep.current) {
      const row = from.querySelector<HTMLElement>(`[data-seq="${keep.current.seq}"]`);
      if (row) from.scrollTop += row.offsetTop - from.scrollTop - keep.current.top;
    }
    look();
  }, [rows, waiting.length]);

  /** Where the reader is: ask for more near an edge, and say what was read. */
  function look() {
    const from = box.current;
    if (!from || !span) return;
    const toEnd = from.scrollHeight - from.scrollTop - from.clientHeight;
    const isEnd = toEnd < AT_END_PX && span.to >= newest.current;
    keep.current = isEnd ? 'end' : placeOf(from);
    setAway(!isEnd);
    if (from.scrollTop < NEAR_PX && span.from > Math.max(1, conv.from_seq)) setSpan(older(span));
    else if (toEnd < NEAR_PX && span.to < newest.current) setSpan(newer(span, newest.current));
    if (document.visibilityState !== 'visible' || !document.hasFocus()) return;
    const seen = isEnd ? newest.current : lastSeen(from);
    if (seen > conv.read) bus.say({ wish: 'read', conv: conv.id, seq: seen });
  }

  useEffect(() => {
    const again = () => look();
    document.addEventListener('visibilitychange', again);
    addEventListener('focus', again);
    return () => {
      document.removeEventListener('visibilitychange', again);
      removeEventListener('focus', again);
    };
  });

  const toEnd = () => {
    keep.current = 'end';
    if (at !== null) go(`#/c/${conv.id}`);
    else setSpan(latest(newest.current));
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  };

  const writing = writingIn(conv);
  const [unreadFrom, unreadTo] = opened(conv);
  const firstUnread = rows.find((row) => row.seq > unreadFrom && row.seq <= unreadTo && row.sender !== self.value && row.content.kind !== 'member')?.seq;
  const lines: VNode[] = [];
  rows.forEach((row, n) => {
    const before = rows[n - 1];
    const isNewDay = !before || daysBetween(before.ts, row.ts) !== 0;
    if (isNewDay) lines.push(<Divider key={`day-${row.seq}`} kind="day" words={day(row.ts, now)} />);
    if (row.seq === firstUnread) lines.push(<Divider key="new" kind="new" words="New" />);
    const follows = !isNewDay && before?.sender === row.sender && before.content.kind !== 'member' && row.ts - before.ts < FOLLOWS_S;
    lines.push(<MessageRow key={row.seq} row={row} conv={conv} follows={follows} />);
  });
  if (span && span.to >= newest.current) lines.push(...waiting.map((one) => <OutgoingRow key={one.id} one={one} />));
  return (
    <div class="log-frame">
      {/* Scrollable by keyboard, too, hence the tab stop. */}
      <div class="log" ref={box} onScroll={look} tabIndex={0} role="log" aria-live="off" aria-label="Messages" data-from={span?.from} data-to={span?.to}>
        <ol>
          {lines}
        </ol>
        {rows.length === 0 && waiting.length === 0 && <p class="empty">Nothing was said here yet.</p>}
      </div>
      <p class="writing quiet" aria-live="polite">
        {writing.length > 0 && `${writing.map(nameOf).join(', ')} ${writing.length === 1 ? 'is' : 'are'} writing …`}
      </p>
      {away && (
        <button type="button" class="to-end" onClick={toEnd} aria-label="To the newest message">
          <Icon name="down" />
        </button>
      )}
    </div>
  );
}

function Divider({ kind, words }: { kind: 'day' | 'new'; words: string }) {
  return (
    <li class={kind}>
      <span>{words}</span>
    </li>
  );
}

/** What was unread when a conversation was opened: where the line "New" stays while one reads on. */
const openedAt = new Map<number, readonly [number, number]>();
function opened(conv: Conversation): readonly [number, number] {
  const known = openedAt.get(conv.id);
  if (known) return known;
  openedAt.clear();
  openedAt.set(conv.id, [conv.read, conv.head]);
  return [conv.read, conv.head];
}

/** The first row that is in sight, and where. */
function placeOf(box: HTMLElement | null): Place {
  if (!box) return null;
  for (const row of box.querySelectorAll<HTMLElement>('[data-seq]')) {
    if (row.offsetTop + row.offsetHeight > box.scrollTop) return { seq: row.dataset.seq ?? '', top: row.offsetTop - box.scrollTop };
  }
  return null;
}

function lastSeen(box: HTMLElement): number {
  let seen = 0;
  for (const row of box.querySelectorAll<HTMLElement>('[data-seq]')) {
    if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) break;
    seen = Number(row.dataset.seq);
  }
  return seen;
}
