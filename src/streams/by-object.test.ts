// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AWAY, tracking } from '../../test/support/tracking.ts';
import type { StreamRecord } from '../source/records.ts';
import { ByObject } from './by-object.ts';
import type { Stream } from './stream.ts';

const PIPE = { carrier: 'pipe', inode: 7, device: 9 } as const;
const SOCKET = { carrier: 'unix', inode: 7, peerInode: 8, device: 9 } as const;
const TCP = { carrier: 'tcp', inode: 0, addresses: AWAY } as const;

/** Two streams of each kind, the second of the same object as the first, and what the kernel would say of a third. */
function streams(told: Partial<StreamRecord>) {
  const { tracker, announce } = tracking();
  const [first, second] = [1, 2].map((stream) => {
    announce(stream, told);
    return tracker.get(stream) as Stream;
  }) as [Stream, Stream];
  const base = { type: 'stream', time: 0, pid: 1, stream: 3, pair: 0, joined: true } as const;
  const again = { ...base, inode: 0, peerInode: 0, device: 0, carrier: 'pipe', ...told } as const;
  return { first, second, again };
}

for (const told of [PIPE, SOCKET, TCP])
  test(`what comes again of one ${told.carrier} belongs to its youngest stream`, () => {
    const { first, second, again } = streams(told);
    const all = new ByObject();
    all.add(first);
    all.add(second);
    assert.equal(all.same(again), second);
    all.delete(first);
    assert.equal(all.same(again), second, 'another one has its place');
    all.delete(second);
    assert.equal(all.same(again), undefined);
  });

test('an inode says nothing without its device, its carrier, and the peer of a socket', () => {
  const { first, again } = streams(SOCKET);
  const all = new ByObject();
  all.add(first);
  assert.equal(all.same(again), first);
  for (const other of [{ device: 1 }, { carrier: 'unix-seqpacket' }, { inode: 1 }, { peerInode: 1 }] as const)
    assert.equal(all.same({ ...again, ...other }), undefined);
});

test('a stream whose object nobody knows is never taken for another', () => {
  const { first, again } = streams({ carrier: 'pipe', inode: 0 });
  const all = new ByObject();
  all.add(first);
  assert.equal(all.same(again), undefined);
});
