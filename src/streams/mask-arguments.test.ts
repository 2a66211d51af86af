// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskArguments } from './mask-arguments.ts';

test('the values of headers that open something are hidden in arguments; the scheme stays', () => {
  for (const [given, shown] of [
    ['Authorization: Bearer abc', 'Authorization: Bearer ***'],
    ['--header=authorization:abc', '--header=authorization:***'],
    ['-HCookie: a=b; c=d', '-HCookie: ***'],
    ['Mcp-Session-Id:  1234', 'Mcp-Session-Id:  ***'],
    ['X-Api-Key: k\nsecond line', 'X-Api-Key: ***'],
    ['API_KEY=abc', 'API_KEY=abc'],
    ['APIKEY=abc', 'APIKEY=***'],
    ['{"headers":{"Authorization":"Basic YTpi"}}', '{"headers":{"Authorization":"Basic ***'],
    ['Proxy-Authorization: Digest a="b", c="d"', 'Proxy-Authorization: Digest ***'],
  ] as const)
    assert.deepEqual(maskArguments([given]), [shown]);
});

test('other arguments stay as they are', () => {
  const argv = ['node', '--cookie-jar', 'jar', 'authorization', 'Authorization:', 'https://host/cookie', ''];
  assert.deepEqual(maskArguments(argv), argv);
});
