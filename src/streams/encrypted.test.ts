// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Encrypted } from './encrypted.ts';
import type { Endpoint } from './frame.ts';

const MANY = 5000;

const CURL: Endpoint = { pid: 100, comm: 'curl', exe: '/usr/bin/curl' };

function named(pid: number): Endpoint {
  return { pid, comm: `process${pid}` };
}

/** A length and what it counts (RFC 8446, section 3.4). */
function vector(width: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(width);
  length.writeUIntBE(body.length, 0, width);
  return Buffer.concat([length, body]);
}

/** A ClientHello with one extension, server_name (RFC 6066, section 3). */
function hello(host: string): Buffer {
  const name = vector(2, Buffer.from([0]), vector(2, Buffer.from(host)));
  const extensions = vector(2, Buffer.from([0, 0]), vector(2, name));
  const random = Buffer.alloc(32, 7);
  const body = vector(
    3,
    Buffer.from([3, 3]),
    random,
    vector(1),
    vector(2, Buffer.from([0x13, 1])),
    vector(1, Buffer.from([0])),
    extensions,
  );
  return Buffer.concat([Buffer.from([0x16, 3, 1]), vector(2, Buffer.from([1]), body)]);
}

describe('a process whose TLS could not be read', () => {
  test('is told with how many connections it had, and where to', () => {
    const encrypted = new Encrypted();
    encrypted.connection(CURL, hello('a.example'));
    encrypted.connection(CURL, hello('b.example'));
    encrypted.connection(CURL, hello('a.example'));
    encrypted.connection(CURL, Buffer.from('160301', 'hex'));
    const [only, ...others] = encrypted.undecoded();
    assert.deepEqual(others, []);
    assert.deepEqual(only?.process, CURL);
    assert.equal(only?.connections, 4);
    assert.deepEqual(only?.hosts, ['a.example', 'b.example']);
  });

  test('is none any more as soon as its clear text has been seen', () => {
    const encrypted = new Encrypted();
    encrypted.connection(CURL, hello('a.example'));
    encrypted.connection(named(200), hello('a.example'));
    encrypted.read(CURL.pid);
    assert.deepEqual(
      encrypted.undecoded().map(({ process }) => process.pid),
      [200],
    );
  });

  test('is none, too, while a library that cannot be read has nothing to do', () => {
    const encrypted = new Encrypted();
    encrypted.learn(CURL.pid, [
      { library: 'OpenSSL', readable: true },
      { library: 'rustls', readable: false, reason: 'no functions' },
    ]);
    for (let count = 0; count < 3; count++) {
      encrypted.connection(CURL, hello('a.example'));
      encrypted.read(CURL.pid);
    }
    assert.deepEqual(encrypted.undecoded(), []);
  });

  test('is told in part, where one library was read and another cannot be', () => {
    const encrypted = new Encrypted();
    encrypted.learn(CURL.pid, [
      { library: 'OpenSSL', readable: true },
      { library: 'Go crypto/tls', readable: false, reason: 'not like C' },
      { library: 'rustls', readable: false, reason: 'no functions' },
    ]);
    for (let count = 0; count < 5; count++) encrypted.connection(CURL, hello('a.example'));
    encrypted.read(CURL.pid);
    encrypted.read(CURL.pid);
    const [only, ...others] = encrypted.undecoded();
    assert.deepEqual(others, []);
    assert.deepEqual(only, {
      process: CURL,
      library: 'Go crypto/tls or rustls',
      reason: 'not like C; other TLS of the process was read',
      connections: 3,
      hosts: [],
    });
  });

  test('is not told in part where every library can be read: there was no clear text, such as of a failed handshake', () => {
    const encrypted = new Encrypted();
    encrypted.learn(CURL.pid, [{ library: 'OpenSSL', readable: true }]);
    for (let count = 0; count < 5; count++) encrypted.connection(CURL, hello('a.example'));
    encrypted.read(CURL.pid);
    assert.deepEqual(encrypted.undecoded(), []);
  });

  test('has no library that is known, if the sensor knows of none', () => {
    const encrypted = new Encrypted();
    encrypted.connection(CURL, hello('a.example'));
    encrypted.learn(CURL.pid, []);
    const [only] = encrypted.undecoded();
    assert.equal(only?.library, 'unknown');
    assert.match(only?.reason ?? '', /no TLS library/);
  });

  test('has the library that cannot be read, with the reason, though another one could', () => {
    const encrypted = new Encrypted();
    encrypted.connection(CURL, hello('a.example'));
    encrypted.learn(CURL.pid, [
      { library: 'OpenSSL', readable: true },
      { library: 'Go crypto/tls', readable: false, reason: 'not supported yet' },
    ]);
    const [only] = encrypted.undecoded();
    assert.deepEqual([only?.library, only?.reason], ['Go crypto/tls', 'not supported yet']);
  });

  test('has the library that can be read and was not called', () => {
    const encrypted = new Encrypted();
    encrypted.connection(CURL, hello('a.example'));
    encrypted.learn(CURL.pid, [{ library: 'OpenSSL', readable: true }]);
    const [only] = encrypted.undecoded();
    assert.equal(only?.library, 'OpenSSL');
    assert.match(only?.reason ?? '', /not called/);
  });

  test('is what it was when it connected last', () => {
    const encrypted = new Encrypted();
    encrypted.connection({ pid: 100, comm: 'sh' }, hello('a.example'));
    encrypted.connection(CURL, hello('a.example'));
    assert.deepEqual(encrypted.undecoded()[0]?.process, CURL);
  });
});

describe('what is kept', () => {
  test('of hosts is bounded, however many a process asks for', () => {
    const encrypted = new Encrypted();
    for (let host = 0; host < MANY; host++) encrypted.connection(CURL, hello(`${host}.example`));
    const [only] = encrypted.undecoded();
    assert.equal(only?.connections, MANY);
    assert.equal(only?.hosts.length, 8);
  });

  test('of processes are the last ones', () => {
    const encrypted = new Encrypted();
    for (let pid = 1; pid <= MANY; pid++) encrypted.connection(named(pid), hello('a.example'));
    const pids = encrypted.undecoded().map(({ process }) => process.pid);
    assert.equal(pids.length, 4096);
    assert.equal(pids.at(-1), MANY);
  });

  test('of a process that connects again and again stays', () => {
    const encrypted = new Encrypted();
    for (let pid = 1; pid <= MANY; pid++) {
      encrypted.connection(named(100_000), hello('a.example'));
      encrypted.connection(named(pid), hello('a.example'));
    }
    const steady = encrypted.undecoded().find(({ process }) => process.pid === 100_000);
    assert.equal(steady?.connections, MANY);
  });

  test('of whose clear text was seen are the last ones, too: none of these is told as not read', () => {
    const encrypted = new Encrypted();
    for (let pid = 1; pid <= MANY; pid++) encrypted.read(pid);
    encrypted.connection(named(MANY), hello('a.example'));
    assert.deepEqual(encrypted.undecoded(), []);
  });

  test('of libraries is that of the last processes, and the newest of each', () => {
    const encrypted = new Encrypted();
    for (let pid = 1; pid <= MANY; pid++) {
      encrypted.learn(pid, [{ library: 'old', readable: false }]);
      encrypted.learn(pid, [{ library: 'new', readable: false }]);
    }
    for (const pid of [1, MANY]) encrypted.connection(named(pid), hello('a.example'));
    assert.deepEqual(
      encrypted.undecoded().map(({ library }) => library),
      ['unknown', 'new'],
    );
  });
});
