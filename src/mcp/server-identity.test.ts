// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ServerIdentity, sameServer } from './server-identity.ts';

const identity = (known: Partial<ServerIdentity>): ServerIdentity => ({
  pid: undefined,
  address: undefined,
  authority: undefined,
  client: undefined,
  ...known,
});
const same = (a: Partial<ServerIdentity>, b: Partial<ServerIdentity>) => {
  assert.equal(sameServer(identity(a), identity(b)), sameServer(identity(b), identity(a)));
  return sameServer(identity(a), identity(b));
};

describe('the same server', () => {
  test('is the same process, by whatever name and address', () => {
    assert.ok(same({ pid: 1, address: 'a', authority: 'x' }, { pid: 1, address: 'b', authority: 'y' }));
  });

  test('is the same address, whichever of its processes answers', () => {
    assert.ok(same({ pid: 1, address: 'a' }, { pid: 2, address: 'a' }));
  });

  test('is the same name, on any address of hosts that we do not see', () => {
    assert.ok(same({ authority: 'x', address: 'a' }, { authority: 'x', address: 'b' }));
    assert.ok(same({ authority: 'x' }, { authority: 'x', pid: 1 }));
  });

  test('may be its own client', () => {
    assert.ok(same({ pid: 1, client: 1 }, { pid: 1, client: 1 }));
  });
});

describe('another server', () => {
  test('is another process at another address, though it is called the same', () => {
    assert.ok(!same({ pid: 1, address: 'a', authority: 'x' }, { pid: 2, address: 'b', authority: 'x' }));
    assert.ok(!same({ pid: 1, address: 'a', authority: 'x' }, { address: 'b', authority: 'x' }));
    assert.ok(!same({ pid: 1, authority: 'x' }, { pid: 2, authority: 'x' }));
  });

  test('is the one that a proxy passes on to', () => {
    assert.ok(!same({ pid: 2, client: 1, authority: 'x' }, { client: 2, authority: 'x' }));
  });

  test('is one of which nothing is known, or that is called otherwise', () => {
    assert.ok(!same({}, {}));
    assert.ok(!same({ authority: 'x' }, { authority: 'y' }));
  });
});
