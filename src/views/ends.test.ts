// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, httpInfo, server } from '../../test/support/http-events.ts';
import type { HttpInfo } from '../mcp/events.ts';
import type { Endpoint } from '../streams/frame.ts';
import { formatClientAndServer, formatEnds } from './ends.ts';

function ends(from: Endpoint | undefined, to: Endpoint | undefined, http: Partial<HttpInfo> = {}): string {
  return formatEnds({ from, to, http: httpInfo(http) });
}

test('over stdio an unknown end is a question mark', () => {
  assert.equal(formatEnds({ from: client, to: undefined }), 'node[99] → ?');
});

test('an unknown server is the host that the client named', () => {
  assert.equal(ends(client, undefined), 'node[99] → api.example.com:443');
  assert.equal(ends(undefined, client, { isRequest: false }), 'api.example.com:443 → node[99]');
});

test('a known process is named, whatever the host', () => {
  assert.equal(ends(client, server), 'node[99] → python[100]');
});

test('an unknown client, or a server without a host, is its address', () => {
  const atServer = {
    process: server,
    local: { ip: '192.0.2.9', port: 443 },
    remote: { ip: '::1', port: 5000 },
  };
  assert.equal(ends(undefined, server, atServer), '[::1]:5000 → python[100]');
  assert.equal(ends(server, undefined, { ...atServer, isRequest: false }), 'python[100] → [::1]:5000');
  assert.equal(ends(client, undefined, { host: undefined }), 'node[99] → [2001:db8::1]:443');
  assert.equal(ends(client, undefined, { host: '' }), 'node[99] → [2001:db8::1]:443');
});

test('with neither process known the ends are as those of the writer', () => {
  assert.equal(ends(undefined, undefined, { process: undefined }), '192.0.2.1:40000 → api.example.com:443');
});

test('what has neither process nor host nor address is a question mark', () => {
  const nothing = { process: undefined, host: undefined, local: undefined, remote: undefined };
  assert.equal(ends(client, undefined, nothing), 'node[99] → ?');
  assert.equal(ends(undefined, undefined, nothing), '? → ?');
});

test('the default port is added inside TLS, and only where the client named none', () => {
  const named = (host: string, tls?: string): string => ends(client, undefined, { host, tls });
  assert.equal(named('api.example.com:8443', 'OpenSSL'), 'node[99] → api.example.com:8443');
  assert.equal(named('[2001:db8::1]', 'OpenSSL'), 'node[99] → [2001:db8::1]:443');
  assert.equal(named('[2001:db8::1]:8443', 'OpenSSL'), 'node[99] → [2001:db8::1]:8443');
  assert.equal(named('localhost:3000'), 'node[99] → localhost:3000');
  assert.equal(named('localhost'), 'node[99] → localhost');
});

test('an exchange goes from the client to the server, whichever of them wrote', () => {
  assert.equal(
    formatClientAndServer({ from: client, to: server, http: httpInfo() }),
    'node[99] → python[100]',
  );
  assert.equal(
    formatClientAndServer({ from: undefined, to: client, http: httpInfo({ isRequest: false }) }),
    'node[99] → api.example.com:443',
  );
});

test('a host is escaped and cut', () => {
  assert.equal(
    ends(client, undefined, { host: 'a\x1b[2J\r\n\u202e' }),
    'node[99] → a\\x1b[2J\\r\\n\\u{202e}:443',
  );
  assert.ok(ends(client, undefined, { host: 'x'.repeat(1 << 20) }).length < 150);
});
