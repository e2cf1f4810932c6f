// What is decided without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromWire, preview, toWire, type Content } from '../src/content.ts';
import { nameOf, typeOf } from '../src/device.ts';
import { around, grown, latest, MAX, newer, older, PAGE, type Span } from '../src/span.ts';
import { ago, brief, countdown, day, daysBetween, size } from '../src/words.ts';

const NOON = new Date(2026, 10, 27, 12, 0, 0).getTime() / 1000;

test('last seen is said as people say it', () => {
  assert.equal(ago(NOON - 20, NOON, 'en'), 'just now');
  assert.equal(ago(NOON + 90, NOON, 'en'), 'just now'); // a clock that is ahead
  assert.equal(ago(NOON - 60, NOON, 'en'), '1 minute ago');
  assert.equal(ago(NOON - 3 * 3600, NOON, 'en'), '3 hours ago');
  assert.match(ago(NOON - 20 * 3600, NOON, 'en'), /^yesterday at 0?4:00/); // 20 hours, and another day
  assert.equal(ago(NOON - 10 * 86400, NOON, 'en-GB'), '17 Nov');
  assert.equal(ago(NOON - 400 * 86400, NOON, 'en-GB'), '23 Oct 2025');
});

test('days are those of the calendar', () => {
  assert.equal(daysBetween(NOON - 11 * 3600, NOON), 0);
  assert.equal(daysBetween(NOON - 13 * 3600, NOON), 1);
  assert.equal(day(NOON, NOON), 'Today');
  assert.equal(day(NOON - 86400, NOON), 'Yesterday');
  assert.equal(day(NOON - 5 * 86400, NOON, 'en-GB'), 'Sunday 22 November');
  assert.equal(brief(NOON - 2 * 86400, NOON, 'en-GB'), 'Wed');
});

test('sizes and countdowns', () => {
  assert.deepEqual([640, 12_000, 3_400_000].map(size), ['640 B', '12 kB', '3.4 MB']);
  assert.deepEqual([300, 61.2, 0.1, -5].map(countdown), ['5:00', '1:02', '0:01', '0:00']);
});

test('a page of a log never grows beyond what is drawn, and covers what is looked at', () => {
  let span: Span = latest(50_000);
  assert.deepEqual(span, { from: 50_000 - PAGE + 1, to: 50_000 });
  let walked = 0;
  while (span.from > 1) {
    const before = span;
    span = older(span);
    assert.ok(span.from < before.from && span.to - span.from < MAX && span.to >= before.from, JSON.stringify(span));
    walked += 1;
  }
  assert.ok(walked < 1000);
  while (span.to < 50_000) {
    const before = span;
    span = newer(span, 50_000);
    assert.ok(span.to > before.to && span.to - span.from < MAX && span.from <= before.to, JSON.stringify(span));
  }
  for (const seq of [1, 2, 25_000, 49_999, 50_000]) {
    const { from, to } = around(seq, 50_000);
    assert.ok(from >= 1 && from <= seq && seq <= to && to <= 50_000);
  }
  assert.deepEqual(latest(0), { from: 1, to: 0 });
});

test('who looks at the end goes on doing so, and nobody else is moved', () => {
  assert.deepEqual(grown({ from: 41, to: 100 }, 100, 103), { from: 41, to: 103 });
  assert.deepEqual(grown({ from: 1, to: 60 }, 100, 103), { from: 1, to: 60 });
});

test('what is said comes back as it was', () => {
  const said: Content[] = [
    { kind: 'text', text: 'hello' },
    { kind: 'file', name: 'a.png', mime: 'image/png', file: { sha256: 'ab'.repeat(32), size: 3, key: '{}' }, width: 4, height: 5 },
    { kind: 'incident-action', incident: 'i1', action: 'resolve' },
  ];
  for (const one of said) assert.deepEqual(fromWire(JSON.parse(JSON.stringify(toWire(one)))), one);
  assert.throws(() => toWire({ kind: 'sealed' }));
});

test('what others say is believed as far as it is well formed', () => {
  for (const odd of [null, 7, 'text', [], { msgtype: 'm.image', body: 'x' }, { msgtype: 'm.file', file: { sha256: 1 } }, { msgtype: 'm.file', file: { sha256: '../keys', key: 'k' } }]) {
    assert.equal(fromWire(odd).kind, 'unreadable');
  }
  assert.deepEqual(fromWire({}), { kind: 'text', text: '' });
  const links = [{ name: 'board', url: 'https://example.com/' }, { name: 'evil', url: 'javascript:alert(1)' }, 'x', { name: 1, url: 'https://x/' }];
  const card = fromWire({ msgtype: 'messenger.incident', body: 'b', incident: { id: 4, title: 't', state: 'odd', severity: 'page', links } });
  assert.ok(card.kind === 'incident');
  assert.deepEqual([card.incident.id, card.incident.state, card.incident.links?.map((one) => one.name)], ['4', 'firing', ['board']]);
  const hostile = fromWire({ msgtype: 'm.image', body: 'x', info: { w: -1, h: 1e9, mimetype: 7 }, file: { sha256: 'a'.repeat(64), key: 'k', size: 'y' } });
  assert.ok(hostile.kind === 'file');
  assert.deepEqual([hostile.width, hostile.height, hostile.mime, hostile.file?.size], [undefined, undefined, 'application/octet-stream', 0]);
  assert.equal(preview({ kind: 'text', text: 'two\nlines' }), 'two lines');
});

test('what a device calls itself', () => {
  const phone = 'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36';
  const desk = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';
  assert.deepEqual([typeOf(phone, false), nameOf(phone)], ['MOBILE', 'Chrome on Android']);
  assert.deepEqual([typeOf(desk, false), typeOf(desk, true), nameOf(desk)], ['WEB', 'DESKTOP', 'Firefox on Linux']);
  assert.equal(nameOf(''), 'Browser on a device');
});
