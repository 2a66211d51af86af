// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  CLIENT,
  failure,
  INITIALIZE,
  INITIALIZED,
  notification,
  request,
  result,
  SERVER,
  scene,
} from '../../test/support/http-scene.ts';
import { CONVERSATIONS_MAX } from './http-sessions.ts';
import { PARKED_BYTES } from './parked.ts';

const HTML = { 'content-type': 'text/html' };

describe('what is MCP over HTTP', () => {
  test('is shown from its first message on, though it became clear later', () => {
    const { connect, short, control } = scene();
    const tcp = connect();
    tcp.post(request(1, 'ping')).respond(200, result(1));
    tcp.post(request(2, 'acme/x')).respond(200, failure(2, -32601, 'Method not found'));
    assert.deepEqual(short(), []);
    tcp.post(request(3, 'tools/list'));
    assert.deepEqual(short(), [
      'request ping 1 pending',
      'response ping 1 ok',
      'request acme/x 2 pending',
      'response acme/x 2 error',
      'request tools/list 3 pending',
    ]);
    assert.deepEqual(new Set(control), new Set(['keep 1', 'keep 2']));
  });

  test('a refusal in JSON-RPC of an event stream asked for too early comes with what follows', () => {
    const { connect, short } = scene();
    const tcp = connect();
    const early = tcp.send('GET', { headers: { accept: 'text/event-stream' } });
    early.respond(400, { jsonrpc: '2.0', error: { code: -32000, message: 'not initialized' }, id: null });
    assert.deepEqual(short(), []);
    tcp.post(INITIALIZE);
    assert.equal(short().length, 2);
    assert.match(short()[0] ?? '', /^response/);
  });

  for (const [name, value] of [
    ['Mcp-Session-Id', 'x'],
    ['mcp-protocol-version', '2025-06-18'],
    ['MCP-METHOD', 'ping'],
  ] as const)
    test(`is JSON-RPC with the header ${name}`, () => {
      const { connect, short } = scene();
      connect().post(request(1, 'ping'), { headers: { [name]: value } });
      assert.deepEqual(short(), ['request ping 1 pending']);
    });

  test('is JSON-RPC whose response has such a header', () => {
    const { connect, short } = scene();
    connect().post(request(1, 'ping')).stream({ 'Mcp-Session-Id': 'x' });
    assert.deepEqual(short(), ['request ping 1 pending']);
  });

  test('is so under any media type that may be text', () => {
    const { connect, messages } = scene();
    for (const type of ['application/json; charset=utf-8', 'text/plain', 'Application/vnd.x+JSON'])
      connect().post(request(1, 'tools/list'), { target: `/${type}`, headers: { 'content-type': type } });
    assert.equal(messages().length, 3);
  });

  test('is JSON-RPC where MCP was spoken before, by whomever', () => {
    const { connect, short } = scene();
    connect().post(request(1, 'tools/list'));
    connect({ client: { pid: 11, comm: 'other' } }).post(request(1, 'ping'));
    assert.deepEqual(short(), ['request tools/list 1 pending', 'request ping 1 pending']);
  });

  test('is not JSON-RPC of another protocol, nor anything else, even from the same server', () => {
    const { connect, events } = scene();
    const tcp = connect();
    tcp.post(INITIALIZE).respond(200, INITIALIZED);
    events.length = 0;
    tcp.post(request(1, 'eth_call'), { target: '/rpc' }).respond(200, result(1));
    tcp.post({ query: 'x' }, { target: '/graphql' }).respond(200, { data: {} });
    tcp.send('GET', { target: '/page' }).page(404, 'not here');
    assert.deepEqual(events, []);
  });

  test('is with the others when all JSON-RPC is wanted, and these are marked', () => {
    const { connect, messages, control } = scene({ allJsonRpc: true });
    connect().post(request(1, 'eth_call')).respond(200, result(1));
    connect().post({ query: 'x' }).respond(200, { data: {} });
    assert.deepEqual(
      messages().map(({ foreign, status }) => [foreign, status]),
      [
        [true, 'pending'],
        [true, 'ok'],
      ],
    );
    assert.deepEqual(control, ['stop exchange 2']);
  });

  test('is still itself when the capture began in the middle of a response', () => {
    const { connect, short } = scene();
    const old = connect().exchange();
    old.event(notification('notifications/tools/list_changed'));
    old.event(result(9));
    assert.deepEqual(short(), ['notification notifications/tools/list_changed', 'response ? 9 orphan']);
  });
});

describe('an exchange that is not MCP', () => {
  const stopped = (body: (tcp: ReturnType<ReturnType<typeof scene>['connect']>) => void) => {
    const { connect, control, events } = scene();
    body(connect());
    assert.deepEqual(events, []);
    return control;
  };

  test('is told to the streams by the method, or by a media type that holds no JSON', () => {
    for (const method of ['PUT', 'DELETE', 'HEAD', 'OPTIONS'])
      assert.deepEqual(
        stopped((tcp) => void tcp.exchange().ask(method)),
        ['stop exchange 1'],
      );
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    assert.deepEqual(
      stopped((tcp) => void tcp.exchange().ask('POST', { headers: form })),
      ['stop exchange 1'],
    );
  });

  test('is told by a body of another JSON, or of none', () => {
    assert.deepEqual(
      stopped((tcp) => void tcp.post({ query: '{ x }' })),
      ['stop exchange 1'],
    );
    assert.deepEqual(
      stopped((tcp) => {
        const post = tcp.exchange();
        post.ask('POST');
        post.end('request', 'complete', 'hello');
      }),
      ['stop exchange 1'],
    );
  });

  test('is told by the answer to a GET that is no event stream', () => {
    assert.deepEqual(
      stopped((tcp) => void tcp.send('GET').head(200, HTML)),
      ['stop exchange 1'],
    );
    assert.deepEqual(
      stopped((tcp) => void tcp.send('GET').respond(200, { jsonrpc: '2.0' })),
      ['stop exchange 1'],
    );
  });

  test('is told by an event stream of other JSON, not by one that says nothing yet', () => {
    const quiet = stopped((tcp) => {
      const get = tcp.send('GET');
      get.stream();
      for (let count = 0; count < 100; count++) get.plain('ping', 'now');
    });
    assert.deepEqual(quiet, []);
    const prices = stopped((tcp) => {
      const get = tcp.send('GET');
      get.stream();
      get.event({ price: 1 });
      get.event({ price: 2 });
    });
    assert.deepEqual(prices, ['stop exchange 1']);
    const words = stopped((tcp) => {
      const get = tcp.send('GET');
      get.stream();
      for (let count = 0; count < 2000; count++) get.plain('message', 'word');
    });
    assert.deepEqual(words, ['stop exchange 1']);
  });

  test('is told once, and leaves those that follow on its connection alone', () => {
    const { connect, control, short } = scene();
    const tcp = connect();
    tcp.post({ query: '{ x }' }).respond(200, { data: {} });
    tcp.post(request(1, 'tools/list')).respond(200, result(1));
    assert.deepEqual(control, ['stop exchange 1', 'keep 1', 'keep 2']);
    assert.deepEqual(short(), ['request tools/list 1 pending', 'response tools/list 1 ok']);
  });

  test('is never told where MCP is spoken, nor by a body that was not seen whole', () => {
    const { session, control } = scene();
    const { tcp, options } = session();
    tcp.post({ no: 'RPC' }).respond(400, { error: 'x' });
    tcp.send('GET').page(405, 'no');
    tcp.send('GET', { ...options, target: '/elsewhere' }).page(404, 'no');
    const cut = tcp.exchange();
    cut.ask('POST', { target: '/other' });
    cut.content('request', { type: 'incomplete', head: '{"json', reason: 'gap' }, 6);
    cut.end('request', 'gap');
    assert.ok(!control.some((each) => each.startsWith('stop')));
  });
});

describe('JSON-RPC that has not shown itself to be MCP', () => {
  test('is given up after so many bytes, over however many exchanges', () => {
    const { connect, control, events } = scene();
    const tcp = connect();
    const data = 'x'.repeat(PARKED_BYTES / 4);
    for (let id = 1; id <= 6; id++) tcp.post(request(id, 'eth_call', { data })).respond(200, result(id));
    // The fourth is the first that does not fit; those before are over.
    assert.deepEqual(control, ['stop exchange 4', 'stop exchange 5', 'stop exchange 6']);
    assert.deepEqual(events, []);
  });

  test('is a gap of as much on each stream, should its conversation show itself to be MCP after all', () => {
    const { connect, short, gaps } = scene();
    const tcp = connect();
    const data = 'x'.repeat(PARKED_BYTES / 2);
    for (let id = 1; id <= 2; id++) tcp.post(request(id, 'eth_call', { data })).respond(200, result(id));
    assert.deepEqual(gaps(), []);
    tcp.post(request(3, 'tools/list'));
    const sizes = [1, 2].map((id) => JSON.stringify(request(id, 'eth_call', { data })).length);
    assert.deepEqual(
      gaps().map(({ stream, cause, bytes, frames }) => [stream, cause, bytes, frames]),
      // Each with the time of the last that it stands for.
      [
        [2, 'stopped', JSON.stringify(result(1)).length, 1],
        [1, 'stopped', (sizes[0] ?? 0) + (sizes[1] ?? 0), 2],
      ],
    );
    assert.equal(short().at(-1), 'request tools/list 3 pending');
  });

  test('is given up after so many messages of one stream', () => {
    const { connect, control } = scene();
    const post = connect().post(request(1, 'subscribe'));
    post.stream();
    for (let count = 0; count < 3000; count++) post.event(notification('tick'));
    assert.deepEqual(control, ['stop exchange 1']);
  });

  test('and was given up is MCP all the same once it says so', () => {
    const { connect, short, gaps } = scene();
    const tcp = connect();
    for (let id = 0; id < 3000; id++) tcp.post(request(id, 'eth_call')).respond(200, result(id));
    tcp.post(request(1, 'tools/list')).respond(200, result(1));
    assert.deepEqual(
      gaps().map(({ cause }) => cause),
      ['stopped', 'stopped'],
    );
    assert.deepEqual(short().slice(2), ['request tools/list 1 pending', 'response tools/list 1 ok']);
  });
});

describe('what is no JSON-RPC where MCP is spoken', () => {
  test('is shown as invalid: JSON, an event, a body', () => {
    const { session, invalids } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/list'), options);
    post.stream();
    post.event({ no: 'RPC' });
    post.plain('message', 'no JSON');
    post.plain('ping', 'not ours');
    post.event({ not: 'ours' }, undefined, 'ping');
    tcp.post({ jsonrpc: '1.0' }, options);
    const bare = tcp.exchange();
    bare.ask('POST', options);
    bare.end('request', 'complete', 'hello');
    assert.deepEqual(
      invalids().map(({ reason, raw, http }) => [reason, raw, http?.form, http?.isRequest]),
      [
        ['not JSON-RPC: "jsonrpc" is missing', '{"no":"RPC"}', 'sse', false],
        ['not JSON', 'no JSON', 'sse', false],
        ['not JSON-RPC: "jsonrpc" is "1.0", not "2.0"', '{"jsonrpc":"1.0"}', 'body', true],
        ['not JSON', 'hello', 'body', true],
      ],
    );
  });

  test('is an element of a batch', () => {
    const { connect, short } = scene();
    connect().post([request(1, 'tools/list'), 17]);
    assert.deepEqual(short(), ['request tools/list 1 pending', 'invalid 17']);
  });
});

describe('a gap on a connection that carries HTTP', () => {
  test('is shown with the exchange that it concerns', () => {
    const { session, events } = scene();
    const { tcp, options } = session();
    tcp.post(request(1, 'tools/list'), options);
    tcp.gap('response', 77);
    const gap = events.at(-1);
    assert.equal(gap?.kind, 'gap');
    assert.equal(gap?.http?.exchange, 2);
    assert.equal(gap?.connection, 1);
    assert.deepEqual([gap?.from, gap?.to], [SERVER, CLIENT]);
  });

  test('waits until the connection shows itself to be MCP, though the gap came before all else', () => {
    const { connect, short } = scene();
    const tcp = connect();
    tcp.gap('request', 5);
    const post = tcp.exchange();
    post.ask('POST');
    tcp.gap('request', 6);
    assert.deepEqual(short(), []);
    post.frame('request', request(1, 'tools/list'));
    assert.deepEqual(short(), ['gap 5', 'gap 6', 'request tools/list 1 pending']);
  });

  test('of something else is not shown', () => {
    const { connect, short } = scene();
    const tcp = connect();
    tcp.send('GET', { target: '/page' }).head(200, HTML);
    tcp.gap('response', 5);
    tcp.post({ query: 'x' });
    tcp.post(request(1, 'tools/list'));
    assert.deepEqual(short(), ['request tools/list 1 pending']);
  });
});

describe('headers that repeat the body', () => {
  test('and say otherwise are a warning on the message', () => {
    const { connect, messages } = scene();
    const headers = { 'Mcp-Method': 'tools/call', 'Mcp-Name': '=?base64?eA==?=' };
    connect()
      .post(request(1, 'tools/call', { name: 'y' }), { headers })
      .respond(200, result(1));
    assert.deepEqual(
      messages().map(({ warnings }) => warnings),
      [['header Mcp-Name says "x", the body "y"'], []],
    );
  });
});

describe('memory', () => {
  test('holds a bounded number of conversations, those used last', () => {
    const { connect, messages } = scene();
    const tcp = connect();
    const ask = (session: number, id: number) =>
      tcp.post(request(id, 'tools/list'), { headers: { 'Mcp-Session-Id': `session-${session}` } });
    const first = ask(0, 1);
    const second = ask(1, 1);
    for (let session = 2; session < CONVERSATIONS_MAX + 1; session++) {
      if (session % 1000 === 0) ask(0, session);
      ask(session, 1);
    }
    const number = (index: number) => messages().at(index)?.connection;
    ask(0, 2);
    assert.equal(number(-1), 1);
    ask(1, 2);
    assert.equal(number(-1), CONVERSATIONS_MAX + 2);
    // What is under way keeps what it needs.
    first.respond(200, result(1));
    assert.equal(messages().at(-1)?.status, 'ok');
    second.respond(200, result(1));
    assert.equal(messages().at(-1)?.status, 'ok');
  });

  test('holds a bounded amount of what may never show itself to be MCP: the oldest goes first', () => {
    const { connect, short, gaps } = scene();
    const data = 'x'.repeat(PARKED_BYTES - 1000);
    for (let pid = 1; pid <= 80; pid++)
      connect({ client: { pid, comm: 'client' } }).post(request(pid, 'acme/x', { data }));
    for (const pid of [1, 80]) connect({ client: { pid, comm: 'client' } }).post(request(pid, 'tools/list'));
    const gone = JSON.stringify(request(1, 'acme/x', { data })).length;
    assert.deepEqual(short(), [
      `gap ${gone}`,
      'request tools/list 1 pending',
      'request acme/x 80 pending',
      'request tools/list 80 pending',
    ]);
    assert.deepEqual(
      gaps().map(({ stream, cause, bytes, frames }) => [stream, cause, bytes, frames]),
      [[1, 'stopped', gone, 1]],
    );
  });
});
