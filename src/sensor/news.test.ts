// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeNews } from './news.ts';

/** `struct record_mapped` in bpf/record.h. */
function record(type: number, pid: number, device = 0, parent = 0): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt16LE(type, 8);
  bytes.writeUInt32LE(pid, 12);
  bytes.writeUInt32LE(device, 40);
  bytes.writeUInt32LE(parent, 44);
  return bytes;
}

test('news are decoded where they lie', () => {
  assert.deepEqual(decodeNews(record(32, 7, 99), 8), { type: 'mapped', pid: 7, parent: 0 });
  assert.deepEqual(decodeNews(record(19, 7, 0, 6), 8), { type: 'fork', pid: 7, parent: 6 });
  assert.deepEqual(decodeNews(record(20, 7), 8), { type: 'exec', pid: 7, parent: 0 });
  assert.deepEqual(decodeNews(record(21, 7), 8), { type: 'exit', pid: 7, parent: 0 });
});

test('a TLS connection in use is told with whether its socket is known', () => {
  assert.equal(decodeNews(record(16, 7, 0), 8)?.type, 'tied');
  assert.equal(decodeNews(record(16, 7, 1), 8)?.type, 'untied');
});

test('a type of a newer object is skipped', () => {
  assert.equal(decodeNews(record(99, 7), 8), undefined);
});
