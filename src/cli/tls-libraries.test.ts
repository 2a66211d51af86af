// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TlsLibrary } from '../sensor/messages.ts';
import type { TlsOfProcess } from '../sensor/tls-survey.ts';
import { tlsLibrariesFinding } from './tls-libraries.ts';

const OPENSSL: TlsLibrary = { library: 'OpenSSL', readable: true };
const GO: TlsLibrary = { library: 'Go crypto/tls', readable: false, reason: 'not like C' };

function has(pid: number, comm: string, libraries: readonly TlsLibrary[], unknown?: string): TlsOfProcess {
  return { process: { pid, comm, exe: `/opt/${comm}-program` }, libraries, unknown };
}

function find(processes: readonly TlsOfProcess[], hidden = 0, asRoot = true) {
  return tlsLibrariesFinding({ processes, looked: 9, hidden }, asRoot);
}

test('processes are grouped by what is to be said of them; one with two libraries is told of in both ways', () => {
  const { status, detail, extra } = find([
    has(1, 'node', [OPENSSL]),
    has(2, 'caddy', [GO]),
    has(3, 'node', [OPENSSL, GO]),
    has(4, 'odd', [], '/lib/x.so could not be opened'),
  ]);
  assert.equal(status, 'ok');
  assert.equal(detail, 'of 9 processes looked at, TLS can be read in 2, and cannot in 2');
  assert.deepEqual(extra?.lines, [
    'can        node[1] node[3]  OpenSSL',
    'cannot     caddy[2] node[3]  Go crypto/tls: not like C',
    'not known  odd[4]  /lib/x.so could not be opened',
  ]);
  assert.deepEqual(extra?.json, {
    tls: {
      looked_at: 9,
      hidden: 0,
      readable: [
        { pid: 1, comm: 'node', exe: '/opt/node-program', libraries: ['OpenSSL'] },
        { pid: 3, comm: 'node', exe: '/opt/node-program', libraries: ['OpenSSL'] },
      ],
      unreadable: [
        { pid: 2, comm: 'caddy', exe: '/opt/caddy-program', library: 'Go crypto/tls', reason: 'not like C' },
        { pid: 3, comm: 'node', exe: '/opt/node-program', library: 'Go crypto/tls', reason: 'not like C' },
      ],
      unknown: [{ pid: 4, comm: 'odd', exe: '/opt/odd-program', reason: '/lib/x.so could not be opened' }],
    },
  });
});

test('many processes make few lines, and JSON has them all', () => {
  const { extra } = find(Array.from({ length: 100 }, (_, index) => has(index + 1, 'node', [OPENSSL])));
  assert.deepEqual(extra?.lines, [
    'can        node[1] node[2] node[3] node[4] node[5] node[6] and 94 more  OpenSSL',
  ]);
  assert.equal(JSON.stringify(extra?.json).match(/"pid":/g)?.length, 100);
  const each = Array.from({ length: 100 }, (_, index) => has(index + 1, 'x', [], `file ${index}`));
  assert.equal(find(each).extra?.lines.length, 31);
});

test('what processes call themselves cannot reach the terminal', () => {
  const { extra } = find([has(1, '\u001b[2J', [GO]), has(2, 'x', [], '/\u001b]0;title\u0007')]);
  assert.doesNotMatch(extra?.lines.join('\n') ?? '', /[\u001b\u0007]/);
});

test("a thread's name that says nothing gives way to the program's", () => {
  assert.match(find([has(1, 'MainThread', [GO])]).extra?.lines[0] ?? '', / MainThread-prog\[1\] /);
});

test('whoever may not look at others is told what to do; root cannot do more', () => {
  const asUser = find([], 3, false);
  assert.equal(asUser.status, 'warn');
  assert.match(asUser.detail, /3 processes of other users may not be looked at/);
  assert.equal('fix' in asUser && asUser.fix, 'run it with sudo');
  const asRoot = find([], 1);
  assert.deepEqual([asRoot.status, 'fix' in asRoot], ['ok', false]);
  assert.match(asRoot.detail, /1 process may not be looked at/);
});
