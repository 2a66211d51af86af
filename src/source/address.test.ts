// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIp } from './address.ts';

/** Sixteen bytes from eight groups. */
function ipv6(...groups: number[]): Buffer {
  const bytes = Buffer.alloc(16);
  for (const [index, group] of groups.entries()) bytes.writeUInt16BE(group, 2 * index);
  return bytes;
}

test('IPv4 is four numbers', () => {
  assert.equal(formatIp(Buffer.from([9, 192, 0, 2, 255]), 1, 2), '192.0.2.255');
});

for (const [groups, text] of [
  [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], '2001:db8::1'],
  [[0, 0, 0, 0, 0, 0, 0, 1], '::1'],
  [[0, 0, 0, 0, 0, 0, 0, 0], '::'],
  [[0xfe80, 0, 0, 0, 0, 0, 0, 0], 'fe80::'],
  [[0x2001, 0, 0, 1, 0, 0, 0, 1], '2001:0:0:1::1'],
  [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], '2001:db8::1:0:0:1'],
  [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], '2001:db8:0:1:1:1:1:1'],
] as const)
  test(`IPv6 in its shortest form: ${text}`, () => {
    assert.equal(formatIp(ipv6(...groups), 0, 10), text);
  });

test('the address of another family is not known', () => {
  assert.equal(formatIp(Buffer.alloc(16), 0, 0), undefined);
});
