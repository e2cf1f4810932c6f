// What the page decides without a browser: addresses, variables, intervals, names, buckets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buckets, legend, lines, table } from './frames';
import { inPromql, interpolate } from './interpolate';
import { duration, seconds, steps } from './intervals';
import { address, parse } from './state';

test('an address says everything, and is said again', () => {
  const state = parse('/d/shop', '?from=now-1h&to=now&refresh=10s&var-job=a&var-job=b&theme=light');
  assert.deepEqual(state.chosen, { job: ['a', 'b'] });
  assert.deepEqual(parse('/d/shop', address(state).split('?')[1]!), state);
  assert.equal(parse('/d/a%20b', '').uid, 'a b');
  assert.equal(parse('/d/shop', '?from=1700000000000').from, '2023-11-14T22:13:20.000Z');
  assert.equal(parse('/d/shop', '', { from: 'now-6h' }).from, 'now-6h');
});

test('a link to another board keeps what it should', () => {
  const state = parse('/d/shop', '?from=now-1h&var-job=a');
  assert.ok(!address(state, { time: false }).includes('from='));
  assert.ok(!address(state, { vars: false }).includes('var-'));
});

test('PromQL gets one value as it is, and several as a pattern', () => {
  const one = { values: ['a.b'], several: false };
  const several = { values: ['a.b', 'c'], several: true };
  assert.equal(inPromql('up{job=~"$job"}', { job: one }), 'up{job=~"a.b"}');
  assert.equal(inPromql('up{job=~"$job"}', { job: several }), 'up{job=~"(a\\\\.b|c)"}');
  assert.equal(inPromql('up{job=~"[[job]]"}', { job: { ...several, all: '.+' } }), 'up{job=~".+"}');
  assert.equal(inPromql('${job:csv} ${job:pipe} ${job:raw}', { job: several }), 'a.b,c a.b|c a.b,c');
  assert.equal(inPromql('label_replace(up, "a", "$1", "b", "(.*)")', {}), 'label_replace(up, "a", "$1", "b", "(.*)")');
  assert.equal(inPromql('up{a="$a"}', { a: { values: ['x"y\\z'], several: false } }), 'up{a="x\\"y\\\\z"}');
});

test('texts get values as people read them', () => {
  assert.equal(interpolate('$job on ${host.text}', { job: { values: ['a', 'b'], several: true }, host: { values: ['h'], several: false } }), '{a,b} on h');
  assert.equal(interpolate('$nobody', {}), '$nobody');
});

test('steps follow the width and never fall below the scrape', () => {
  assert.deepEqual(steps(3600, 600, 15), { stepS: 15, rateS: 60 });
  assert.equal(steps(86400, 600, 15).stepS, 120);
  assert.equal(steps(86400, 600, 15).rateS, 135);
  assert.equal(steps(300, 600, 1, '>10s').stepS, 10);
  assert.ok((365 * 86400) / steps(365 * 86400, 1e6, 15).stepS <= 11000);
  assert.equal(seconds('1h30m'), 5400);
  assert.equal(duration(0.5), '500ms');
});

test('a legend names its labels, and all of them where it names none', () => {
  assert.equal(legend('{{ job }}/{{nothing}}', { job: 'a' }, 'up'), 'a/');
  assert.equal(legend('__auto', { __name__: 'up', job: 'a' }, 'up'), 'up{job="a"}');
  assert.equal(legend('', {}, 'sum(up)'), 'sum(up)');
});

test('a hole in the data is a hole in the line', () => {
  const [frame] = lines([{ metric: {}, values: [[10, '1'], [30, 'NaN'], [40, '+Inf']] }], 'A', 'x', 'up', { start: 10, end: 40, stepS: 10 });
  assert.deepEqual([...frame!.fields[0]!.values], [10000, 20000, 30000, 40000]);
  assert.deepEqual([...frame!.fields[1]!.values], [1, null, null, Infinity]);
});

test('a table has a column for each label', () => {
  const frame = table([{ metric: { a: '1' }, values: [[5, '2']] }, { metric: { b: '3' }, values: [[5, '4']] }], 'A', true);
  assert.deepEqual(frame.fields.map((field) => field.name), ['Time', 'a', 'b', 'Value']);
  assert.deepEqual([...frame.fields[2]!.values], ['', '3']);
});

test('buckets lose what the lower ones hold, and are in the order of their bounds', () => {
  const series = [
    { metric: { le: '+Inf' }, values: [[0, '9'] as [number, string]] },
    { metric: { le: '0.1' }, values: [[0, '2'] as [number, string]] },
    { metric: { le: '0.5' }, values: [[0, '6'] as [number, string]] },
  ];
  const made = buckets(series, { start: 0, end: 0, stepS: 1 });
  assert.deepEqual(made.bounds, ['0.1', '0.5', '+Inf']);
  assert.deepEqual(made.counts, [[2], [4], [3]]);
});
