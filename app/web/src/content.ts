// What a message says, inside its encryption. The names on the wire are those of Matrix where it has one, so the
// Python client and this one read each other.

export type EncryptedFile = {
  sha256: string; // of what was uploaded, hex
  size: number; // of the file itself, bytes
  key: string; // the library's description: key, initialisation vector, digest
};

export type Incident = {
  id: string;
  title: string;
  severity: string;
  state: 'firing' | 'acknowledged' | 'resolved';
  summary?: string;
  links?: { name: string; url: string }[];
};

export type Content =
  | { kind: 'text'; text: string }
  | { kind: 'file'; name: string; mime: string; file: EncryptedFile | null; width?: number; height?: number }
  | { kind: 'incident'; incident: Incident }
  | { kind: 'incident-action'; incident: string; action: 'acknowledge' | 'resolve' }
  | { kind: 'member'; user: number; event: 'joined' | 'left' }
  | { kind: 'sealed' } // its key has not come
  | { kind: 'unreadable'; why: string };

export const MESSAGE = 'm.room.message';
const INCIDENT = 'messenger.incident';
const INCIDENT_ACTION = 'messenger.incident_action';

type Wire = Record<string, unknown>;

const SHA256 = /^[0-9a-f]{64}$/; // it becomes a part of an address

/** The content of the encrypted event. */
export function toWire(content: Content): Wire {
  switch (content.kind) {
    case 'text':
      return { msgtype: 'm.text', body: content.text };
    case 'file':
      return {
        msgtype: content.mime.startsWith('image/') ? 'm.image' : 'm.file',
        body: content.name,
        file: content.file,
        info: { mimetype: content.mime, size: content.file?.size, w: content.width, h: content.height },
      };
    case 'incident':
      return { msgtype: INCIDENT, body: content.incident.title, incident: content.incident };
    case 'incident-action':
      return { msgtype: INCIDENT_ACTION, body: content.action, incident: content.incident, action: content.action };
    default:
      throw new Error(`a ${content.kind} is not said`);
  }
}

/** What somebody else's client said; anything malformed becomes words or `unreadable`, never an exception. */
export function fromWire(wire: unknown): Content {
  if (!isRecord(wire)) return { kind: 'unreadable', why: 'it is no object' };
  const body = typeof wire.body === 'string' ? wire.body : '';
  if (wire.msgtype === 'm.image' || wire.msgtype === 'm.file') {
    const { file } = wire;
    const info = isRecord(wire.info) ? wire.info : {};
    if (!isRecord(file) || typeof file.sha256 !== 'string' || !SHA256.test(file.sha256) || typeof file.key !== 'string') {
      return { kind: 'unreadable', why: 'it names no file' };
    }
    return {
      kind: 'file',
      name: body || 'file',
      mime: typeof info.mimetype === 'string' ? info.mimetype : 'application/octet-stream',
      file: { sha256: file.sha256, size: typeof file.size === 'number' ? file.size : 0, key: file.key },
      width: dimension(info.w),
      height: dimension(info.h),
    };
  }
  if (wire.msgtype === INCIDENT && isRecord(wire.incident)) {
    const one = wire.incident;
    const state = one.state === 'acknowledged' || one.state === 'resolved' ? one.state : 'firing';
    const links = (Array.isArray(one.links) ? one.links : []).filter(isLink);
    const incident = { id: words(one.id), title: words(one.title) || body, severity: words(one.severity), state, links };
    return { kind: 'incident', incident: { ...incident, summary: words(one.summary) } as Incident };
  }
  if (wire.msgtype === INCIDENT_ACTION && (wire.action === 'acknowledge' || wire.action === 'resolve')) {
    return { kind: 'incident-action', incident: words(wire.incident), action: wire.action };
  }
  return { kind: 'text', text: body };
}

/** One line of it, for lists and notifications. */
export function preview(content: Content): string {
  switch (content.kind) {
    case 'text':
      return content.text.replace(/\s+/g, ' ').slice(0, 120);
    case 'file':
      return content.mime.startsWith('image/') ? `Picture: ${content.name}` : `File: ${content.name}`;
    case 'incident':
      return `${content.incident.state}: ${content.incident.title}`;
    case 'incident-action':
      return content.action === 'acknowledge' ? 'Acknowledged' : 'Resolved';
    case 'member':
      return content.event === 'joined' ? 'joined' : 'left';
    default:
      return 'Cannot be read yet';
  }
}

function isRecord(value: unknown): value is Wire {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function words(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

function dimension(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 && value < 100_000 ? value : undefined;
}

/** A link that may be followed: what others write must not run as a script. */
function isLink(value: unknown): value is { name: string; url: string } {
  return isRecord(value) && typeof value.name === 'string' && typeof value.url === 'string' && /^https?:/.test(value.url);
}
