// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { serverNameOf } from '../../src/protocols/client-hello.ts';
import { bytesOf, whole } from '../input.ts';
import type { Target } from '../target.ts';

const HELLO = Buffer.from(
  '16030100500100004c0303' +
    '11'.repeat(32) +
    '00' +
    '00021301' +
    '0100' +
    '0021' +
    '0000000e000c0000096c6f63616c686f7374' +
    '000b000403000102' +
    '00170000' +
    '000a0000',
  'hex',
);

/** Of a hello that is cut, the name is the same or not told. */
export const hello: Target = {
  name: 'hello',
  tokens: ['\x16\x03\x01', '\x01', '\x00\x00', '\x00\x0e', 'localhost', '\x00\x0c\x00'],
  steps: { perByte: 60, base: 300 },
  seeds: () => [whole(HELLO)],
  run(input) {
    const bytes = bytesOf(input);
    const name = serverNameOf(bytes);
    assert.ok(name === undefined || (name.length > 0 && name.length <= 255));
    const cut = serverNameOf(bytes.subarray(0, input.flags % (bytes.length + 1)));
    assert.ok(cut === undefined || cut === name, `${cut} is ${name}`);
    return `${name}`;
  },
};
