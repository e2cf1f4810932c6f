// What travels over the socket, as docs/protocol.md names it. Only what this client says and hears.

export type Cursors = Record<string, number>;

export type Hello = {
  type: 'hello';
  token: string;
  cursors: Cursors;
  epoch?: string;
  since?: string;
  to_device?: number;
};

export type CallVerb = 'invite' | 'candidates' | 'answer' | 'select_answer' | 'reject' | 'hangup' | 'negotiate';

export type CallCommand = {
  type: `call.${CallVerb}`;
  call: string;
  conv: number;
  user?: number;
  payload?: string;
  lifetime_ms?: number;
  selected?: number;
  reason?: string;
};

export type Command =
  | Hello
  | { type: 'link'; token: string }
  | { type: 'auth'; token: string }
  | { type: 'send'; id: string; conv: number; body: string }
  | { type: 'delivered'; cursors: Cursors; to_device?: number }
  | { type: 'read'; conv: number; seq: number }
  | { type: 'sync'; cursors: Cursors }
  | { type: 'typing'; conv: number }
  | CallCommand;

export type MessageEvent_ = {
  type: 'message';
  conv: number;
  seq: number;
  id: string;
  sender: number;
  device: number;
  ts: number;
  body: string;
};

export type MemberEvent = {
  type: 'member';
  conv: number;
  seq: number;
  user: number;
  event: 'joined' | 'left';
  ts: number;
};

export type ToDeviceEvent = {
  type: 'to_device';
  seq: number;
  sender: number;
  device: number;
  event: string;
  content: unknown;
};

export type CallEvent = {
  type: `call.${CallVerb}`;
  seq: number;
  call: string;
  conv: number;
  user: number;
  device: number;
  age_ms: number;
  payload?: string;
  lifetime_ms?: number;
  selected?: number;
  reason?: string;
};

export type LinkEvent = {
  type: 'link';
  link: number;
  event: 'waiting' | 'claimed' | 'confirmed' | 'refused' | 'completed';
  name?: string;
  device_type?: DeviceType;
  comparison?: string;
  device?: number;
};

export type ServerEvent =
  | { type: 'welcome'; user: number; device: number; epoch: string; beat_s: number; ts: number }
  | { type: 'ack'; id: string; conv: number; seq: number; ts: number }
  | MessageEvent_
  | MemberEvent
  | ToDeviceEvent
  | CallEvent
  | LinkEvent
  | { type: 'call.ack'; call: string; conv: number; devices: number }
  | { type: 'receipt'; conv: number; user: number; seq: number }
  | { type: 'read'; conv: number; user: number; seq: number }
  | { type: 'typing'; conv: number; user: number }
  | { type: 'device'; device: number; event: 'linked' | 'changed' | 'revoked' }
  | { type: 'device_lists'; changed: number[]; left: number[] }
  | { type: 'keys'; one_time_key_counts: Record<string, number>; unused_fallback_key_types: string[] }
  | { type: 'synced'; position?: string }
  | { type: 'resync'; epoch: string }
  | { type: 'broadcast'; id: string; ts: number; body: string }
  | { type: 'drain'; retry_after_ms: number }
  | { type: 'error'; code: string; detail: string; id?: string; retry_after_ms?: number };

export type DeviceType = 'WEB' | 'MOBILE' | 'DESKTOP';

/** Whether this waits in the device's inbox until it is acknowledged by its `seq`. */
export function isItem(event: ServerEvent): event is ToDeviceEvent | CallEvent {
  return event.type === 'to_device' || (event.type.startsWith('call.') && 'seq' in event);
}

/** Whether this is a row of a conversation's log. */
export function isRow(event: ServerEvent): event is MessageEvent_ | MemberEvent {
  return event.type === 'message' || event.type === 'member';
}
