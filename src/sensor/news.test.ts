// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeNews } from './news.ts';

/** `struct record_mapped` and `struct record_executed` in bpf/record.h. */
function record(type: number, pid: number, device = 0, parent = 0, inode = 0n, path = ''): Buffer {
  const bytes = Buffer.alloc(48 + 256);
  bytes.writeUInt16LE(type, 8);
  bytes.writeUInt32LE(pid, 12);
  bytes.writeUInt32LE(device, 40);
  bytes.writeUInt32LE(parent, 44);
  bytes.writeBigUInt64LE(inode, 32);
  bytes.write(path, 48);
  return bytes;
}

test('news are decoded where they lie', () => {
  const mapped = { type: 'mapped', pid: 7, parent: 0, file: { node: '99:5', path: '' } };
  assert.deepEqual(decodeNews(record(32, 7, 99, 0, 5n), 8), mapped);
  const executed = { type: 'exec', pid: 7, parent: 0, file: { node: '99:5', path: '/bin/é' } };
  assert.deepEqual(decodeNews(record(20, 7, 99, 0, 5n, '/bin/é'), 8), executed);
  assert.deepEqual(decodeNews(record(19, 7, 0, 6), 8), { type: 'fork', pid: 7, parent: 6 });
  assert.deepEqual(decodeNews(record(19, 7, 1, 6), 8), { type: 'vfork', pid: 7, parent: 6 });
  assert.deepEqual(decodeNews(record(21, 7), 8), { type: 'exit', pid: 7, parent: 0 });
});

test('a TLS connection in use is told with whether its socket is known', () => {
  assert.equal(decodeNews(record(16, 7, 0), 8)?.type, 'tied');
  assert.equal(decodeNews(record(16, 7, 1), 8)?.type, 'untied');
});

test('a type of a newer object is skipped', () => {
  assert.equal(decodeNews(record(99, 7), 8), undefined);
});
