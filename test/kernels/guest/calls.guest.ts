// SPDX-License-Identifier: Apache-2.0
/** Each system call that moves bytes by its number, which is another one on another architecture. */
import { test } from 'node:test';
import { notInVm } from '../../support/in-vm.ts';
import { assertCaptured, chance, INITIALIZE, type Movement, request } from '../../support/mover.ts';

const CALLS = [
  ['write', 'read'],
  ['writev', 'readv'],
  ['pwritev2', 'preadv2'],
  ['sendto', 'recvfrom'],
  ['sendmsg', 'recvmsg'],
  ['sendmmsg', 'recvmmsg'],
] as const;

test('each call once on a socketpair, in pieces of half a message', { skip: notInVm }, async () => {
  const movements: Record<string, Movement> = {};
  for (const [index, [write, read]] of CALLS.entries()) {
    const random = chance(index + 1);
    const messages = [500, 1000, 70_000, 1500].map((size, id) => request(id, size, random));
    const data = Buffer.concat([INITIALIZE, ...messages]);
    movements[`${write}-${read}`] = { carrier: 'socketpair', write, read, data, buffer: 3000, each: 700 };
  }
  await assertCaptured(movements);
});
