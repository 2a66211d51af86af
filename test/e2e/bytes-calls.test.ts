// SPDX-License-Identifier: Apache-2.0
/** Whichever system call puts the bytes in and whichever takes them out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture, captureRun, scratch } from '../support/mcpspy.ts';
import {
  assertCaptured,
  assertFrames,
  chance,
  INITIALIZE,
  linesOf,
  type Movement,
  Movers,
  perLine,
  request,
} from '../support/mover.ts';
import { assertOutput } from '../support/schema.ts';
import { PYTHON } from '../support/truth.ts';

const FILE_WRITES = ['write', 'writev', 'pwritev2'];
const FILE_READS = ['read', 'readv', 'preadv2'];
const SOCKET_WRITES = [...FILE_WRITES, 'sendto', 'sendmsg', 'sendmmsg'];
const SOCKET_READS = [...FILE_READS, 'recvfrom', 'recvmsg', 'recvmmsg'];

/** Messages small and large, one after the other. */
function someMessages(seed: number): Buffer {
  const random = chance(seed);
  const sizes = Array.from({ length: 40 }, () => 150 + random(2000));
  sizes.splice(10, 0, 70_000);
  sizes.splice(30, 0, 65_536, 4096, 200_000);
  return Buffer.concat([INITIALIZE, ...sizes.map((size, id) => request(id, size, random))]);
}

/** Every pair of calls: in pieces of half a message, and with a line a call. */
function everyPair(
  carrier: NonNullable<Movement['carrier']>,
  more: Partial<Movement> = {},
): Record<string, Movement> {
  const file = carrier === 'pipe' || carrier === 'fifo';
  const movements: Record<string, Movement> = {};
  let seed = 0;
  for (const write of file ? FILE_WRITES : SOCKET_WRITES) {
    for (const read of file ? FILE_READS : SOCKET_READS) {
      const data = someMessages(++seed);
      const cut = seed % 2 ? { each: 700 } : { plan: perLine(data) };
      movements[`${carrier}-${write}-${read}`] = {
        carrier,
        write,
        read,
        data,
        buffer: 3000,
        ...cut,
        ...more,
      };
    }
  }
  return movements;
}

for (const carrier of ['pipe', 'fifo', 'socketpair', 'named'] as const) {
  test(`every pair of calls on a ${carrier}`, { skip: cannotCapture }, async () => {
    await assertCaptured(everyPair(carrier));
  });
}

test('every pair of calls on a seqpacket socket, a message a packet, without line ends', {
  skip: cannotCapture,
}, async () => {
  const movers = new Movers(scratch());
  const movements: Record<string, Movement> = {};
  const frames: Record<string, Buffer[]> = {};
  let seed = 0;
  for (const write of SOCKET_WRITES) {
    for (const read of SOCKET_READS) {
      const random = chance(++seed);
      const messages = [
        INITIALIZE,
        ...Array.from({ length: 30 }, (_, id) => request(id, 150 + random(4000), random)),
      ];
      const bare = messages.map((message) => message.subarray(0, -1));
      const name = `seqpacket-${write}-${read}`;
      frames[name] = bare;
      const plan = bare.map((message) => `${message.length}`);
      movements[name] = {
        carrier: 'seqpacket',
        write,
        read,
        data: Buffer.concat(bare),
        plan,
        buffer: 70_000,
      };
    }
  }
  const result = await captureRun(movers.script(movements, 'in turn'), { options: ['-q'] });
  assert.equal(result.code, 0, result.stderr);
  assertOutput(result.lines, result.isPart);
  assert.deepEqual(result.summary['losses'], {});
  for (const [name, sent] of Object.entries(frames)) assertFrames(linesOf(result, name), sent, name);
});

test('looking with MSG_PEEK is not reading', { skip: cannotCapture }, async () => {
  const movements: Record<string, Movement> = {};
  for (const read of ['recvfrom', 'recvmsg', 'recvmmsg']) {
    movements[`peek-${read}`] = {
      carrier: 'socketpair',
      write: 'write',
      read,
      peek: 1,
      data: someMessages(7),
      each: 5000,
      buffer: 2000,
    };
  }
  await assertCaptured(movements);
});

test('1024 segments of a few bytes in one call, empty ones among them', { skip: cannotCapture }, async () => {
  const data = someMessages(11);
  const movements: Record<string, Movement> = {};
  for (const write of ['writev', 'pwritev2', 'sendmsg', 'sendmmsg'])
    movements[`iov-${write}`] = {
      carrier: 'socketpair',
      write,
      read: 'recvmsg',
      iov: 1024,
      data,
      each: 4000,
      buffer: 3000,
    };
  movements['iov-pipe'] = {
    carrier: 'pipe',
    write: 'writev',
    read: 'readv',
    iov: 1024,
    data,
    each: 300_000,
    buffer: 100_000,
  };
  movements['iov-whole'] = {
    carrier: 'socketpair',
    write: 'writev',
    read: 'readv',
    iov: 1000,
    data,
    buffer: 65_536,
  };
  await assertCaptured(movements);
});

/** Reads some of what comes, then into nothing by each call that can, then the rest. */
const EMPTY_READS = `
import os, socket, sys
ours, theirs = socket.socketpair() if sys.argv[1] == 'socketpair' else (None, None)
if ours is None:
    end, start = os.pipe()
else:
    end, start = ours.detach(), theirs.detach()
message = b'%s\\n' % sys.argv[2].encode()
third = len(message) // 3
os.write(start, message[:third])
os.read(end, 4096)
os.read(end, 0)
os.readv(end, [])
os.write(start, message[third:2 * third])
if ours is not None:
    both = socket.socket(fileno=end)
    both.recv(0)
    both.recvmsg(0, 64)
    both.detach()
os.write(start, message[2 * third:])
os.read(end, 4096)
`;

for (const carrier of ['pipe', 'socketpair'] as const)
  test(`a call that reads nothing from a ${carrier}, having no room, is not its end: the message under way is whole`, {
    skip: cannotCapture,
  }, async () => {
    const message = INITIALIZE.toString().trim();
    const result = await captureRun([PYTHON, '-c', EMPTY_READS, carrier, message]);
    assertOutput(result.lines, result.isPart);
    assert.deepEqual(
      result.lines.filter((line) => 'seq' in line).map(({ kind, raw }) => [kind, raw]),
      [['message', message]],
    );
  });
