// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { test } from 'node:test';
import { LocalAddresses } from './local-addresses.ts';

test('all of loopback is this machine', () => {
  const local = new LocalAddresses();
  for (const ip of ['127.0.0.1', '127.8.9.10', '::1']) assert.ok(local.has(ip), ip);
});

test('so are the addresses of all its interfaces', () => {
  const local = new LocalAddresses();
  const own = Object.values(os.networkInterfaces()).flatMap((each) => each ?? []);
  for (const { address } of own) assert.ok(local.has(address), address);
});

test('addresses of nobody, and what is none, are not', () => {
  const local = new LocalAddresses();
  for (const ip of ['192.0.2.1', '198.51.100.7', '2001:db8::1', '::', '0.0.0.0', '', '1270.0.0.1'])
    assert.ok(!local.has(ip), ip);
});

test('where the system does not tell its interfaces, loopback is all that is known', (t) => {
  t.mock.method(os, 'networkInterfaces', () => {
    throw new Error('A system error occurred: uv_interface_addresses returned EAFNOSUPPORT');
  });
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const local = new LocalAddresses();
  assert.ok(local.has('127.0.0.1'));
  assert.ok(!local.has('192.0.2.1'));
});
