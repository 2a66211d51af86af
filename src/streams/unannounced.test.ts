// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Early, LOST_NS, Unannounced } from './unannounced.ts';

function data(stream: number, time: number, bytes: Buffer): Early {
  const call = { pid: 1, fd: 1, offset: 0, fromReader: false, packetEnd: false };
  return { type: 'data', stream, time, bytes, resumed: false, shared: false, batch: false, ...call };
}

test('what came of a stream is given back in its order, with the bytes that it had then', () => {
  const early = new Unannounced();
  const ring = Buffer.from('one');
  early.add(data(7, 1, ring));
  ring.write('two');
  early.add({ type: 'eof', stream: 7, time: 2 });
  early.add({ type: 'eof', stream: 8, time: 3 });
  assert.deepEqual([early.has(7), early.has(9), early.size], [true, false, 2]);
  const [first, second, ...more] = early.take(7);
  assert.deepEqual(first?.type === 'data' && first.bytes.toString(), 'one');
  assert.deepEqual([second, more], [{ type: 'eof', stream: 7, time: 2 }, []]);
  assert.deepEqual([early.take(7), early.size], [[], 1]);
});

test('a stream that has waited for long enough is overdue, by what came of it first', () => {
  const early = new Unannounced();
  early.add({ type: 'eof', stream: 7, time: 1 });
  early.add({ type: 'eof', stream: 8, time: 2 });
  early.add({ type: 'eof', stream: 7, time: 3 });
  assert.deepEqual(early.overdue(1 + LOST_NS), []);
  assert.deepEqual(early.overdue(2 + LOST_NS), [7]);
  assert.deepEqual(early.overdue(3 + LOST_NS), [7, 8]);
});

test('none waits where many bytes would be kept for it', () => {
  const early = new Unannounced();
  for (let stream = 1; stream <= 9; stream++) early.add(data(stream, stream, Buffer.alloc(1 << 20)));
  assert.deepEqual(early.overdue(10), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (let stream = 1; stream <= 2; stream++) early.take(stream);
  assert.deepEqual(early.overdue(10), []);
});
