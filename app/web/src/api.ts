// The HTTP half of the protocol. Tokens are refreshed here, by one tab at a time.

import { absolute } from './config.ts';
import { account, keepTokens, type Account, type Db } from './db.ts';
import type { DeviceType } from './wire.ts';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: { field: string; problem: string }[] = [],
  ) {
    super(message);
  }

  /** Whether this device's account is no good any more. */
  get isSignedOut(): boolean {
    return this.status === 401;
  }

  /** Whether the same again may go well later. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

type Tokens = { user: number; device: number; access_token: string; refresh_token: string; expires_in: number };
export type Device = {
  id: number;
  type: DeviceType;
  name: string;
  created_at: number;
  last_seen_at: number | null;
  connected: boolean;
  current: boolean;
};
export type Offer = { link: number; payload: string; code: string; qr_svg: string; expires_at: number; expires_in: number };
export type Progress = { state: 'open' | 'claimed' | 'confirmed' | 'refused' | 'completed'; new_device: number | null };
export type Claim = { link: number; claim_token: string; nonce: string; comparison: string };
export type Summary = {
  id: number;
  title: string | null;
  head: number;
  from_seq: number;
  read: number;
  members: string[];
  users: number[];
  reads: number[];
  avatars: (string | null)[];
};
export type Upload = { upload: number; offset: number; chunk_bytes: number; media?: string };
export type Presence = { user: number; online: boolean; last_seen_at: number | null };

const REFRESH_BEFORE_S = 60;
const TIMEOUT_MS = 20_000;
const BYTES_TIMEOUT_MS = 120_000; // a chunk over a slow line

/** One request; raises ApiError, with status 0 when nothing answered. */
export async function request<T>(
  method: string,
  path: string,
  options: { json?: unknown; bytes?: Blob | Uint8Array<ArrayBuffer>; token?: string } = {},
): Promise<T> {
  const headers: Record<string, string> = {};
  if (options.token) headers.Authorization = `Bearer ${options.token}`;
  if (options.json !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  let text: string;
  try {
    const body = options.json !== undefined ? JSON.stringify(options.json) : options.bytes;
    const signal = AbortSignal.timeout(options.bytes ? BYTES_TIMEOUT_MS : TIMEOUT_MS);
    response = await fetch(absolute(path), { method, headers, body, signal });
    text = await response.text();
  } catch {
    throw new ApiError(0, 'unreachable', 'The server cannot be reached.');
  }
  let answer: unknown = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError(502, 'malformed', 'The server answered something else than JSON.');
  }
  if (response.ok) return answer as T;
  const problem = (answer ?? {}) as { code?: string; message?: string; details?: { field: string; problem: string }[] };
  const message = problem.message ?? `The server answered ${response.status}.`;
  throw new ApiError(response.status, problem.code ?? 'error', message, problem.details);
}

function asAccount(tokens: Tokens, name: string): Account {
  const { user, device, access_token, refresh_token } = tokens;
  return { user, device, name, access_token, refresh_token, expires_at: Date.now() / 1000 + tokens.expires_in };
}

export type NewDevice = { type: DeviceType; name: string };

export async function register(name: string, password: string, device: NewDevice): Promise<Account> {
  return asAccount(await request<Tokens>('POST', 'auth/register', { json: { name, password, device } }), name);
}

export async function login(name: string, password: string, device: NewDevice): Promise<Account> {
  return asAccount(await request<Tokens>('POST', 'auth/login', { json: { name, password, device } }), name);
}

export function claimLink(offered: { payload: string } | { code: string }, device: NewDevice): Promise<Claim> {
  return request<Claim>('POST', 'api/links/claim', { json: { ...offered, device } });
}

export async function collectLink(claim_token: string): Promise<Account> {
  return asAccount(await request<Tokens>('POST', 'api/links/collect', { json: { claim_token } }), '');
}

/** Why a refresh token is no good: the access token, old as it is, still tells whether its device was revoked. */
async function explain(error: unknown, own: Account): Promise<never> {
  if (error instanceof ApiError && error.isSignedOut) await request('GET', 'api/devices', { token: own.access_token });
  throw error;
}

/** What a signed-in device may ask for. */
export class Api {
  constructor(private readonly db: Db) {}

  /**
   * A token that is still good for a while. `stale` is one that was refused. Raises ApiError: `device_revoked`, or
   * another 401 when this device must sign in again.
   */
  async token(stale?: string): Promise<string> {
    return await navigator.locks.request('messenger-token', async () => {
      const own = await account(this.db);
      if (!own) throw new ApiError(401, 'unauthenticated', 'Not signed in.');
      const isGood = own.access_token !== stale && own.expires_at - REFRESH_BEFORE_S > Date.now() / 1000;
      if (isGood) return own.access_token;
      const json = { refresh_token: own.refresh_token };
      const tokens = await request<Tokens>('POST', 'auth/refresh', { json }).catch((error: unknown) => explain(error, own));
      const fresh = asAccount(tokens, own.name);
      if (!(await keepTokens(this.db, fresh))) throw new ApiError(401, 'unauthenticated', 'Signed out meanwhile.');
      return fresh.access_token;
    });
  }

  async call<T>(method: string, path: string, options: { json?: unknown; bytes?: Blob | Uint8Array<ArrayBuffer> } = {}): Promise<T> {
    const token = await this.token();
    try {
      return await request<T>(method, path, { ...options, token });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      return request<T>(method, path, { ...options, token: await this.token(token) });
    }
  }

  async conversations(): Promise<Summary[]> {
    return (await this.call<{ conversations: Summary[] }>('GET', 'api/conversations')).conversations;
  }

  async createConversation(members: string[], title: string | null): Promise<number> {
    const json = title ? { members, title } : { members };
    return (await this.call<{ id: number }>('POST', 'api/conversations', { json })).id;
  }

  addMembers(conv: number, members: string[]): Promise<void> {
    return this.call('POST', `api/conversations/${conv}/members`, { json: { members } });
  }

  leave(conv: number): Promise<void> {
    return this.call('DELETE', `api/conversations/${conv}/members/me`);
  }

  async presence(conv: number): Promise<Presence[]> {
    return (await this.call<{ people: Presence[] }>('GET', `api/conversations/${conv}/presence`)).people;
  }

  async devices(): Promise<Device[]> {
    return (await this.call<{ devices: Device[] }>('GET', 'api/devices')).devices;
  }

  rename(device: number, name: string): Promise<void> {
    return this.call('PATCH', `api/devices/${device}`, { json: { name } });
  }

  revoke(device: number): Promise<void> {
    return this.call('DELETE', `api/devices/${device}`);
  }

  offerLink(): Promise<Offer> {
    return this.call('POST', 'api/links', { json: {} });
  }

  /** 404 when the link is forgotten. */
  linkProgress(link: number): Promise<Progress> {
    return this.call('GET', `api/links/${link}`);
  }

  confirmLink(link: number, accept: boolean): Promise<void> {
    return this.call('POST', `api/links/${link}/confirm`, { json: { accept } });
  }

  setAvatar(picture: Blob): Promise<{ url: string }> {
    return this.call('PUT', 'api/avatar', { bytes: picture });
  }

  /** Upload what is encrypted already, and go on where an upload was cut. Its name is its SHA-256. */
  async upload(conv: number, bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<void> {
    const json = { conv, size_bytes: bytes.byteLength, sha256 };
    let at = await this.call<Upload>('POST', 'api/media/uploads', { json });
    while (at.offset < bytes.byteLength) {
      const chunk = bytes.subarray(at.offset, at.offset + at.chunk_bytes);
      at = await this.call<Upload>('PUT', `api/media/uploads/${at.upload}?offset=${at.offset}`, { bytes: chunk });
    }
  }

  async download(sha256: string): Promise<Uint8Array<ArrayBuffer>> {
    const { url } = await this.call<{ url: string }>('GET', `api/media/${sha256}`);
    const response = await fetch(absolute(url), { signal: AbortSignal.timeout(BYTES_TIMEOUT_MS) }).catch(() => null);
    if (!response?.ok) throw new ApiError(response?.status ?? 0, 'unreachable', 'The file cannot be fetched now.');
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Relays for calls; none where none is configured. */
  async turn(): Promise<RTCIceServer[]> {
    const turn = await this.call<{ username: string; password: string; uris: string[] }>('GET', 'api/calls/turn');
    return turn.uris.length > 0 ? [{ urls: turn.uris, username: turn.username, credential: turn.password }] : [];
  }
}
