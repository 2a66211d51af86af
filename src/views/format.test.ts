// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, formatBytes, formatCount, formatDuration, formatEndpoint } from './format.ts';

test('counts are grouped', () => {
  assert.deepEqual([0, 999, 12345, 1e9].map(formatCount), ['0', '999', '12,345', '1,000,000,000']);
});

test('bytes are shown in binary units, three digits', () => {
  const shown = {
    0: '0 bytes',
    1: '1 byte',
    1023: '1023 bytes',
    1024: '1 KiB',
    1536: '1.5 KiB',
    1048575: '1 MiB',
    67108864: '64 MiB',
    [1.234 * 2 ** 30]: '1.23 GiB',
    [5000 * 2 ** 40]: '5000 TiB',
  };
  for (const [bytes, text] of Object.entries(shown)) assert.equal(formatBytes(Number(bytes)), text);
});

test('durations are as precise as they are long', () => {
  const shown = {
    0: '0 ms',
    0.0123: '0.012 ms',
    0.3456: '0.35 ms',
    3: '3 ms',
    3.21: '3.2 ms',
    9.96: '10 ms',
    101.2: '101 ms',
    9999.4: '9999 ms',
    12000: '12 s',
    12345: '12.3 s',
    3600000: '3600 s',
  };
  for (const [ms, text] of Object.entries(shown)) assert.equal(formatDuration(Number(ms)), text);
});

test('an endpoint is its name and pid, or a question mark', () => {
  assert.equal(formatEndpoint({ pid: 7, comm: 'sh\n' }), 'sh\\n[7]');
  assert.equal(formatEndpoint(undefined), '?');
});

test('an address has brackets around IPv6', () => {
  assert.equal(formatAddress({ ip: '192.0.2.1', port: 443 }), '192.0.2.1:443');
  assert.equal(formatAddress({ ip: '2001:db8::1', port: 8080 }), '[2001:db8::1]:8080');
});
