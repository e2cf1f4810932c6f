// The messenger's protocol (docs/protocol.md): building what a client says, and keeping its cursors.
//
// No k6 in here, so that it runs anywhere; tests/contract/test_k6_frames.py runs it under node and
// holds every frame to the server's own decoder.

/** Sign in. `cursors` maps conversations to the highest seq applied; what is left out goes on where the server knows. */
export function hello(token, cursors = {}, epoch = null) {
  const said = { type: 'hello', token, cursors };
  if (epoch !== null) said.epoch = epoch;
  return JSON.stringify(said);
}

/** A message; `id` is unique for the device for ever, and repeated when the send is. */
export function send(id, conv, body) {
  return JSON.stringify({ type: 'send', id, conv, body });
}

/** Everything up to these seqs is stored. */
export function delivered(cursors) {
  return JSON.stringify({ type: 'delivered', cursors });
}

/** Whether an event is a row of a conversation's log. */
export function isRow(event) {
  return event.type === 'message' || event.type === 'member';
}

/** What a device has applied: a row counts when it is the next one of its conversation. */
export class Cursors {
  constructor(user) {
    this.user = user;
    this.known = {};
    this.unreported = {};
  }

  /** True when the row was applied; false for a repeat and for one that came too early. */
  apply(row) {
    // Without a cursor the server began at the one it has stored. Who comes back skips what lay between.
    const back = row.type === 'member' && row.event === 'joined' && row.user === this.user;
    const cursor = this.known[row.conv];
    const next = cursor === undefined || (back && row.seq > cursor) ? row.seq : cursor + 1;
    if (row.seq !== next) return false;
    this.known[row.conv] = row.seq;
    this.unreported[row.conv] = row.seq;
    return true;
  }

  /** The cursors to tell in `delivered`, or null when there is nothing new. */
  take() {
    const told = this.unreported;
    this.unreported = {};
    return Object.keys(told).length ? told : null;
  }

  /** The server has another database than before. */
  forget() {
    this.known = {};
    this.unreported = {};
  }
}
