// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { request, result, scene } from '../../test/support/http-scene.ts';

const SECRETS = ['s3cretsession', 'eyJhbGciOi', 'hunter2', 'chocolate', 'k3y'];

describe('the headers of a message', () => {
  test('are those that MCP defines, of its own side, decoded', () => {
    const { connect, messages } = scene();
    const headers = {
      Host: 'localhost',
      Accept: 'application/json',
      'MCP-Protocol-Version': '2025-06-18',
      'Mcp-Method': 'tools/call',
      'Mcp-Name': '=?base64?w6k=?=',
      'Mcp-Param-City': '=?base64?WsO8cmljaA==?=',
      'Mcp-Odd': 'not defined',
      'Last-Event-ID': '7',
    };
    const post = connect().post(request(1, 'tools/call', { name: 'é', arguments: { city: 'Zürich' } }), {
      headers,
    });
    post.respond(200, result(1), { 'X-Other': 'x' });
    assert.deepEqual(messages()[0]?.http?.headers, {
      'mcp-protocol-version': '2025-06-18',
      'mcp-method': 'tools/call',
      'mcp-name': 'é',
      'mcp-param-city': 'Zürich',
      'last-event-id': '7',
    });
    assert.deepEqual(messages()[0]?.warnings, []);
    assert.deepEqual(messages()[1]?.http?.headers, {});
  });

  test('say that there was an authorization, and its scheme only', () => {
    const { connect, messages } = scene();
    for (const Authorization of ['Bearer eyJhbGciOi', 'eyJhbGciOi'])
      connect().post(request(1, 'tools/list'), { headers: { Authorization } });
    assert.deepEqual(
      messages().map(({ http }) => http?.headers),
      [{ authorization: 'Bearer ***' }, { authorization: '***' }],
    );
  });
});

test('no secret is in anything that is said around a message', () => {
  const { connect, events, servers } = scene();
  const headers = {
    Authorization: 'Bearer eyJhbGciOi',
    Cookie: 'chocolate',
    'Mcp-Session-Id': 's3cretsession',
    'X-Api-Key': 'k3y',
    'Mcp-Api-Key': 'k3y',
  };
  const options = {
    headers,
    authority: 'user:hunter2@localhost',
    target: 'http://user:hunter2@localhost/mcp?sessionId=s3cretsession&api_key=k3y&access_token=hunter2&q=1',
  };
  const tcp = connect();
  const cookies = { 'Set-Cookie': 'chocolate', 'Mcp-Session-Id': 's3cretsession' };
  tcp.post(request(1, 'tools/list'), options).respond(200, result(1), cookies);
  tcp.post({ no: 'RPC' }, options).page(401, 'no');
  tcp.send('DELETE', options).respond(200);
  const get = connect().send('GET', { target: '/sse' });
  get.stream();
  get.plain('endpoint', '/messages?session_id=s3cretsession');
  get.event(request(2, 'roots/list'));
  assert.equal(events.length, 6);
  const said = JSON.stringify([events, servers]);
  for (const secret of SECRETS) assert.ok(!said.includes(secret), secret);
  assert.match(said, /"path":"\/mcp\?sessionId=s3c…[0-9a-f]{4}&api_key=\*\*\*&access_token=\*\*\*&q=1"/);
});

test('an exchange is known by the same masked session in header, query and summary', () => {
  const { connect, messages, servers } = scene();
  const id = '0123456789abcdef';
  const options = { headers: { 'Mcp-Session-Id': id }, target: `/mcp?session_id=${id}` };
  connect().post(request(1, 'tools/list'), options);
  const { http } = messages()[0] ?? {};
  assert.match(http?.sessionId ?? '', /^0123…[0-9a-f]{4}$/);
  assert.equal(http?.headers['mcp-session-id'], http?.sessionId);
  assert.equal(http?.path, `/mcp?session_id=${http?.sessionId}`);
  assert.equal(servers.at(-1)?.sessionId, http?.sessionId);
});

test('the version of the protocol is that of the header, else what the session agreed on', () => {
  const { session, messages } = scene();
  const { tcp, options } = session();
  tcp.post(request(1, 'tools/list'), options);
  tcp.post(request(2, 'tools/list'), {
    headers: { 'Mcp-Session-Id': options.headers['Mcp-Session-Id'] ?? '' },
  });
  tcp.post(request(3, 'tools/list'), {
    headers: { ...options.headers, 'MCP-Protocol-Version': '2025-11-25' },
  });
  assert.deepEqual(
    messages().map(({ http }) => http?.protocolVersion),
    ['2025-06-18', '2025-06-18', '2025-11-25'],
  );
});
