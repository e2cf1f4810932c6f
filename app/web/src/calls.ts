// One call at a time, from person to person. Signalling goes through the tab with the connection, encrypted like
// messages: who can change what the server passes on could otherwise sit in the middle. Media flows between browsers.

import { signal } from '@preact/signals';
import { bus, the } from './state.ts';
import type { News } from './bus.ts';
import type { CallCommand, CallEvent } from './wire.ts';

const LIFETIME_MS = 60_000;
const CANDIDATES_AFTER_MS = 200; // several in one command
const GONE_AFTER_MS = 2_500;

export type Call = {
  id: string;
  conv: number;
  user: number;
  incoming: boolean;
  video: boolean;
  state: 'ringing' | 'connecting' | 'connected' | 'ended';
  words: string; // why it ended
  mine: MediaStream | null;
  theirs: MediaStream | null;
};

export const call = signal<Call | null>(null);

type Sdp = { sdp: string; video?: boolean };
type CallNews = Extract<News, { news: 'call' }>;

let peer: RTCPeerConnection | null = null;
let offered: RTCSessionDescriptionInit | null = null; // what the other side proposed
let early: RTCIceCandidateInit[] = []; // candidates that came before there was a connection to give them to
let mine: RTCIceCandidateInit[] = [];
let sending: ReturnType<typeof setTimeout> | undefined;
let given: ReturnType<typeof setTimeout> | undefined;

function update(change: Partial<Call>): void {
  if (call.value) call.value = { ...call.value, ...change };
}

function say(command: Omit<CallCommand, 'conv' | 'call'>, content?: unknown): void {
  const now = call.value;
  if (now) bus.say({ wish: 'call', command: { ...command, call: now.id, conv: now.conv } as CallCommand, content });
}

export async function startCall(conv: number, user: number, video: boolean): Promise<void> {
  if (call.value && call.value.state !== 'ended') return;
  const base = { id: crypto.randomUUID(), conv, user, incoming: false, video, words: '', theirs: null };
  call.value = { ...base, state: 'ringing', mine: null };
  try {
    const connection = await connect(base.id, video);
    const offer = await connection.createOffer();
    await connection.setLocalDescription(offer);
    requireStill(base.id);
    say({ type: 'call.invite', user, lifetime_ms: LIFETIME_MS }, { sdp: offer.sdp, video } satisfies Partial<Sdp>);
    given = setTimeout(() => hangUp('Nobody answered.'), LIFETIME_MS);
  } catch (error) {
    if (isStill(base.id)) end(mediaProblem(error));
  }
}

export async function answer(): Promise<void> {
  const now = call.value;
  if (!now?.incoming || now.state !== 'ringing' || !offered) return;
  update({ state: 'connecting' });
  bus.say({ news: 'call-taken', call: now.id });
  try {
    const proposed = offered;
    const connection = await connect(now.id, now.video);
    await connection.setRemoteDescription(proposed);
    await takeEarly(connection);
    const made = await connection.createAnswer();
    await connection.setLocalDescription(made);
    requireStill(now.id);
    say({ type: 'call.answer' }, { sdp: made.sdp });
  } catch (error) {
    if (!isStill(now.id)) return;
    say({ type: 'call.reject', reason: 'no media' });
    end(mediaProblem(error));
  }
}

export function reject(): void {
  say({ type: 'call.reject' });
  end('You declined.');
}

export function hangUp(words = 'The call ended.'): void {
  if (!call.value || call.value.state === 'ended') return;
  say({ type: 'call.hangup' });
  end(words);
}

/** Switch a track of one's own on or off; whether it is on now. */
export function toggle(kind: 'audio' | 'video'): boolean {
  const track = call.value?.mine?.getTracks().find((one) => one.kind === kind);
  if (!track) return false;
  track.enabled = !track.enabled;
  return track.enabled;
}

/** Whether this call goes on: while the browser asked for the camera, it may have ended, and another may have come. */
function isStill(id: string): boolean {
  return call.value?.id === id && call.value.state !== 'ended';
}

function requireStill(id: string): void {
  if (!isStill(id)) throw new Error('The call ended.');
}

/** Throws when the call ended meanwhile. */
async function connect(id: string, video: boolean): Promise<RTCPeerConnection> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
  if (!isStill(id)) for (const track of stream.getTracks()) track.stop();
  requireStill(id);
  update({ mine: stream });
  const iceServers = await the().api.turn();
  requireStill(id);
  const connection = new RTCPeerConnection({ iceServers });
  peer = connection;
  mine = [];
  const theirs = new MediaStream();
  for (const track of stream.getTracks()) connection.addTrack(track, stream);
  connection.ontrack = (event) => {
    theirs.addTrack(event.track);
    update({ theirs });
  };
  connection.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    mine.push(candidate.toJSON());
    sending ??= setTimeout(sendCandidates, CANDIDATES_AFTER_MS);
  };
  connection.onconnectionstatechange = () => {
    if (connection !== peer) return;
    if (connection.connectionState === 'connected') update({ state: 'connected' });
    if (connection.connectionState === 'failed') hangUp('The connection failed.');
  };
  return connection;
}

function sendCandidates(): void {
  sending = undefined;
  if (mine.length === 0 || !call.value) return;
  say({ type: 'call.candidates' }, { candidates: mine.splice(0) });
}

async function takeEarly(connection: RTCPeerConnection): Promise<void> {
  for (const candidate of early.splice(0)) {
    await connection.addIceCandidate(candidate).catch((error: unknown) => console.info('a candidate was not taken', error));
  }
}

function end(words: string): void {
  clearTimeout(given);
  clearTimeout(sending);
  sending = undefined;
  for (const track of call.value?.mine?.getTracks() ?? []) track.stop();
  peer?.close();
  peer = null;
  offered = null;
  early = [];
  update({ state: 'ended', words, mine: null, theirs: null });
  const over = call.value?.id;
  setTimeout(() => {
    if (call.value?.id === over && call.value?.state === 'ended') call.value = null;
  }, GONE_AFTER_MS);
}

function mediaProblem(error: unknown): string {
  if (error instanceof DOMException && error.name === 'NotAllowedError') return 'The microphone or camera may not be used.';
  if (error instanceof DOMException && error.name === 'NotFoundError') return 'There is no microphone or camera.';
  return error instanceof Error ? error.message : String(error);
}

/** Hear about calls. `self` is this person, `device` this device: what others do there stops the ringing here. */
export function listenForCalls(): () => void {
  return bus.listen((said) => {
    if (!('news' in said)) return;
    if (said.news === 'call') void hear(said);
    if (said.news === 'call-taken' && call.value?.id === said.call && call.value.state === 'ringing' && !peer) call.value = null;
  });
}

async function hear({ event, content }: CallNews): Promise<void> {
  const now = call.value;
  if (event.type === 'call.invite') return rung(event as CallEvent, content);
  if (!now || event.call !== now.id || now.state === 'ended') return;
  const isOwner = peer !== null; // other tabs of this browser hear it, too, and only ring
  if (event.type === 'call.error') {
    if (isOwner && now.state !== 'connected') end(event.detail ?? 'The call cannot be made.');
  } else if (event.type === 'call.hangup' || event.type === 'call.reject') {
    end(reasonOf((event as CallEvent).reason, event.type));
  } else if (event.type === 'call.candidates') {
    const { candidates } = (content ?? {}) as { candidates?: RTCIceCandidateInit[] };
    if (!Array.isArray(candidates)) return;
    early.push(...candidates);
    if (peer?.remoteDescription) await takeEarly(peer);
  } else if (event.type === 'call.answer' && isOwner && !now.incoming && now.state === 'ringing') {
    const { sdp } = (content ?? {}) as Partial<Sdp>;
    if (!sdp || !peer) return;
    clearTimeout(given);
    update({ state: 'connecting' });
    say({ type: 'call.select_answer', selected: (event as CallEvent).device });
    try {
      await peer.setRemoteDescription({ type: 'answer', sdp });
      if (peer) await takeEarly(peer);
    } catch {
      hangUp('The connection failed.'); // what they answered is no description of a call
    }
  }
}

function rung(event: CallEvent, content: unknown): void {
  const left = (event.lifetime_ms ?? LIFETIME_MS) - event.age_ms;
  const { sdp, video } = (content ?? {}) as Partial<Sdp>;
  if (left <= 0 || !sdp) return;
  const now = call.value;
  if (now && now.state !== 'ended') {
    const glare = !now.incoming && now.state === 'ringing' && now.conv === event.conv && now.user === event.user;
    if (glare && now.id < event.call) return; // ours stays: the server tells them
    if (glare) end('You called each other.');
    else return bus.say({ wish: 'call', command: { type: 'call.reject', call: event.call, conv: event.conv, reason: 'busy' } });
  }
  if (event.call === now?.id) return;
  offered = { type: 'offer', sdp };
  early = [];
  const base = { id: event.call, conv: event.conv, user: event.user, incoming: true, words: '', mine: null, theirs: null };
  call.value = { ...base, video: video === true, state: 'ringing' };
  clearTimeout(given);
  given = setTimeout(() => call.value?.state === 'ringing' && end('Missed.'), left);
}

function reasonOf(reason: string | undefined, type: string): string {
  const known: Record<string, string> = {
    answered_elsewhere: 'Answered on another device.',
    rejected: 'Declined.',
    busy: 'They are in another call.',
    glare: 'You called each other.',
  };
  return known[reason ?? ''] ?? (type === 'call.reject' ? 'Declined.' : 'The call ended.');
}
