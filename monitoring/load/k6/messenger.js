// Load for those who have k6: k6 run -e TOKENS_FILE=/path/to/tokens -e VUS=100 messenger.js
//
// Each virtual user is one seeded device with a token of its own: with one token for all, each new
// connection would displace the one before (close code 4409). docs/load.md lists the settings.
import exec from 'k6/execution';
import { SharedArray } from 'k6/data';
import { Counter, Rate, Trend } from 'k6/metrics';
import { clearInterval, setInterval, setTimeout } from 'k6/timers';
import { WebSocket } from 'k6/websockets';

import { Cursors, delivered, hello, isRow, send } from './frames.js';

const HOST = __ENV.WS_HOST || '127.0.0.1:3001';
const VUS = Number(__ENV.VUS || 100);
const DURATION_S = Number(__ENV.DURATION_S || 60);
const SEND_EVERY_S = Number(__ENV.SEND_EVERY_S || 5);
const BODY = 'x'.repeat(Number(__ENV.BODY_BYTES || 150));
const DRAIN_S = 5;
const NORMAL = 1000;

const people = new SharedArray('people', () =>
  open(__ENV.TOKENS_FILE || './tokens')
    .split('\n')
    .filter((line) => line)
    .map((line) => JSON.parse(line)),
);

const fanout = new Trend('messenger_fanout_ms', true);
const acknowledged = new Trend('messenger_ack_ms', true);
const errors = new Rate('messenger_errors');
const sent = new Counter('messenger_sent');
const received = new Counter('messenger_received');

export const options = {
  scenarios: {
    devices: { executor: 'per-vu-iterations', vus: VUS, iterations: 1, maxDuration: `${DURATION_S + 60}s` },
  },
  thresholds: {
    messenger_fanout_ms: ['p(95)<250'],
    messenger_errors: ['rate<0.01'],
  },
};

export function setup() {
  if (people.length < VUS) {
    exec.test.abort(`the tokens file has ${people.length} devices, VUS asks for ${VUS}; seed more`);
  }
  return { run: Date.now().toString(36) };
}

export default function messenger({ run }) {
  const person = people[exec.vu.idInTest - 1];
  const cursors = new Cursors(person.user);
  const waiting = new Map(); // message id -> { conv, at: when it was sent, in ms }
  const socket = new WebSocket(`ws://${HOST}/ws`);
  let number = 0;
  let ending = false;
  let timers = [];

  const say = (text) => {
    if (socket.readyState === 1) socket.send(text);
  };
  const sendOne = () => {
    const id = `${run}-${person.device}-${(number += 1)}`;
    const conv = person.conversations[Math.floor(Math.random() * person.conversations.length)];
    waiting.set(id, { conv, at: Date.now() });
    say(send(id, conv, BODY));
    sent.add(1);
  };
  const repeatLater = ({ id, retry_after_ms: delay }) => {
    if (!waiting.has(id)) return;
    if (delay === undefined) waiting.delete(id);
    else setTimeout(() => waiting.has(id) && say(send(id, waiting.get(id).conv, BODY)), delay);
  };
  const report = () => {
    const news = cursors.take();
    if (news !== null) say(delivered(news));
  };
  const begin = () => {
    errors.add(false); // a connect that succeeded
    timers = [setInterval(report, 1000 + Math.random() * 1000)];
    // Spread over one interval, so that not all speak at once.
    setTimeout(() => !ending && timers.push(setInterval(sendOne, SEND_EVERY_S * 1000)), Math.random() * SEND_EVERY_S * 1000);
    setTimeout(finish, DURATION_S * 1000);
  };
  const finish = () => {
    ending = true;
    timers.forEach(clearInterval);
    setTimeout(() => {
      report();
      waiting.forEach(() => errors.add(true)); // never acknowledged
      socket.close(NORMAL);
    }, DRAIN_S * 1000);
  };

  socket.onopen = () => say(hello(person.token));
  socket.onmessage = (frame) => {
    const event = JSON.parse(frame.data);
    if (event.type === 'synced' && timers.length === 0) begin();
    else if (event.type === 'ack' && waiting.has(event.id)) {
      acknowledged.add(Date.now() - waiting.get(event.id).at);
      waiting.delete(event.id);
      errors.add(false);
    } else if (event.type === 'resync') cursors.forget();
    else if (event.type === 'error') {
      errors.add(true);
      repeatLater(event);
    }
    if (!isRow(event)) return;
    const isNew = cursors.apply(event);
    if (event.type !== 'message') return;
    received.add(1);
    // Old messages that are caught up with are no measure of fan-out. One machine's clock, or none.
    if (isNew && event.id.startsWith(`${run}-`)) fanout.add(Date.now() - event.ts * 1000);
  };
  socket.onerror = () => errors.add(true);
  socket.onclose = () => {
    timers.forEach(clearInterval);
    if (!ending) errors.add(true);
  };
}
