// The session, held to the transcripts that the Python client is held to.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Session, type Effect, type Resume, type State } from '../src/session.ts';
import type { ServerEvent } from '../src/wire.ts';

const FOLDER = process.env.TRANSCRIPTS ?? '';

type Step = { effects: Effect[]; state: State } & (
  | { connect: string }
  | { opened: number }
  | { heard: ServerEvent; at_ms: number }
  | { stored: [number | null, number] }
  | { report: true }
  | { tick: number }
  | { closed: number; random: number }
  | { stop: true }
);

function play(session: Session, step: Step): Effect[] {
  if ('connect' in step) return session.connect(step.connect);
  if ('opened' in step) return session.opened(step.opened);
  if ('heard' in step) return session.heard(step.heard, step.at_ms);
  if ('report' in step) return session.report();
  if ('tick' in step) return session.tick(step.tick);
  if ('closed' in step) return session.closed(step.closed, step.random);
  if ('stop' in step) return session.stop();
  session.stored(...step.stored);
  return [];
}

const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
assert.ok(names.length > 10);
for (const name of names) {
  test(name, () => {
    const told = JSON.parse(readFileSync(`${FOLDER}/${name}`, 'utf8')) as { resume: Partial<Resume>; steps: Step[] };
    const session = new Session({ cursors: {}, ...told.resume });
    told.steps.forEach((step, n) => {
      assert.deepEqual(play(session, step), step.effects, `step ${n + 1}`);
      assert.equal(session.state, step.state, `step ${n + 1}`);
    });
  });
}
