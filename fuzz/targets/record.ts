// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { decodeControl, decodeData, decodeGap } from '../../src/source/decode.ts';
import { RECORD } from '../../src/source/layout.ts';
import { bytesOf, type Input, whole } from '../input.ts';
import { brief, type Target } from '../target.ts';

const SIZE = 8192;
/** A ring is mapped twice, so that no record is cut. */
const ring = Buffer.alloc(2 * SIZE);

function example(type: number, flags = 0): Input {
  const bytes = Buffer.alloc(400, 1);
  bytes.writeUInt16LE(type, 0);
  bytes.writeUInt16LE(flags, 2);
  bytes.writeUInt32LE(20, 28);
  bytes.writeUInt32LE(20, 32);
  bytes.write('a\0b\0c', 304);
  return whole(bytes);
}

/** Flags: where in the ring. */
export const record: Target = {
  name: 'record',
  tokens: Object.values(RECORD).map((type) => Buffer.from([type, 0])),
  steps: { perByte: 60, base: 3000 },
  seeds: () => Object.values(RECORD).map((type) => example(type, 0xff)),
  run(input) {
    const bytes = bytesOf(input).subarray(0, SIZE);
    const at = (input.flags % (SIZE / 8)) * 8;
    ring.fill(0xaa);
    bytes.copy(ring, at);
    const data = decodeData(ring, at);
    const others = [decodeGap(ring, at), decodeControl(ring, at)];
    assert.ok([data, ...others].filter((each) => each !== undefined).length <= 1, 'a record has one type');
    return brief(JSON.stringify([data && { ...data, bytes: data.bytes.length }, ...others]));
  },
};
