// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { BORN_MS, Born } from './born.ts';
import { type Stream, unknownEnd } from './stream.ts';

/** So many streams whose reader nobody has seen, born a millisecond after another. */
function born(t: TestContext, count: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const asked: Stream[] = [];
  const queue = new Born(
    (stream) => void asked.push(stream),
    () => now,
  );
  const streams = Array.from({ length: count }, () => {
    const ends = { writer: { ...unknownEnd(), pid: 1 }, reader: unknownEnd() };
    return { ...ends, ended: false, asked: true, answered: false } as Stream;
  });
  const pass = (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  for (const [index, stream] of streams.entries()) {
    if (index) pass(1);
    queue.add(stream);
  }
  return { streams, asked, pass };
}

test('who holds an end is asked when its calls have had time to tell', (t) => {
  const { streams, asked, pass } = born(t, 4);
  const [first, , third] = streams;
  if (first) first.reader.pid = 2;
  pass(BORN_MS - 3);
  assert.equal(first?.answered, true);
  assert.equal(asked.length, 0);
  pass(1);
  assert.deepEqual(asked, streams.slice(1, 2));
  if (third) third.ended = true;
  pass(2);
  assert.deepEqual(asked, [streams[1], streams[3]]);
  assert.deepEqual(
    streams.map(({ answered }) => answered),
    [true, false, true, false],
  );
});
