// End-to-end encryption: matrix-sdk-crypto's machine, its requests brought to our server and back. Loaded lazily:
// nothing else in the client needs WebAssembly. All calls come from the tab that holds the connection, one at a time.

import {
  Attachment,
  CollectStrategy,
  DecryptionErrorCode,
  DecryptionSettings,
  DeviceId,
  DeviceLists,
  EncryptedAttachment,
  EncryptionSettings,
  initAsync,
  MegolmDecryptionError,
  OlmMachine,
  ProcessedToDeviceEventType,
  RequestType,
  RoomId,
  TrustRequirement,
  UserId,
  type KeysClaimRequest,
  type ToDeviceRequest,
} from '@matrix-org/matrix-sdk-crypto-wasm';
import { ApiError, type Api } from './api.ts';
import { NAME, type Db, type KeyOwner } from './db.ts';
import type { MessageEvent_, ToDeviceEvent } from './wire.ts';

const SERVER = 'messenger';
const MEGOLM = 'm.megolm.v1.aes-sha2';
const HISTORY = 'messenger.history';
const HISTORY_ROWS = 60; // sessions in one item: below the 64 KiB that an item may have
const ROTATE_AFTER_MESSAGES = 100n;

const userName = (user: number) => `@${user}:${SERVER}`;
const roomName = (conv: number) => `!${conv}:${SERVER}`;
const userOf = (name: string) => Number(/^@([1-9]\d{0,15}):messenger$/.exec(name)?.[1] ?? 0);
const convOf = (name: string) => Number(/^!([1-9]\d{0,15}):messenger$/.exec(name)?.[1] ?? 0);

/** A row of a history item, as the Python client writes it, too. */
type HistoryRow = { conv: number; key: string; sender: number; curve25519: string; ed25519: string };

export type Opened =
  | { state: 'read'; type: string; content: unknown }
  | { state: 'sealed'; session: string } // the key has not come
  | { state: 'unreadable'; why: string };

/** The library takes what it is given, so each call has its own. Devices are not cross-signed here. */
const trust = () => new DecryptionSettings(TrustRequirement.Untrusted);

let loaded: Promise<void> | null = null;

/** The WebAssembly module; every tab that opens a file needs it, one only makes a machine. */
export function load(): Promise<void> {
  loaded ??= initAsync().catch((error: unknown) => {
    loaded = null;
    throw error;
  });
  return loaded;
}

/** Encrypt a file: what to upload, its SHA-256 in hex, and what the message must carry for others to read it. */
export async function seal(file: Uint8Array<ArrayBuffer>): Promise<{ bytes: Uint8Array<ArrayBuffer>; sha256: string; key: string }> {
  await load();
  const sealed = Attachment.encrypt(file);
  const bytes = new Uint8Array(sealed.encryptedData);
  const key = sealed.mediaEncryptionInfo;
  if (!key) throw new Error('the library gave no key');
  return { bytes, sha256: hex(await crypto.subtle.digest('SHA-256', bytes)), key };
}

/** The file again. Throws when it is not what its sender encrypted. */
export async function unseal(bytes: Uint8Array<ArrayBuffer>, key: string): Promise<Uint8Array<ArrayBuffer>> {
  await load();
  return new Uint8Array(Attachment.decrypt(new EncryptedAttachment(bytes, key)));
}

function hex(buffer: ArrayBuffer): string {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A conversation's session is named by its public key, the last 32 bytes of an exported key (Megolm, "export format"). */
function sessionOf(key: string): string {
  return btoa(atob(key + '='.repeat((4 - (key.length % 4)) % 4)).slice(-32)).replace(/=+$/, '');
}

export class Crypto {
  private constructor(
    private readonly machine: OlmMachine,
    private readonly api: Api,
    private readonly db: Db,
    private readonly user: number,
  ) {}

  /** The machine of this device, its keys kept in IndexedDB beside ours. */
  static async open(user: number, device: number, api: Api, db: Db): Promise<Crypto> {
    await load();
    const machine = await OlmMachine.initialize(
      new UserId(userName(user)),
      new DeviceId(String(device)),
      `${NAME}-keys-${user}-${device}`,
    );
    machine.roomKeyRequestsEnabled = false; // nobody here answers them: history is handed over when a device is linked
    return new Crypto(machine, api, db, user);
  }

  close(): void {
    this.machine.close();
  }

  // --- hearing -------------------------------------------------------------------------------------

  /** An item of the inbox; the sessions of conversations whose keys came with it. */
  async receive(item: ToDeviceEvent): Promise<string[]> {
    const event = { type: item.event, sender: userName(item.sender), content: item.content };
    const processed = await this.machine.receiveSyncChangesMsc4186(
      JSON.stringify([event]),
      new DeviceLists(),
      new Map(),
      undefined,
      trust(),
    );
    const came: string[] = [];
    for (const one of processed) {
      if (one.type === ProcessedToDeviceEventType.UnableToDecrypt) {
        console.warn(`what device ${item.device} of person ${item.sender} sent to this one cannot be decrypted`);
      }
      if (one.type !== ProcessedToDeviceEventType.Decrypted) continue; // what came in the clear gives no keys
      const raw = JSON.parse(one.rawEvent) as { type: string; sender: string; content: Record<string, unknown> };
      if (raw.type === 'm.room_key') {
        const owner = { session: String(raw.content.session_id), conv: convOf(String(raw.content.room_id)), sender: userOf(raw.sender) };
        await this.#own(owner);
        came.push(owner.session);
      } else if (raw.type === HISTORY && userOf(raw.sender) === this.user) {
        came.push(...(await this.#importHistory(raw.content.sessions as HistoryRow[])));
      }
    }
    return came;
  }

  /** What the server still has of this device, after signing in and whenever keys were claimed. */
  async counted(counts: Record<string, number>, unusedFallback: string[]): Promise<void> {
    const none = { signed_curve25519: 0 };
    const all = new Map(Object.entries({ ...none, ...counts }));
    await this.machine.receiveSyncChanges('[]', new DeviceLists(), all, new Set(unusedFallback), trust());
  }

  /** Devices or keys of these people are others now. */
  async listsChanged(changed: number[], left: number[]): Promise<void> {
    const names = (users: number[]) => users.map((user) => new UserId(userName(user)));
    const lists = new DeviceLists(names(changed), names(left));
    await this.machine.receiveSyncChangesMsc4186('[]', lists, new Map(), undefined, trust());
  }

  /** Bring what the machine wants said to the server, until it wants nothing more. Raises ApiError. */
  async pump(): Promise<void> {
    for (let round = 0; round < 10; round += 1) {
      const wanted = await this.machine.outgoingRequests();
      if (wanted.length === 0) return;
      for (const one of wanted) await this.#bring(one as { id: string; type: RequestType; body: string });
    }
  }

  async #bring(wanted: { id: string; type: RequestType; body: string; event_type?: string; txn_id?: string }): Promise<void> {
    const json: unknown = JSON.parse(wanted.body);
    let answer: unknown = {};
    if (wanted.type === RequestType.KeysUpload) answer = await this.api.call('POST', 'api/keys/upload', { json });
    else if (wanted.type === RequestType.KeysQuery) {
      const { device_keys } = json as { device_keys: unknown };
      answer = await this.api.call('POST', 'api/keys/query', { json: { device_keys } });
    } else if (wanted.type === RequestType.KeysClaim) {
      const { one_time_keys } = json as { one_time_keys: unknown };
      answer = await this.api.call('POST', 'api/keys/claim', { json: { one_time_keys } });
    } else if (wanted.type === RequestType.ToDevice) {
      await this.#toDevice(String(wanted.event_type), String(wanted.txn_id), json as { messages: unknown });
    }
    await this.machine.markRequestAsSent(wanted.id, wanted.type, JSON.stringify(answer));
  }

  async #toDevice(type: string, txn: string, { messages }: { messages: unknown }): Promise<void> {
    await this.api.call('PUT', `api/to-device/${encodeURIComponent(type)}/${txn}`, { json: { messages } });
  }

  /** What an event says, or that its key has not come. */
  async decrypt(event: MessageEvent_): Promise<Opened | { state: 'plain'; text: string }> {
    const content = asEncrypted(event.body);
    if (!content) return { state: 'plain', text: event.body };
    return this.open(event, content);
  }

  async open(event: Pick<MessageEvent_, 'conv' | 'sender' | 'id' | 'ts'>, content: Encrypted): Promise<Opened> {
    const wrapped = {
      type: 'm.room.encrypted',
      event_id: `$${event.id}`,
      sender: userName(event.sender),
      origin_server_ts: Math.round(event.ts * 1000),
      content,
    };
    try {
      const opened = await this.machine.decryptRoomEvent(JSON.stringify(wrapped), new RoomId(roomName(event.conv)), trust());
      const inner = JSON.parse(opened.event) as { type: string; content: unknown };
      return { state: 'read', type: inner.type, content: inner.content };
    } catch (error) {
      const code = error instanceof MegolmDecryptionError ? error.code : undefined;
      const waits = code === DecryptionErrorCode.MissingRoomKey || code === DecryptionErrorCode.UnknownMessageIndex;
      if (waits) return { state: 'sealed', session: content.session_id };
      return { state: 'unreadable', why: error instanceof Error ? error.message : String(error) };
    }
  }

  // --- saying --------------------------------------------------------------------------------------

  /** A message's body, after every device of `members` was given its key. Raises ApiError. */
  async encrypt(conv: number, members: number[], type: string, content: unknown): Promise<string> {
    const names = () => members.map((user) => new UserId(userName(user))); // the library takes what it is given
    await this.machine.updateTrackedUsers(names());
    await this.pump();
    await this.#claim(names());
    const settings = new EncryptionSettings();
    settings.rotationPeriodMessages = ROTATE_AFTER_MESSAGES;
    settings.sharingStrategy = CollectStrategy.allDevices();
    for (const request of await this.machine.shareRoomKey(new RoomId(roomName(conv)), names(), settings)) {
      await this.#bring(request as ToDeviceRequest & { id: string });
    }
    const body = await this.machine.encryptRoomEvent(new RoomId(roomName(conv)), type, JSON.stringify(content));
    const session = (JSON.parse(body) as Encrypted).session_id;
    await this.#own({ session, conv, sender: this.user });
    return body;
  }

  async #claim(names: UserId[]): Promise<void> {
    const claim: KeysClaimRequest | null = (await this.machine.getMissingSessions(names)) ?? null;
    if (claim) await this.#bring(claim as KeysClaimRequest & { id: string });
  }

  /** Give another device of this person the keys to what was said before. Only one whose code was compared. */
  async handOver(device: number): Promise<number> {
    const me = () => new UserId(userName(this.user));
    await this.machine.updateTrackedUsers([me()]);
    await this.pump();
    const target = await this.machine.getDevice(me(), new DeviceId(String(device)));
    if (!target) throw new ApiError(404, 'not_found', 'The new device has published no keys yet.');
    await this.#claim([me()]);
    const rows = await this.#exportHistory();
    for (let at = 0; at < rows.length; at += HISTORY_ROWS) {
      const sessions = rows.slice(at, at + HISTORY_ROWS);
      const content: unknown = JSON.parse(await target.encryptToDeviceEvent(HISTORY, { sessions }));
      const messages = { [userName(this.user)]: { [String(device)]: content } };
      await this.#toDevice('m.room.encrypted', globalThis.crypto.randomUUID(), { messages });
    }
    return rows.length;
  }

  async #exportHistory(): Promise<HistoryRow[]> {
    type Exported = { room_id: string; sender_key: string; session_id: string; session_key: string; sender_claimed_keys: { ed25519?: string } };
    const exported = JSON.parse(await this.machine.exportRoomKeys(() => true)) as Exported[];
    const rows: HistoryRow[] = [];
    for (const one of exported) {
      const owner = await this.db.get('owners', one.session_id);
      const ed25519 = one.sender_claimed_keys.ed25519;
      if (!owner || !ed25519) continue; // whose it is cannot be vouched for
      rows.push({ conv: convOf(one.room_id), key: one.session_key, sender: owner.sender, curve25519: one.sender_key, ed25519 });
    }
    return rows;
  }

  async #importHistory(rows: HistoryRow[]): Promise<string[]> {
    const keys = [];
    for (const row of rows) {
      const session_id = sessionOf(row.key);
      keys.push({
        algorithm: MEGOLM,
        room_id: roomName(row.conv),
        sender_key: row.curve25519,
        session_id,
        session_key: row.key,
        sender_claimed_keys: { ed25519: row.ed25519 },
        forwarding_curve25519_key_chain: [],
      });
      await this.#own({ session: session_id, conv: row.conv, sender: row.sender });
    }
    await this.machine.importExportedRoomKeys(JSON.stringify(keys), () => undefined);
    return keys.map((key) => key.session_id);
  }

  async #own(owner: KeyOwner): Promise<void> {
    await this.db.put('owners', owner);
  }
}

export type Encrypted = { algorithm: string; ciphertext: string; session_id: string };

/** The encrypted content that a body holds; null when it holds something else. */
export function asEncrypted(body: string): Encrypted | null {
  try {
    const content = JSON.parse(body) as Partial<Encrypted> | null;
    return content?.algorithm === MEGOLM && content.ciphertext && content.session_id ? (content as Encrypted) : null;
  } catch {
    return null;
  }
}
