// SPDX-License-Identifier: Apache-2.0
/** Frames of any size, however they are cut, arrive as they were sent. */
import { test } from 'node:test';
import { cannotCapture } from '../support/mcpspy.ts';
import { assertCaptured, chance, INITIALIZE, type Movement, perLine, request } from '../support/mover.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Sizes at which buffers end, with the line end and without. */
const SIZES = [
  1,
  2,
  3,
  120,
  300,
  4095,
  4096,
  4097,
  65535,
  65536,
  65537,
  131071,
  131072,
  131073,
  MIB,
  10 * MIB,
];

/** One frame of each size, with a small one after it to tell that the stream has not slipped. */
function everySize(sizes: readonly number[]): Buffer {
  const frames = sizes.flatMap((size, index) => [
    size < 120 ? Buffer.from(`${'x'.repeat(size)}\n`) : request(2 * index, size + 1),
    request(2 * index + 1, 150),
  ]);
  return Buffer.concat([INITIALIZE, ...frames]);
}

for (const carrier of ['pipe', 'socketpair'] as const) {
  test(`frames of 1 B to 10 MiB, each by one blocking write, through a ${carrier}`, {
    skip: cannotCapture,
  }, async () => {
    const data = everySize(SIZES);
    await assertCaptured({ [`blocking-${carrier}`]: { carrier, data, plan: perLine(data) } });
  });

  test(`the same by writes that do not block, through a ${carrier}`, { skip: cannotCapture }, async () => {
    const data = everySize(SIZES);
    await assertCaptured({
      [`nonblock-${carrier}`]: { carrier, data, plan: perLine(data), nonblock: 1, buffer: 10_000 },
    });
  });

  test(`a frame of 64 MiB in one write through a ${carrier}`, { skip: cannotCapture }, async () => {
    const data = Buffer.concat([INITIALIZE, request(1, 64 * MIB + 100), request(2, 150)]);
    await assertCaptured({ [`huge-${carrier}`]: { carrier, data, plan: perLine(data) } }, [
      '--max-message',
      '80M',
      '--ring-size',
      '128M',
    ]);
  });

  test(`frames cut anywhere, and several in one write, through a ${carrier}`, {
    skip: cannotCapture,
  }, async () => {
    const movements: Record<string, Movement> = {};
    for (let seed = 1; seed <= 8; seed++) {
      const random = chance(seed);
      const frames: Buffer[] = [INITIALIZE];
      for (let id = 0; id < 300; id++) {
        const frame = request(id, 120 + random(random(10) ? 500 : 20_000), random);
        // A third of the lines end in CRLF, and now and then one is empty.
        frames.push(random(3) ? frame : Buffer.concat([frame.subarray(0, -1), Buffer.from('\r\n')]));
        if (!random(20)) frames.push(Buffer.from(random(2) ? '\n' : '\r\n'));
        if (!random(20)) frames.push(Buffer.from('Server läuft 🚀\n'));
      }
      const data = Buffer.concat(frames);
      const plan: string[] = [];
      for (let left = data.length; left > 0; ) {
        const size = Math.min(left, 1 + random([3, 40, 900, 9000][random(4)] ?? 1));
        plan.push(`${size}`);
        left -= size;
      }
      movements[`cut-${carrier}-${seed}`] = { carrier, data, plan, buffer: 1 + random(5000) };
    }
    await assertCaptured(movements);
  });

  test(`writes of one byte through a ${carrier}`, { skip: cannotCapture }, async () => {
    const data = Buffer.concat([INITIALIZE, ...Array.from({ length: 30 }, (_, id) => request(id, 300 + id))]);
    await assertCaptured({
      [`one-${carrier}`]: { carrier, data, each: 1 },
      [`one-one-${carrier}`]: { carrier, data, each: 1, buffer: 1 },
    });
  });
}

test('many messages in one write of 3 MiB', { skip: cannotCapture }, async () => {
  const random = chance(99);
  const frames = Array.from({ length: 6000 }, (_, id) => request(id, 200 + random(600), random));
  const data = Buffer.concat([INITIALIZE, ...frames]);
  await assertCaptured({ many: { data }, 'many-socket': { carrier: 'socketpair', data, buffer: 300_000 } });
});
