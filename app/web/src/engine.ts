// The tab that holds the connection: takes what the session delivers, decrypts it, keeps it, and brings what waits in
// the outbox to the server. Everything heard is on this device's disk before it is acknowledged; everything said is
// on it before it is sent.

import { Api, ApiError, type Progress } from './api.ts';
import type { Bus, News, Status, Wish } from './bus.ts';
import { SOCKET_URL } from './config.ts';
import { fromWire, MESSAGE, preview, toWire, type Content } from './content.ts';
import { asEncrypted, Crypto, seal } from './crypto.ts';
import * as store from './db.ts';
import type { Account, Conversation, Db, Message, Outgoing } from './db.ts';
import { Session, type Effect, type Resume } from './session.ts';
import type { CallCommand, CallEvent, MemberEvent, MessageEvent_, ServerEvent, ToDeviceEvent } from './wire.ts';

const REPORT_EVERY_MS = 1_000;
const TICK_MS = 1_000;
const BATCH = 200;
const RETRY_MS = 2_000;
const OPEN_WITHIN_MS = 20_000; // browsers wait for minutes
const RENEW_BEFORE_S = 90;
const FULL_RETRY_MS = 30_000;
const FULL = 'New messages cannot be kept: the disk of this device may be full. They are asked for again every half minute.';

export type End = 'revoked' | 'signed-out' | 'stopped';

type Waiting = { resolve: () => void; reject: (error: ApiError) => void };

export class Engine {
  #session = new Session();
  #crypto: Crypto | null = null;
  #socket: WebSocket | null = null;
  #queue: ServerEvent[] = [];
  #draining = false;
  #drained: Promise<void> = Promise.resolve();
  #asides = new Set<Promise<void>>();
  #over = false;
  #connecting = false;
  #acks = new Map<string, Waiting>();
  #lanes = new Map<number, Promise<void>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reportedAt = 0;
  #expiresAt = 0; // of the token this connection was opened with, Unix seconds
  #chain: Promise<unknown> = Promise.resolve();
  #end: (how: End) => void = () => undefined;
  #status = '';
  #handing: Promise<void> = Promise.resolve();
  #refreshing: Promise<void> | null = null;
  #refreshWanted = false;
  #unkept = 0; // times in a row that what was heard could not be kept
  #failedItems = new Set<number>();
  #retriedSealed = false; // since this engine began
  #countsHeard = false; // since this connection's welcome

  constructor(
    private readonly db: Db,
    private readonly api: Api,
    private readonly bus: Bus,
    private readonly own: Account,
  ) {}

  /** Stay connected until the account ends here. The caller holds the lock that makes this tab the only one. */
  async run(): Promise<End> {
    const ended = new Promise<End>((resolve) => (this.#end = resolve));
    this.#crypto = await Crypto.open(this.own.user, this.own.device, this.api, this.db);
    this.#session = new Session(((await this.db.get('meta', 'resume')) as Resume | undefined) ?? { cursors: {} });
    const deaf = this.bus.listen((said) => {
      if ('wish' in said) this.#aside(this.#grant(said));
    });
    const ticking = setInterval(() => this.#tick(), TICK_MS);
    const online = () => this.#reconnect();
    const offline = () => this.#hangUp(); // saying goodbye would wait for an answer
    addEventListener('online', online);
    addEventListener('offline', offline);
    void this.#connect();
    const how = await ended;
    this.#over = true;
    deaf();
    clearInterval(ticking);
    removeEventListener('online', online);
    removeEventListener('offline', offline);
    this.#hangUp();
    clearTimeout(this.#timer); // hanging up set it
    await Promise.allSettled([this.#drained, this.#chain, ...this.#asides, ...this.#lanes.values()]); // nothing is written after this
    this.#crypto.close();
    return how;
  }

  get #machine(): Crypto {
    if (!this.#crypto) throw new Error('the engine does not run');
    return this.#crypto;
  }

  // --- the connection ------------------------------------------------------------------------------

  async #connect(stale?: string): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#socket || this.#connecting || this.#over) return;
    this.#connecting = true;
    try {
      const token = await this.api.token(stale);
      await this.#noteExpiry();
      this.#do(this.#session.connect(token));
    } catch (error) {
      if (error instanceof ApiError && error.isSignedOut) {
        this.#end(error.code === 'device_revoked' ? 'revoked' : 'signed-out');
      } else {
        this.#session.connect(''); // an attempt that failed before it came to a socket is one all the same
        this.#do(this.#session.closed(1006, Math.random()));
      }
    } finally {
      this.#connecting = false;
    }
    await this.#tellStatus();
  }

  #reconnect(): void {
    if (this.#socket || !['backoff', 'drained', 'displaced', 'expired', 'idle'].includes(this.#session.state)) return;
    void this.#connect();
  }

  #open(): void {
    const socket = new WebSocket(SOCKET_URL);
    this.#socket = socket;
    const late = setTimeout(() => this.#socket === socket && this.#hangUp(), OPEN_WITHIN_MS);
    socket.onopen = () => {
      clearTimeout(late);
      if (this.#socket !== socket) return socket.close();
      this.#countsHeard = false;
      this.#do(this.#session.opened(Date.now()));
    };
    socket.onmessage = (message: MessageEvent<string>) => {
      this.#do(this.#session.heard(JSON.parse(message.data) as ServerEvent, Date.now()));
    };
    socket.onclose = (event) => {
      clearTimeout(late);
      if (this.#socket !== socket) return;
      this.#socket = null;
      for (const waiting of this.#acks.values()) waiting.reject(new ApiError(0, 'unreachable', 'The connection ended.'));
      this.#acks.clear();
      this.#do(this.#session.closed(event.code, Math.random()));
      void this.#tellStatus();
    };
  }

  #do(effects: Effect[]): void {
    for (const effect of effects) {
      if ('open' in effect) this.#open();
      else if ('send' in effect) this.#say(effect.send);
      else if ('deliver' in effect) this.#hear(effect.deliver);
      else if ('wait_ms' in effect) this.#timer = setTimeout(() => void this.#connect(), effect.wait_ms);
      else if ('refresh' in effect) void this.#refreshToken();
      else if ('hang_up' in effect) this.#hangUp();
      else if ('erase' in effect) this.#end('revoked');
    }
  }

  /** A socket that was given up may take minutes to say that it is closed: it is not waited for. */
  #hangUp(): void {
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose?.(new CloseEvent('close', { code: 1006 }));
    socket.onmessage = null;
    socket.close();
  }

  async #refreshToken(): Promise<void> {
    await this.#connect((await store.account(this.db))?.access_token);
  }

  #say(command: object): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(command));
    return true;
  }

  #tick(): void {
    this.#do(this.#session.tick(Date.now()));
    this.#report();
    void this.#renew();
  }

  #report(): void {
    if (Date.now() - this.#reportedAt < REPORT_EVERY_MS) return;
    const effects = this.#session.report();
    if (effects.length > 0) this.#reportedAt = Date.now();
    this.#do(effects);
  }

  /** A fresh token for this connection, before its own runs out. */
  async #renew(): Promise<void> {
    if (this.#session.state !== 'live' || this.#expiresAt - RENEW_BEFORE_S > Date.now() / 1000) return;
    this.#expiresAt = Number.POSITIVE_INFINITY; // once is enough; should it fail, 4402 asks again
    const token = await this.api.token((await store.account(this.db))?.access_token).catch(() => null);
    if (!token) return;
    this.#say({ type: 'auth', token });
    await this.#noteExpiry();
  }

  async #noteExpiry(): Promise<void> {
    this.#expiresAt = (await store.account(this.db))?.expires_at ?? 0;
  }

  async #tellStatus(): Promise<void> {
    const state = this.#session.state;
    const status: Status = { state, online: navigator.onLine, waiting: await this.db.count('outbox') };
    if (JSON.stringify(status) === this.#status) return;
    this.#status = JSON.stringify(status);
    this.bus.say({ news: 'status', status });
  }

  // --- hearing -------------------------------------------------------------------------------------

  #hear(event: ServerEvent): void {
    if (this.#over) return;
    this.#queue.push(event);
    if (!this.#draining) this.#drained = this.#drain();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    try {
      while (this.#queue.length > 0 && !this.#over) {
        await this.#take(this.#queue.splice(0, BATCH));
        this.#unkept = 0;
      }
    } catch (error) {
      // The disk is full, or the browser took it away: nothing of this batch was acknowledged, so it comes again.
      console.warn('what was heard could not be kept', error);
      this.#queue.length = 0;
      this.#hangUp();
      this.#unkept += 1;
      if (this.#unkept > 1) this.bus.say({ news: 'broadcast', body: FULL });
      clearTimeout(this.#timer); // the server was reached, so the session would be back at once
      this.#timer = setTimeout(() => void this.#connect(), Math.min(RETRY_MS * 2 ** (this.#unkept - 1), FULL_RETRY_MS));
    } finally {
      this.#draining = false;
    }
  }

  /** Decrypt a batch, keep it in one transaction, then let it be acknowledged. */
  async #take(batch: ServerEvent[]): Promise<void> {
    const rows: Message[] = [];
    const items: number[] = [];
    const after: ServerEvent[] = [];
    const unsealed = new Set<string>();
    for (const event of batch) {
      if (event.type === 'message') rows.push(await this.#read(event));
      else if (event.type === 'member') rows.push(member(event));
      else if (event.type === 'to_device') {
        for (const session of await this.#receive(event)) unsealed.add(session);
        items.push(event.seq);
      } else if (event.type === 'device_lists') await this.#machine.listsChanged(event.changed, event.left);
      else if (event.type === 'keys') {
        this.#countsHeard = true;
        await this.#machine.counted(event.one_time_key_counts, event.unused_fallback_key_types);
      } else if (event.type === 'resync') await this.#resynced(); // what follows is of the other database
      else after.push(event);
    }
    await this.#keep(rows, items);
    if (unsealed.size > 0) await this.#unseal(unsealed);
    for (const event of after) await this.#react(event);
    this.#report();
    if (batch.some((event) => event.type === 'keys' || event.type === 'device_lists' || event.type === 'to_device')) {
      this.#aside(this.#exclusively(() => this.#machine.pump()));
    }
    const isOwn = (event: ServerEvent) => event.type === 'device_lists' && event.changed.includes(this.own.user);
    if (batch.some(isOwn)) this.#aside(this.#handOver());
  }

  /** The sessions whose keys came. What fails twice is passed over: one odd item must not hold up all that follow. */
  async #receive(item: ToDeviceEvent): Promise<string[]> {
    try {
      return await this.#machine.receive(item);
    } catch (error) {
      if (!this.#failedItems.has(item.seq)) {
        this.#failedItems.add(item.seq);
        throw error; // it may have been the disk: it comes again with the next connection
      }
      console.warn(`item ${item.seq} of the inbox cannot be taken`, error);
      return [];
    }
  }

  async #read(event: MessageEvent_): Promise<Message> {
    const { conv, seq, id, sender, device, ts } = event;
    const said = await this.#machine.decrypt(event);
    const known = { conv, seq, id, sender, device, ts };
    if (said.state === 'plain') return { ...known, content: { kind: 'text', text: said.text }, plain: true };
    if (said.state === 'sealed') return { ...known, content: { kind: 'sealed' }, sealed: said.session, body: event.body };
    if (said.state === 'unreadable') return { ...known, content: { kind: 'unreadable', why: said.why } };
    return { ...known, content: said.type === MESSAGE ? fromWire(said.content) : { kind: 'unreadable', why: said.type } };
  }

  async #keep(rows: Message[], items: number[]): Promise<void> {
    const news: News[] = [];
    const tx = this.db.transaction(['messages', 'conversations', 'outbox', 'meta'], 'readwrite');
    const conversations = tx.objectStore('conversations');
    const touched = new Map<number, Conversation>();
    for (const came of rows) {
      const row = await betterOf(came, tx.objectStore('messages'));
      void tx.objectStore('messages').put(row);
      if (row.sender === this.own.user) {
        const sent = await tx.objectStore('outbox').index('id').getKey(row.id);
        if (sent !== undefined) void tx.objectStore('outbox').delete(sent);
      }
      const conv = touched.get(row.conv) ?? (await conversations.get(row.conv)) ?? unknownConversation(row.conv, row.seq);
      conv.head = Math.max(conv.head, row.seq);
      if (row.content.kind === 'member') applyMember(conv, row, this.own.user);
      else if (row.content.kind !== 'incident-action') conv.last = { seq: row.seq, ts: row.ts, sender: row.sender, text: preview(row.content) };
      if (row.sender === this.own.user) conv.read = Math.max(conv.read, row.seq);
      else if (this.#session.state === 'live' && row.content.kind !== 'member') {
        news.push({ news: 'message', conv: row.conv, seq: row.seq, sender: row.sender });
      }
      touched.set(row.conv, conv);
    }
    for (const conv of touched.values()) {
      conv.unread = await store.countUnread(tx.objectStore('messages'), conv, this.own.user);
      void conversations.put(conv);
    }
    const session = this.#session;
    const before = session.resume();
    const cursors = { ...before.cursors };
    for (const row of rows) cursors[row.conv] = Math.max(cursors[row.conv] ?? 0, row.seq);
    const inbox = Math.max(before.inbox ?? 0, ...items);
    void tx.objectStore('meta').put({ ...before, cursors, inbox }, 'resume');
    await tx.done;
    for (const row of rows) session.stored(row.conv, row.seq);
    for (const item of items) session.stored(null, item);
    if (touched.size > 0) this.bus.say({ news: 'changed', convs: [...touched.keys()] });
    for (const one of news) this.bus.say(one);
    if ([...touched.values()].some((conv) => conv.users.length === 0) || rows.some((row) => row.content.kind === 'member')) {
      this.#aside(this.#refresh());
    }
  }

  /** Read what waited for these keys. */
  async #unseal(sessions: Set<string>): Promise<void> {
    for (const session of sessions) {
      const waiting = await this.db.getAllFromIndex('messages', 'sealed', session);
      const convs = new Set<number>();
      for (let at = 0; at < waiting.length; at += BATCH) {
        const opened: Message[] = [];
        for (const { body = '', sealed: _, ...row } of waiting.slice(at, at + BATCH)) {
          const read = await this.#read({ ...row, type: 'message', body });
          if (read.content.kind !== 'sealed') opened.push(read);
        }
        const tx = this.db.transaction(['messages', 'conversations'], 'readwrite');
        for (const row of opened) {
          void tx.objectStore('messages').put(row);
          convs.add(row.conv);
          const conv = await tx.objectStore('conversations').get(row.conv);
          if (conv?.last?.seq === row.seq) {
            conv.last.text = preview(row.content);
            void tx.objectStore('conversations').put(conv);
          }
        }
        await tx.done;
      }
      if (convs.size > 0) this.bus.say({ news: 'changed', convs: [...convs] });
    }
  }

  async #react(event: ServerEvent): Promise<void> {
    if (event.type === 'ack') await this.#acked(event);
    else if (event.type === 'error') this.#refused(event);
    else if (event.type === 'welcome') await this.#tellStatus();
    else if (event.type === 'synced') this.#aside(this.#synced()); // requests: what is heard meanwhile must not wait
    else if (event.type === 'receipt') await this.#mark(event.conv, (conv) => advance(conv.delivered, event.user, event.seq));
    else if (event.type === 'read') await this.#mark(event.conv, (conv) => this.#applyRead(conv, event.user, event.seq));
    else if (event.type === 'typing') this.bus.say({ news: 'typing', conv: event.conv, user: event.user });
    else if (event.type === 'device') {
      if (event.event === 'revoked' && event.device === this.own.device) this.#end('revoked');
      this.bus.say({ news: 'devices' });
    } else if (event.type === 'link') {
      // Only the device that offered it hears this, after a person compared the codes there.
      if (event.event === 'completed' && event.device !== undefined) this.#aside(this.#linked(event.link, event.device));
      this.bus.say({ news: 'link', event });
    } else if (event.type === 'broadcast') this.bus.say({ news: 'broadcast', body: event.body });
    else if (event.type === 'drain') await this.#tellStatus();
    else if (event.type === 'call.ack') this.bus.say({ news: 'call', event, content: null });
    else if (event.type.startsWith('call.')) await this.#called(event as CallEvent);
  }

  async #synced(): Promise<void> {
    await this.#refresh();
    if ((await this.db.get('meta', 'since-known')) !== true) {
      // No position was named: nobody told what changed in lists of devices meanwhile.
      await this.#askForEverybody();
      await this.db.put('meta', true, 'since-known');
    }
    if (!this.#countsHeard) await this.#machine.counted({}, []); // the server has nothing of this device yet
    await this.#exclusively(() => this.#machine.pump()).catch(ignorePassing);
    for (const conv of await this.db.getAll('conversations')) {
      if (conv.read > conv.told && !conv.gone) await this.#tellRead(conv.id, conv.read);
    }
    await this.#tellStatus();
    await this.#flush();
    if (!this.#retriedSealed) await this.#unseal(await this.#sealedSessions());
    this.#retriedSealed = true;
    await this.#lookUpLinks();
    await this.#handOver(); // what the network, or a closed tab, kept from a linked device
  }

  /** A key may have come in the instant in which the browser died. */
  async #sealedSessions(): Promise<Set<string>> {
    const sessions = new Set<string>();
    const index = this.db.transaction('messages').store.index('sealed');
    for (let at = await index.openKeyCursor(null, 'nextunique'); at; at = await at.continue()) sessions.add(at.key);
    return sessions;
  }

  async #tellRead(id: number, seq: number): Promise<void> {
    if (!this.#say({ type: 'read', conv: id, seq })) return;
    const tx = this.db.transaction('conversations', 'readwrite');
    const conv = await tx.store.get(id);
    if (conv) void tx.store.put({ ...conv, told: Math.max(conv.told, seq) });
    await tx.done;
  }

  async #askForEverybody(): Promise<void> {
    const users = new Set<number>([this.own.user]);
    for (const conv of await this.db.getAll('conversations')) for (const user of conv.users) users.add(user);
    await this.#machine.listsChanged([...users], []);
  }

  async #resynced(): Promise<void> {
    // A restored database: what this device stored of it may never have been. Its own unsent words stay.
    const tx = this.db.transaction(['messages', 'conversations', 'meta'], 'readwrite');
    void tx.objectStore('messages').clear();
    void tx.objectStore('conversations').clear();
    void tx.objectStore('meta').put(this.#session.resume(), 'resume');
    void tx.objectStore('meta').delete('since-known');
    await tx.done;
    this.bus.say({ news: 'changed', convs: [] });
  }

  async #mark(id: number, apply: (conv: Conversation) => void): Promise<void> {
    const tx = this.db.transaction(['conversations', 'messages'], 'readwrite');
    const conv = await tx.objectStore('conversations').get(id);
    if (!conv) return;
    apply(conv);
    conv.unread = await store.countUnread(tx.objectStore('messages'), conv, this.own.user);
    void tx.objectStore('conversations').put(conv);
    await tx.done;
    this.bus.say({ news: 'changed', convs: [id] });
  }

  #applyRead(conv: Conversation, user: number, seq: number): void {
    if (user === this.own.user) conv.read = Math.max(conv.read, seq);
    else {
      advance(conv.reads, user, seq);
      advance(conv.delivered, user, seq);
    }
  }

  async #called(event: CallEvent): Promise<void> {
    let content: unknown = null;
    const sealed = event.payload ? asEncrypted(event.payload) : null;
    if (sealed) {
      const named = { conv: event.conv, sender: event.user, id: `${event.call}-${event.seq}`, ts: Date.now() / 1000 };
      const opened = await this.#machine.open(named, sealed);
      if (opened.state === 'read') content = opened.content;
    }
    await this.#keep([], [event.seq]);
    this.bus.say({ news: 'call', event, content });
  }

  // --- the list of conversations -------------------------------------------------------------------

  /** Ask for the list again, one request at a time: an older answer must not come after a newer one. */
  #refresh(): Promise<void> {
    this.#refreshWanted = true;
    this.#refreshing ??= this.#refreshWhileWanted()
      .catch((error: unknown) => {
        ignorePassing(error);
        if (!this.#over) setTimeout(() => this.#over || this.#aside(this.#refresh()), RETRY_MS);
      })
      .finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #refreshWhileWanted(): Promise<void> {
    while (this.#refreshWanted) {
      this.#refreshWanted = false;
      await this.#refreshOnce();
    }
  }

  async #refreshOnce(): Promise<void> {
    const before = new Set(await this.db.getAllKeys('conversations'));
    const summaries = await this.api.conversations();
    const tx = this.db.transaction(['conversations', 'people', 'messages'], 'readwrite');
    const conversations = tx.objectStore('conversations');
    const known = new Map((await conversations.getAll()).map((conv) => [conv.id, conv]));
    for (const one of summaries) {
      const conv = known.get(one.id) ?? unknownConversation(one.id, one.from_seq);
      known.delete(one.id);
      Object.assign(conv, { title: one.title, users: one.users, names: one.members, from_seq: one.from_seq, gone: undefined });
      conv.head = Math.max(conv.head, one.head);
      conv.read = Math.max(conv.read, one.read);
      conv.told = one.read; // what a dying socket or a limit swallowed is said again
      one.users.forEach((user, n) => {
        if (user !== this.own.user) this.#applyRead(conv, user, one.reads[n] ?? 0);
        void tx.objectStore('people').put({ user, name: one.members[n] ?? '', avatar: one.avatars[n] ?? null });
      });
      conv.unread = await store.countUnread(tx.objectStore('messages'), conv, this.own.user);
      void conversations.put(conv);
    }
    // One that was made while the server answered is not in its answer.
    for (const left of known.values()) if (before.has(left.id)) void conversations.put({ ...left, gone: true });
    await tx.done;
    this.bus.say({ news: 'people' });
    this.bus.say({ news: 'changed', convs: summaries.map((one) => one.id) });
  }

  // --- saying --------------------------------------------------------------------------------------

  async #flush(): Promise<void> {
    if (this.#session.state !== 'live') return;
    for (const conv of new Set((await this.db.getAll('outbox')).map((one) => one.conv))) {
      if (!this.#lanes.has(conv)) {
        this.#lanes.set(conv, this.#lane(conv).finally(() => this.#lanes.delete(conv)));
      }
    }
  }

  /** Messages of one conversation leave one after the other, so that they are in the order they were written in. */
  async #lane(conv: number): Promise<void> {
    for (;;) {
      const next = (await this.db.getAll('outbox')).find((one) => one.conv === conv && !one.failed);
      if (!next || this.#session.state !== 'live') return;
      try {
        await this.#send(next);
      } catch (error) {
        if (!(error instanceof ApiError)) console.warn('a message could not be sent', error);
        if (!(error instanceof ApiError) || !error.isPassing) {
          await this.db.put('outbox', { ...next, failed: error instanceof Error ? error.message : String(error) });
          this.bus.say({ news: 'changed', convs: [conv] });
          continue;
        }
        if (this.#session.state === 'live') setTimeout(() => void this.#flush(), RETRY_MS);
        return;
      }
    }
  }

  async #send(one: Outgoing): Promise<void> {
    const ready = await this.#upload(await this.#seal(one));
    const conv = await this.db.get('conversations', one.conv);
    if (!conv?.users.length) throw new ApiError(0, 'unknown', 'The members of this conversation are not known yet.');
    const wire = toWire(ready.content);
    const body = await this.#exclusively(() => this.#machine.encrypt(one.conv, conv.users, MESSAGE, wire));
    const acked = new Promise<void>((resolve, reject) => this.#acks.set(one.id, { resolve, reject }));
    if (!this.#say({ type: 'send', id: one.id, conv: one.conv, body })) {
      this.#acks.delete(one.id);
      throw new ApiError(0, 'unreachable', 'Not connected.');
    }
    await acked;
  }

  /** A file is encrypted once: an upload that was cut goes on with the same bytes, whatever happened between. */
  async #seal(one: Outgoing): Promise<Outgoing> {
    const { content, file, ...rest } = one;
    if (!file || content.kind !== 'file') return one;
    const { bytes, sha256, key } = await seal(new Uint8Array(await file.arrayBuffer()));
    const named: Content = { ...content, file: { sha256, size: file.size, key } };
    const sealed: Outgoing = { ...rest, content: named, upload: new Blob([bytes]) };
    const tx = this.db.transaction(['outbox', 'files'], 'readwrite');
    void tx.objectStore('files').put({ sha256, key, blob: file });
    void tx.objectStore('outbox').put(sealed);
    await tx.done;
    return sealed;
  }

  async #upload(one: Outgoing): Promise<Outgoing> {
    const { upload, ...ready } = one;
    if (!upload || ready.content.kind !== 'file' || !ready.content.file) return one;
    await this.api.upload(one.conv, new Uint8Array(await upload.arrayBuffer()), ready.content.file.sha256);
    await this.db.put('outbox', ready);
    return ready;
  }

  /** It is committed: it becomes a message here in the same step as it leaves the outbox. */
  async #acked(event: { id: string; conv: number; seq: number; ts: number }): Promise<void> {
    const tx = this.db.transaction(['outbox', 'messages', 'conversations'], 'readwrite');
    const sent = await tx.objectStore('outbox').index('id').get(event.id);
    if (sent) {
      const { conv, seq, ts, id } = event;
      const row: Message = { conv, seq, id, sender: this.own.user, device: this.own.device, ts, content: sent.content };
      void tx.objectStore('messages').put(row);
      if (sent.n !== undefined) void tx.objectStore('outbox').delete(sent.n);
      const of = await tx.objectStore('conversations').get(conv);
      if (of && seq >= (of.last?.seq ?? 0) && sent.content.kind !== 'incident-action') {
        of.last = { seq, ts, sender: this.own.user, text: preview(sent.content) };
        of.read = Math.max(of.read, seq);
        void tx.objectStore('conversations').put(of);
      }
    }
    await tx.done;
    this.bus.say({ news: 'changed', convs: [event.conv] });
    this.#acks.get(event.id)?.resolve();
    this.#acks.delete(event.id);
    void this.#tellStatus();
  }

  #refused(event: { code: string; detail: string; id?: string; retry_after_ms?: number }): void {
    const waiting = event.id ? this.#acks.get(event.id) : undefined;
    const passing = event.retry_after_ms !== undefined || ['rate_limited', 'unavailable', 'internal'].includes(event.code);
    if (waiting && event.id) {
      this.#acks.delete(event.id);
      waiting.reject(new ApiError(passing ? 503 : 400, event.code, event.detail));
    } else if (event.id) {
      this.bus.say({ news: 'call', event: { type: 'call.error', call: event.id, detail: event.detail }, content: null });
    }
  }

  async #grant(wish: Wish): Promise<void> {
    if (wish.wish === 'status') {
      this.#status = '';
      await this.#tellStatus();
    } else if (wish.wish === 'flush') {
      await this.#tellStatus();
      await this.#flush();
    } else if (wish.wish === 'read') {
      await this.#mark(wish.conv, (conv) => (conv.read = Math.max(conv.read, wish.seq)));
      await this.#tellRead(wish.conv, wish.seq);
    } else if (wish.wish === 'typing') this.#say({ type: 'typing', conv: wish.conv });
    else if (wish.wish === 'refresh') await this.#refresh();
    else if (wish.wish === 'reconnect') this.#reconnect();
    else if (wish.wish === 'call') await this.#call(wish.command, wish.content);
    else if (wish.wish === 'stop') this.#end('stopped');
  }

  /** Keys to what was said before, for devices that were just linked; those without keys of their own get them later. */
  #handOver(device?: number): Promise<void> {
    const result = this.#handing.then(() => this.#handOverNow(device)); // one at a time: each reads and writes who is owed
    this.#handing = result.catch(() => undefined);
    return result;
  }

  async #handOverNow(device?: number): Promise<void> {
    const owed = new Set(((await this.db.get('meta', 'history-owed')) as number[] | undefined) ?? []);
    if (device !== undefined) owed.add(device);
    await this.db.put('meta', [...owed], 'history-owed');
    for (const one of owed) {
      try {
        await this.#exclusively(() => this.#machine.handOver(one));
        owed.delete(one);
      } catch (error) {
        ignorePassing(error); // when its keys come, the lists of devices change, and it is tried again
      }
    }
    await this.db.put('meta', [...owed], 'history-owed');
  }

  /** A device that a person here let in. */
  async #linked(link: number, device: number): Promise<void> {
    await store.forgetLink(this.db, link);
    await this.#handOver(device);
  }

  /** What became of links that were confirmed here: this device may have been away when they were completed. */
  async #lookUpLinks(): Promise<void> {
    for (const link of await store.confirmedLinks(this.db)) {
      const { state, new_device } = await this.api.linkProgress(link).catch(goneAsRefused);
      if (state === 'completed' && new_device !== null) await this.#linked(link, new_device);
      else if (state === 'refused') await store.forgetLink(this.db, link);
    }
  }

  async #call(command: CallCommand, content: unknown): Promise<void> {
    const conv = await this.db.get('conversations', command.conv);
    const say = { ...command };
    if (content !== undefined && conv) {
      say.payload = await this.#exclusively(() => this.#machine.encrypt(conv.id, conv.users, 'messenger.call', content));
    }
    if (!this.#say(say)) {
      this.bus.say({ news: 'call', event: { type: 'call.error', call: command.call, detail: 'Not connected.' }, content: null });
    }
  }

  /** Work that nobody waits for, but the end does. What the network did to it is tried again by itself. */
  #aside(work: Promise<void>): void {
    const done = work.catch(ignorePassing).finally(() => this.#asides.delete(done));
    this.#asides.add(done);
  }

  /** The machine's requests are brought by one at a time. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#chain.then(work);
    this.#chain = result.catch(() => undefined);
    return result;
  }
}

function member(event: MemberEvent): Message {
  const { conv, seq, user, ts } = event;
  return { conv, seq, id: '', sender: user, device: 0, ts, content: { kind: 'member', user, event: event.event } };
}

/** A device that was signed in again cannot decrypt what it still holds in the clear. */
async function betterOf(came: Message, held: { get(key: [number, number]): Promise<Message | undefined> }): Promise<Message> {
  const isLocked = (row: Message) => row.content.kind === 'sealed' || row.content.kind === 'unreadable';
  if (!isLocked(came)) return came;
  const before = await held.get([came.conv, came.seq]);
  return before && before.id === came.id && !isLocked(before) ? before : came;
}

function unknownConversation(id: number, from_seq: number): Conversation {
  const empty = { users: [], names: [], reads: {}, delivered: {}, unread: 0, last: null };
  return { id, title: null, from_seq, head: 0, read: from_seq - 1, told: from_seq - 1, ...empty };
}

function applyMember(conv: Conversation, row: Message, self: number): void {
  if (row.content.kind !== 'member') return;
  const { user, event } = row.content;
  if (event === 'left') {
    const at = conv.users.indexOf(user);
    if (at >= 0) {
      conv.users.splice(at, 1);
      conv.names.splice(at, 1);
    }
    if (user === self) conv.gone = true;
  }
}

function advance(of: Record<number, number>, user: number, seq: number): void {
  of[user] = Math.max(of[user] ?? 0, seq);
}

/** The server forgets a link some time after its end. */
function goneAsRefused(error: unknown): Progress {
  if (error instanceof ApiError && error.status === 404) return { state: 'refused', new_device: null };
  throw error;
}

/** What the network did is tried again by itself; anything else is a mistake that someone should see. */
function ignorePassing(error: unknown): void {
  if (!(error instanceof ApiError)) console.error(error);
}
