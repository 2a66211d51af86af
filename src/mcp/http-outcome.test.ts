// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CLIENT,
  failure,
  INITIALIZE,
  INITIALIZED,
  MS,
  notification,
  request,
  result,
  SERVER,
  scene,
} from '../../test/support/http-scene.ts';
import { Statistics } from './statistics.ts';

const MODERN = { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': 'x' };
const META = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };
const CALL = request(3, 'tools/call', { name: 'x', ...META });

describe('an HTTP error', () => {
  test('on the very first request is shown beside it, as what it is', () => {
    const { connect, short, https } = scene();
    const post = connect().post(INITIALIZE, { headers: { Authorization: 'Bearer secret' } });
    post.page(401, 'Unauthorized');
    assert.deepEqual(short(), ['request initialize 0 pending', 'http POST 401']);
    const [event] = https();
    assert.equal(event?.end, 'complete');
    assert.equal(event?.body, 'Unauthorized');
    assert.equal(event?.size, 12);
    assert.equal(event?.durationMs, 4);
    assert.equal(event?.http.isRequest, false);
    assert.deepEqual([event?.from, event?.to], [SERVER, CLIENT]);
    assert.deepEqual(event?.left, [
      { id: { text: '0' }, method: 'initialize', target: undefined, status: 'error' },
    ]);
  });

  test('leaves nothing open: the next attempt is of the same conversation', () => {
    const { connect, messages, https } = scene();
    connect().post(INITIALIZE).page(401, 'Unauthorized');
    connect().post(INITIALIZE).respond(200, INITIALIZED, { 'Mcp-Session-Id': 'abcdefgh' });
    assert.deepEqual(
      [...messages(), ...https()].map(({ connection }) => connection),
      [1, 1, 1, 1],
    );
    assert.deepEqual(messages()[1]?.warnings, []);
  });

  test('to two clients of one process leaves each its own conversation', () => {
    const { connect, messages } = scene();
    for (const _ of [1, 2]) connect().post(INITIALIZE).page(401, 'Unauthorized');
    const posts = ['session-one', 'session-two'].map((id) => ({ id, post: connect().post(INITIALIZE) }));
    for (const { id, post } of posts) post.respond(200, INITIALIZED, { 'Mcp-Session-Id': id });
    for (const { id } of posts)
      connect().post(request(1, 'tools/list'), { headers: { 'Mcp-Session-Id': id } });
    const last = messages()
      .slice(-4)
      .map(({ connection }) => connection);
    assert.deepEqual(last.slice(0, 2), last.slice(2));
    assert.notEqual(last[0], last[1]);
  });

  test('with JSON that is not JSON-RPC keeps the beginning of it', () => {
    const { session, short, https } = scene();
    const { tcp, options } = session();
    tcp.post(request(1, 'tools/list'), options).respond(403, { error: 'x'.repeat(5000) });
    assert.deepEqual(short(), ['request tools/list 1 pending', 'http POST 403']);
    assert.equal(https()[0]?.body?.length, 1024);
    assert.match(https()[0]?.body ?? '', /^\{"error":"xxx/);
  });

  test('with JSON-RPC is that answer and nothing more, as 404 with -32601 of 2026-07-28', () => {
    const { connect, short, messages } = scene();
    connect()
      .post(CALL, { headers: MODERN })
      .respond(404, failure(3, -32601, 'Method not found'));
    assert.deepEqual(short(), ['request tools/call 3 pending', 'response tools/call 3 error']);
    assert.equal(messages()[1]?.http?.status, 404);
    assert.equal(messages()[1]?.error?.code, -32601);
  });

  test('is shown where MCP was spoken before: a stream refused, a redirection', () => {
    const { session, short } = scene();
    const { tcp } = session();
    tcp.send('GET').page(405, 'no');
    tcp.post(request(1, 'ping')).head(307, { Location: '/mcp/' });
    tcp.send('GET', { target: '/elsewhere' }).page(500, 'no');
    assert.deepEqual(short(), ['http GET 405', 'request ping 1 pending']);
  });

  test('is shown with headers of MCP, though nothing of it was seen before', () => {
    const { connect, short, servers } = scene();
    connect()
      .send('GET', { headers: { 'Mcp-Session-Id': 'gone' } })
      .page(404, 'no');
    assert.deepEqual(short(), ['http GET 404']);
    assert.deepEqual(servers, []);
  });

  test('to JSON-RPC that proves to be MCP only later is shown then', () => {
    const { connect, short, https } = scene();
    const tcp = connect();
    tcp.post(request(1, 'ping')).page(503, 'busy');
    tcp.post(request(2, 'ping')).respond(503, { error: 'busy' });
    assert.deepEqual(short(), []);
    tcp.post(request(3, 'tools/list'));
    assert.deepEqual(short(), [
      'request ping 1 pending',
      'http POST 503',
      'request ping 2 pending',
      'http POST 503',
      'request tools/list 3 pending',
    ]);
    assert.deepEqual(
      https().map(({ body }) => body),
      ['busy', '{"error":"busy"}'],
    );
  });

  test('is a page instead of an answer', () => {
    const { session, https } = scene();
    const { tcp, options } = session();
    tcp.post(request(1, 'tools/list'), options).page(200, '<h1>Log in</h1>');
    assert.equal(https()[0]?.left?.[0]?.status, 'error');
    tcp.post(notification('notifications/initialized'), options).page(200, 'fine');
    assert.equal(https().length, 1);
    const target = '/messages?sessionId=abc';
    tcp.post(request(1, 'tools/list'), { target }).page(200, 'the answer comes elsewhere');
    assert.equal(https().length, 1);
  });

  test('that comes before the request is whole waits for it', () => {
    const { connect, short } = scene();
    const post = connect().exchange();
    post.ask('POST');
    post.page(413, 'too large');
    post.frame('request', INITIALIZE);
    post.end('request');
    assert.deepEqual(short(), ['request initialize 0 pending', 'http POST 413']);
  });
});

describe('the end of a session', () => {
  test('is a DELETE, whatever comes of it', () => {
    const { session, short, https } = scene();
    const { tcp, options } = session();
    tcp.send('DELETE', options).respond(200);
    tcp.send('DELETE', options).page(404, 'gone');
    assert.deepEqual(short(), ['http DELETE 200', 'http DELETE 404']);
    assert.equal(https()[0]?.connection, 1);
    assert.equal(https()[0]?.left, undefined);
  });
});

describe('an exchange that ends without a response', () => {
  test('is shown, with the request that it leaves', () => {
    const { session, short, https } = scene();
    const { tcp, options } = session();
    tcp.post(request(1, 'tools/list'), options).end('response', 'reset');
    assert.deepEqual(short(), ['request tools/list 1 pending', 'http POST reset']);
    assert.equal(https()[0]?.http.status, undefined);
    assert.equal(https()[0]?.left?.[0]?.status, 'error');
  });

  test('is known by the end of its streams, if nothing else tells', () => {
    const { session, short, https } = scene();
    const { tcp, options } = session();
    tcp.post(request(1, 'tools/list'), options);
    tcp.close('request');
    assert.deepEqual(short(), ['request tools/list 1 pending']);
    tcp.close('response');
    assert.deepEqual(short(), ['request tools/list 1 pending', 'http POST closed']);
    assert.deepEqual([https()[0]?.from, https()[0]?.to], [SERVER, CLIENT]);
  });

  test('is nothing when the capture stopped first, or bytes are missing', () => {
    const { session, https } = scene();
    const { tcp, options } = session();
    for (const how of ['stop', 'gap'] as const)
      tcp.post(request(1, 'tools/list'), options).end('response', how);
    assert.deepEqual(https(), []);
  });

  test('is nothing where it is not MCP', () => {
    const { connect, events } = scene();
    const tcp = connect();
    tcp.post(request(1, 'eth_call'));
    tcp.send('GET');
    tcp.close();
    assert.deepEqual(events, []);
  });
});

describe('closing the event stream before the final response', () => {
  test('cancels a request of 2026-07-28', () => {
    for (const [headers, body] of [
      [MODERN, CALL],
      [{}, CALL],
    ] as const)
      for (const how of ['closed', 'reset'] as const) {
        const { connect, short, https } = scene();
        const post = connect().post(body, { headers });
        post.stream();
        post.event(notification('notifications/progress', { progressToken: 1 }));
        post.end('response', how);
        assert.deepEqual(short(), [
          'request tools/call 3 pending',
          'notification notifications/progress',
          'http POST 200',
        ]);
        assert.equal(https()[0]?.end, how);
        assert.deepEqual(https()[0]?.left, [
          { id: { text: '3' }, method: 'tools/call', target: 'x', status: 'cancelled' },
        ]);
      }
  });

  test('is none after it, nor when the capture stopped', () => {
    const { connect, https } = scene();
    const answered = connect().post(CALL, { headers: MODERN });
    answered.stream();
    answered.event(result(3));
    answered.end('response', 'closed');
    const stopped = connect().post(CALL, { headers: MODERN });
    stopped.stream();
    stopped.end('response', 'stop');
    assert.deepEqual(https(), []);
  });

  test('is an error when the server ended it itself', () => {
    const { connect, https } = scene();
    const post = connect().post(CALL, { headers: MODERN });
    post.stream();
    post.end('response', 'complete');
    assert.equal(https()[0]?.left?.[0]?.status, 'error');
  });

  test('means nothing before 2026-07-28: the answer may come on another stream', () => {
    const { session, short } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/list'), options);
    post.stream();
    post.end('response', 'closed');
    const get = tcp.send('GET', options);
    get.stream();
    get.event(result(1));
    assert.deepEqual(short(), ['request tools/list 1 pending', 'response tools/list 1 ok']);
  });

  test('is in the summary', () => {
    const { connect, events } = scene();
    const post = connect().post(CALL, { headers: MODERN });
    post.stream();
    post.end('response', 'closed');
    connect().post(request(4, 'tools/list')).page(500, 'no');
    connect().post(request(5, 'tools/list'));
    const statistics = new Statistics();
    for (const event of events) statistics.add(event);
    const { cancelled, pending, frames, methods } = statistics.summary(1, {});
    assert.deepEqual({ cancelled, pending, http: frames['http'] }, { cancelled: 1, pending: 1, http: 2 });
    assert.equal(methods.find(({ name }) => name === 'tools/list')?.errors, 1);
    assert.equal(methods.find(({ name }) => name === 'tools/call')?.errors, 0);
  });
});

test('times are those of the kernel', () => {
  const { session, https } = scene();
  const { tcp, options } = session();
  tcp.send('DELETE', options).respond(204);
  assert.equal((https()[0]?.time ?? 0) % MS, 0);
  assert.equal(https()[0]?.durationMs, 3);
});
