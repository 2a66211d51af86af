// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BORN_MS, Born } from './born.ts';
import { HOLD_NS } from './release.ts';
import { type Stream, unknownEnd } from './stream.ts';

const HOLD_MS = HOLD_NS / 1e6;

/** So many streams whose reader nobody has seen, and a sensor that answers when told to. */
function born(t: TestContext, count: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const answers: (() => void)[] = [];
  const asked: Stream[] = [];
  const queue = new Born(
    (stream) => {
      asked.push(stream);
      return new Promise((resolve) => answers.push(resolve));
    },
    () => now,
  );
  const streams = Array.from({ length: count }, () => {
    const ends = { writer: { ...unknownEnd(), pid: 1 }, reader: unknownEnd() };
    return { ...ends, ended: false, asked: true, answered: false } as Stream;
  });
  for (const stream of streams) queue.add(stream);
  const pass = (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  /** The sensor answers all that it has been asked so far. */
  const answer = async () => {
    for (const each of answers.splice(0)) each();
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  };
  return { streams, asked, pass, answer };
}

test('who holds an end is asked when its calls have had time to tell', (t) => {
  const { streams, asked, pass } = born(t, 3);
  pass(BORN_MS - 1);
  assert.equal(asked.length, 0);
  const [first] = streams;
  if (first) first.reader.pid = 2;
  pass(1);
  assert.deepEqual(asked, streams.slice(1));
  assert.deepEqual(
    streams.map(({ answered }) => answered),
    [true, false, false],
  );
});

test('of thousands that are born at once some are asked for at a time, in their order', async (t) => {
  const { streams, asked, pass, answer } = born(t, 1000);
  pass(BORN_MS);
  const atOnce = asked.length;
  assert.ok(atOnce > 0 && atOnce < 100, `${atOnce} at once`);
  await answer();
  assert.deepEqual(asked, streams.slice(0, 2 * atOnce));
});

test('what nobody waits for any longer is not asked for, until another frame does', async (t) => {
  const { streams, asked, pass, answer } = born(t, 1000);
  pass(BORN_MS);
  const atOnce = asked.length;
  pass(HOLD_MS + 1);
  await answer();
  assert.equal(asked.length, atOnce);
  assert.ok(streams.slice(atOnce).every((stream) => !stream.asked && !stream.answered));
});
