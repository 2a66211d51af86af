// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
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

const EVENTS = { 'content-type': 'text/event-stream' };
const PROXY = { pid: 15, comm: 'proxy' };

describe('a message over HTTP', () => {
  test('says how HTTP carried it', () => {
    const { connect, messages } = scene();
    const tcp = connect({
      carrier: 'tls',
      tls: 'OpenSSL',
      clientAt: { ip: '192.0.2.1', port: 40000 },
      serverAt: { ip: '192.0.2.2', port: 443 },
      server: undefined,
    });
    const post = tcp.post(request(1, 'tools/call', { name: 'echo' }), {
      target: '/mcp?x=1',
      authority: 'api.example.com',
      headers: { 'MCP-Protocol-Version': '2025-06-18' },
    });
    post.respond(200, result(1));
    const [asked, answered] = messages();
    assert.equal(asked?.transport, 'http');
    assert.deepEqual(asked?.http, {
      exchange: 1,
      isRequest: true,
      form: 'body',
      version: '1.1',
      method: 'POST',
      path: '/mcp?x=1',
      host: 'api.example.com',
      status: undefined,
      headers: { 'mcp-protocol-version': '2025-06-18' },
      sessionId: undefined,
      protocolVersion: '2025-06-18',
      eventId: undefined,
      tls: 'OpenSSL',
      process: CLIENT,
      local: { ip: '192.0.2.1', port: 40000 },
      remote: { ip: '192.0.2.2', port: 443 },
    });
    assert.deepEqual({ ...answered?.http }, { ...asked?.http, isRequest: false, status: 200, headers: {} });
    assert.equal(answered?.status, 'ok');
    assert.equal(answered?.target, 'echo');
    assert.equal(answered?.connection, asked?.connection);
  });

  test('that was written by a process we see is seen at its end, else at the reader’s', () => {
    const { connect, messages } = scene();
    const wiring = { clientAt: { ip: '::1', port: 1 }, serverAt: { ip: '::1', port: 2 } };
    const post = connect(wiring).post(request(1, 'tools/list'));
    post.respond(200, result(1));
    assert.deepEqual(messages()[0]?.http?.process, CLIENT);
    assert.deepEqual(messages()[1]?.http?.process, SERVER);
    assert.equal(messages()[1]?.http?.local?.port, 2);
  });

  test('is one of a batch, where there is one', () => {
    const { connect, messages } = scene();
    const post = connect().post([request(1, 'tools/list'), request(2, 'ping'), 17]);
    post.respond(200, [result(2), result(1)]);
    assert.deepEqual(
      messages().map(({ method, batch, status }) => `${method} ${batch?.index}/${batch?.size} ${status}`),
      ['tools/list 0/3 pending', 'ping 1/3 pending', 'ping 0/2 ok', 'tools/list 1/2 ok'],
    );
  });
});

describe('Streamable HTTP with a session', () => {
  test('is one conversation over all connections, from the request that opens it', () => {
    const { connect, messages } = scene();
    connect().post(INITIALIZE).respond(200, INITIALIZED, { 'Mcp-Session-Id': 'abcdefgh-1' });
    const options = { headers: { 'mcp-session-id': 'abcdefgh-1' } };
    connect().post(notification('notifications/initialized'), options).respond(202);
    connect().post(request(1, 'tools/list'), options).respond(200, result(1));
    assert.deepEqual(
      messages().map(({ connection, method, status }) => `${connection} ${method} ${status}`),
      [
        '1 initialize pending',
        '1 initialize ok',
        '1 notifications/initialized undefined',
        '1 tools/list pending',
        '1 tools/list ok',
      ],
    );
  });

  test('shows nothing for a 202', () => {
    const { session, short } = scene();
    const { tcp, options } = session();
    tcp.post(notification('notifications/initialized'), options).respond(202);
    assert.deepEqual(short(), ['notification notifications/initialized']);
  });

  test('answers with an event stream, which may hold other messages first', () => {
    const { session, short } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/call', { name: 'x' }), options);
    post.stream();
    post.event(notification('notifications/progress', { progressToken: 1 }), '1');
    post.event(result(1), '2');
    post.end('response');
    assert.deepEqual(short(), [
      'request tools/call 1 pending',
      'notification notifications/progress',
      'response tools/call 1 ok',
    ]);
  });

  test('lets the server ask on the standalone stream, and the client answer by a POST', () => {
    const { session, connect, messages } = scene();
    const { options } = session();
    const get = connect().send('GET', options);
    get.stream();
    get.event(request(0, 'roots/list'));
    connect()
      .post(result(0, { roots: [] }), options)
      .respond(202);
    assert.deepEqual(
      messages().map(({ connection, method, status, http }) => [connection, method, status, http?.method]),
      [
        [1, 'roots/list', 'pending', 'GET'],
        [1, 'roots/list', 'ok', 'POST'],
      ],
    );
    assert.deepEqual(messages()[0]?.from, SERVER);
  });

  test('lets the server ask on the stream of a request, with the id of that request', () => {
    const { session, short } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/call', { name: 'x' }), options);
    post.stream();
    post.event(request(1, 'sampling/createMessage'));
    tcp.post(result(1, { role: 'user' }), options).respond(202);
    post.event(result(1));
    assert.deepEqual(short(), [
      'request tools/call 1 pending',
      'request sampling/createMessage 1 pending',
      'response sampling/createMessage 1 ok',
      'response tools/call 1 ok',
    ]);
  });

  test('answers an error without an id by the only request of its exchange', () => {
    const { session, short, messages } = scene();
    const { tcp, options } = session();
    tcp.post(request(7, 'tools/list'), options).respond(404, failure(null, -32001, 'Session not found'));
    assert.deepEqual(short(), ['request tools/list 7 pending', 'response tools/list error']);
    assert.equal(messages()[1]?.http?.status, 404);
    tcp
      .post([request(8, 'tools/list'), request(9, 'ping')], options)
      .respond(400, failure(null, -32600, 'no batches'));
    assert.equal(messages().at(-1)?.status, 'orphan');
  });

  test('takes a request back by a notification on another connection', () => {
    const { session, connect, short } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/call', { name: 'x' }), options);
    post.stream();
    connect()
      .post(notification('notifications/cancelled', { requestId: 1 }), options)
      .respond(202);
    post.event(result(1));
    assert.deepEqual(short(), [
      'request tools/call 1 pending',
      'notification notifications/cancelled cancelled',
      'response tools/call 1 late',
    ]);
  });

  test('that was open before the capture is known by its header', () => {
    const { connect, short, messages } = scene();
    const headers = { 'Mcp-Session-Id': 'before-0123456789' };
    connect().post(request(41, 'ping'), { headers }).respond(200, result(41));
    connect().post(request(42, 'acme/unheard'), { headers }).respond(200, result(42));
    assert.deepEqual(short(), [
      'request ping 41 pending',
      'response ping 41 ok',
      'request acme/unheard 42 pending',
      'response acme/unheard 42 ok',
    ]);
    assert.equal(new Set(messages().map(({ connection }) => connection)).size, 1);
  });

  test('is told by its server too: two servers may give the same id', () => {
    const { connect, messages } = scene();
    const headers = { 'Mcp-Session-Id': '1' };
    const other = { pid: 21, comm: 'other' };
    connect().post(request(1, 'tools/list'), { headers });
    connect({ server: other }).post(request(1, 'tools/list'), { headers, authority: 'localhost:4000' });
    assert.deepEqual(
      messages().map(({ connection, warnings }) => [connection, warnings]),
      [
        [1, []],
        [2, []],
      ],
    );
  });

  test('is told by its server’s address where several processes serve it', () => {
    const { connect, messages } = scene();
    const headers = { 'Mcp-Session-Id': 'shared-by-workers' };
    const serverAt = { ip: '127.0.0.1', port: 3000 };
    connect({ serverAt, server: { pid: 21, comm: 'worker' } }).post(request(1, 'tools/list'), { headers });
    connect({ serverAt, server: { pid: 22, comm: 'worker' } }).post(request(2, 'tools/list'), { headers });
    assert.deepEqual(
      messages().map(({ connection }) => connection),
      [1, 1],
    );
  });
});

describe('many clients', () => {
  test('of one process, each with a session, are conversations of their own', () => {
    const { connect, messages } = scene();
    const all = Array.from({ length: 200 }, (_, index) => {
      const tcp = connect();
      return { tcp, post: tcp.post(INITIALIZE), headers: { 'Mcp-Session-Id': `session-${index}` } };
    });
    for (const { post, headers } of all) post.respond(200, INITIALIZED, headers);
    const posts = all.map(({ tcp, headers }) => tcp.post(request(1, 'tools/list'), { headers }));
    for (const post of posts) post.respond(200, result(1));
    assert.equal(new Set(messages().map(({ connection }) => connection)).size, 200);
    assert.ok(messages().every(({ type, status }) => status === (type === 'request' ? 'pending' : 'ok')));
  });

  test('behind one proxy, without sessions and with the same ids, are never mixed up', () => {
    const { connect, messages } = scene();
    const tcp = connect({ client: PROXY, version: '2' });
    const names = Array.from({ length: 50 }, (_, index) => `t${index}`);
    const posts = names.map((name) => tcp.post(request(1, 'tools/call', { name })));
    for (const index of [...names.keys()].reverse()) posts[index]?.respond(200, result(1, { index }));
    assert.deepEqual(
      messages()
        .slice(50)
        .map(({ target, result }) => [target, result]),
      [...names.keys()].reverse().map((index) => [`t${index}`, `{"index":${index}}`]),
    );
  });

  test('without sessions whose servers ask with the same id are not guessed at', () => {
    const { connect, messages } = scene();
    const tcp = connect({ client: PROXY, version: '2' });
    for (const name of ['a', 'b']) {
      const post = tcp.post(request(1, 'tools/call', { name }));
      post.stream();
      post.event(request(5, 'roots/list'));
    }
    tcp.post(result(5, { roots: [] })).respond(202);
    assert.equal(messages().at(-1)?.status, 'orphan');
  });

  test('in any order of requests and responses, each gets its own answer', () => {
    const step = fc.record({ client: fc.nat(3), id: fc.nat(2), answer: fc.boolean(), early: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, sessions) => {
        const { connect, messages } = scene();
        const proxy = connect({ client: PROXY, version: '2' });
        const open: { post: ReturnType<typeof proxy.post>; id: number; name: string }[] = [];
        for (const [index, { client, id, answer, early }] of steps.entries()) {
          const name = `call ${index}`;
          const headers = sessions ? { 'Mcp-Session-Id': `session of ${client}` } : {};
          open.push({ post: proxy.post(request(id, 'tools/call', { name }), { headers }), id, name });
          if (!answer) continue;
          const [taken] = open.splice(early % open.length, 1);
          taken?.post.respond(200, result(taken.id, { name: taken.name }));
        }
        for (const each of messages())
          if (each.type === 'response') {
            assert.equal(each.status, 'ok');
            assert.equal(each.result, JSON.stringify({ name: each.target }));
          }
      }),
      { numRuns: 100 },
    );
  });
});

describe('a server without sessions', () => {
  test('has one conversation with each client process and path', () => {
    const { connect, messages } = scene();
    connect().post(INITIALIZE).respond(200, INITIALIZED);
    connect().post(request(1, 'tools/list')).respond(200, result(1));
    connect().post(request(1, 'tools/list'), { target: '/other' }).respond(200, result(1));
    connect({ client: PROXY }).post(request(1, 'tools/list')).respond(200, result(1));
    connect().post(INITIALIZE).respond(200, INITIALIZED);
    assert.deepEqual(
      messages().map(({ connection }) => connection),
      [1, 1, 1, 1, 2, 2, 3, 3, 1, 1],
    );
  });

  test('knows remote clients by their address, whatever the port', () => {
    const { connect, messages } = scene();
    for (const [ip, port] of [
      ['192.0.2.1', 1000],
      ['192.0.2.1', 2000],
      ['192.0.2.9', 1000],
    ] as const)
      connect({ client: undefined, clientAt: { ip, port } }).post(request(1, 'tools/list'));
    assert.deepEqual(
      messages().map(({ connection }) => connection),
      [1, 1, 2],
    );
  });

  test('may be asked back, as long as only one question has that id', () => {
    const { connect, short } = scene();
    const post = connect().post(request(1, 'tools/call', { name: 'x' }));
    post.stream();
    post.event(request('a', 'elicitation/create'));
    connect()
      .post(result('a', { action: 'accept' }))
      .respond(202);
    assert.equal(short().at(-1), 'response elicitation/create "a" ok');
  });
});

describe('HTTP+SSE of 2024-11-05', () => {
  const legacy = (uri: string) => {
    const own = scene();
    const get = own.connect().send('GET', { target: '/sse' });
    get.stream();
    get.plain('endpoint', uri);
    return { ...own, get };
  };

  for (const uri of [
    '/messages?sessionId=abc',
    '/messages/?session_id=abc',
    'http://localhost:3000/messages?sessionId=abc',
    '/messages/abc',
  ])
    test(`brings the answers on the other connection: ${uri}`, () => {
      const { connect, get, messages } = legacy(uri);
      const target = uri.replace('http://localhost:3000', '');
      const tcp = connect();
      tcp.post(INITIALIZE, { target }).page(202, 'Accepted');
      get.event(INITIALIZED);
      tcp.post(request(1, 'tools/list'), { target }).page(202, 'Accepted');
      get.event(request(1, 'roots/list'));
      tcp.post(result(1), { target }).page(202, 'Accepted');
      get.event(result(1));
      assert.deepEqual(
        messages().map(({ connection, method, status }) => `${connection} ${method} ${status}`),
        [
          '1 initialize pending',
          '1 initialize ok',
          '1 tools/list pending',
          '1 roots/list pending',
          '1 roots/list ok',
          '1 tools/list ok',
        ],
      );
    });

  test('keeps two clients of one process apart', () => {
    const { connect, messages } = scene();
    const both = ['one-session', 'other-session'].map((id) => {
      const get = connect().send('GET', { target: '/sse' });
      get.stream();
      get.plain('endpoint', `/messages?sessionId=${id}`);
      return { get, target: `/messages?sessionId=${id}` };
    });
    const tcp = connect();
    for (const { target } of both)
      tcp.post(request(1, 'tools/call', { name: target }), { target }).respond(202);
    for (const { get, target } of both.toReversed()) get.event(result(1, { target }));
    assert.deepEqual(
      messages()
        .slice(2)
        .map(({ target, result }) => result === JSON.stringify({ target })),
      [true, true],
    );
  });

  test('whose stream began before the capture is joined by the answer', () => {
    const { connect, messages } = scene();
    const target = '/messages?sessionId=abc';
    const old = connect().exchange();
    connect().post(request(7, 'tools/list'), { target }).respond(202);
    old.event(result(7));
    assert.deepEqual(
      messages().map(({ connection, method, status }) => `${connection} ${method} ${status}`),
      ['1 tools/list pending', '1 tools/list ok'],
    );
  });

  test('is not joined where two clients wait for an answer of that id', () => {
    const { connect, messages } = scene();
    const old = connect().exchange();
    for (const id of ['a', 'b'])
      connect()
        .post(request(7, 'tools/list'), { target: `/messages?sessionId=${id}` })
        .respond(202);
    old.event(result(7, { tools: [] }));
    assert.deepEqual(
      messages().map(({ status }) => status),
      ['pending', 'pending'],
    );
  });

  test('is not shown when what is posted is another protocol', () => {
    const { connect, get, events } = legacy('/messages?sessionId=abc');
    connect().post(request(1, 'eth_call'), { target: '/messages?sessionId=abc' }).respond(202);
    get.event(result(1));
    assert.deepEqual(events, []);
  });
});

describe('an event stream that is resumed', () => {
  test('brings events again that are not new messages, and the answer to the old request', () => {
    const { session, connect, short, analyzer } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/call', { name: 'slow' }), options);
    post.stream();
    post.plain('message', '', 'e0');
    post.event(notification('notifications/progress', { progressToken: 1, progress: 1 }), 'e1');
    post.event(notification('notifications/progress', { progressToken: 1, progress: 2 }), 'e2');
    post.end('response', 'closed');
    const get = connect().send('GET', { headers: { ...options.headers, 'Last-Event-ID': 'e0' } });
    get.stream();
    get.event(notification('notifications/progress', { progressToken: 1, progress: 1 }), 'e1');
    get.event(notification('notifications/progress', { progressToken: 1, progress: 2 }), 'e2');
    get.event(result(1), 'e3');
    assert.deepEqual(short(), [
      'request tools/call 1 pending',
      'notification notifications/progress',
      'notification notifications/progress',
      'response tools/call 1 ok',
    ]);
    assert.deepEqual(analyzer.repeats, { replayed: 2, bothEnds: 0 });
  });

  test('shows an event again that has the old id and other content, or no old id', () => {
    const { session, connect, messages } = scene();
    const { tcp, options } = session();
    const post = tcp.post(request(1, 'tools/call', { name: 'slow' }), options);
    post.stream();
    post.event(notification('notifications/message', { data: 'a' }), '1');
    const get = connect().send('GET', { headers: { ...options.headers, 'Last-Event-ID': '0' } });
    get.stream();
    get.event(notification('notifications/message', { data: 'b' }), '1');
    get.event(notification('notifications/message', { data: 'a' }), '9');
    get.event(notification('notifications/message', { data: 'a' }));
    assert.equal(messages().length, 5);
  });

  test('is not what a stream is that nobody resumes: servers number each of theirs from 1', () => {
    const { session, connect, messages } = scene();
    const { tcp, options } = session();
    for (const connection of [tcp, connect()]) {
      const get = connection.send('GET', options);
      get.stream();
      get.event(notification('notifications/tools/list_changed'), '1');
    }
    assert.equal(messages().length, 2);
  });

  test('tells the exchange that it goes on with: other requests may have the same id', () => {
    const { connect, messages } = scene();
    const tcp = connect({ client: PROXY, version: '2' });
    for (const [name, event] of [
      ['a', 'a1'],
      ['b', 'b1'],
    ] as const) {
      const post = tcp.post(request(1, 'tools/call', { name }));
      post.stream();
      post.plain('message', '', event);
      post.end('response', 'closed');
    }
    const get = tcp.send('GET', { headers: { 'Last-Event-ID': 'a1' } });
    get.stream();
    get.event(notification('notifications/message', { data: 'more' }), 'a2');
    get.end('response', 'closed');
    const again = tcp.send('GET', { headers: { 'Last-Event-ID': 'a2' } });
    again.stream();
    again.event(result(1), 'a3');
    assert.equal(messages().at(-1)?.target, 'a');
    assert.equal(messages().at(-1)?.status, 'ok');
  });
});

describe('a WebSocket', () => {
  test('is a conversation of its own, in both directions', () => {
    const { connect, messages } = scene();
    for (const name of ['a', 'b']) {
      const socket = connect().send('GET', { headers: { Upgrade: 'websocket' } });
      socket.head(101);
      socket.frame('request', request(1, 'tools/call', { name }), { form: 'websocket' });
      socket.frame('response', request(1, 'roots/list'), { form: 'websocket' });
      socket.frame('request', result(1, { roots: [] }), { form: 'websocket' });
      socket.frame('response', result(1), { form: 'websocket' });
    }
    assert.deepEqual(
      messages().map(({ connection, method, target, status }) =>
        [connection, method, target, status].filter(Boolean).join(' '),
      ),
      [1, 2].flatMap((connection) => [
        `${connection} tools/call ${'ab'[connection - 1]} pending`,
        `${connection} roots/list pending`,
        `${connection} roots/list ok`,
        `${connection} tools/call ${'ab'[connection - 1]} ok`,
      ]),
    );
    assert.equal(messages()[0]?.http?.form, 'websocket');
  });

  test('is one in a stream of HTTP/2, too', () => {
    const { connect, messages, control } = scene();
    const socket = connect({ version: '2' }).send('CONNECT', { headers: { ':protocol': 'websocket' } });
    socket.head(200);
    socket.frame('request', request(1, 'tools/list'), { form: 'websocket' });
    socket.frame('response', result(1), { form: 'websocket' });
    assert.deepEqual(
      messages().map(({ method, status }) => `${method} ${status}`),
      ['tools/list pending', 'tools/list ok'],
    );
    assert.ok(!control.some((each) => each.startsWith('stop')));
  });
});

describe('a relay', () => {
  test('between two HTTP connections shows a message once a hop, though the session is the same', () => {
    const { connect, messages } = scene();
    const options = { headers: { 'Mcp-Session-Id': 'same-everywhere' } };
    const front = connect({ server: PROXY }).post(request(1, 'tools/list'), options);
    const back = connect({ client: PROXY }).post(request(1, 'tools/list'), options);
    back.respond(200, result(1));
    front.stream();
    front.event(result(1));
    assert.deepEqual(
      messages().map(({ connection, hop, status }) => [connection, status, hop]),
      [
        [1, 'pending', undefined],
        [2, 'pending', { number: 2, previous: 1, origin: 1 }],
        [2, 'ok', undefined],
        [1, 'ok', { number: 2, previous: 3, origin: 3 }],
      ],
    );
  });

  test('from stdio to HTTP may write the message anew', () => {
    const { connect, put, messages } = scene();
    const line = (stream: number, time: number, from: typeof CLIENT, to: typeof CLIENT, text: string) =>
      put({
        ...{ kind: 'frame', time, stream: { id: stream, carrier: 'pipe' }, offset: 0, size: text.length },
        ...{ from, to, content: { type: 'text', text } },
      });
    const call =
      '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {"b": 1, "a": "\\u00e9"}}}';
    line(101, 1, CLIENT, PROXY, call);
    const post = connect({ client: PROXY }).post({
      method: 'tools/call',
      params: { arguments: { a: 'é', b: 1 }, name: 'x' },
      jsonrpc: '2.0',
      id: 1,
    });
    post.respond(200, result(1, { content: [], isError: false }));
    line(102, 9e6, PROXY, CLIENT, '{"result": {"isError": false, "content": []}, "id": 1, "jsonrpc": "2.0"}');
    assert.deepEqual(
      messages().map(({ transport, hop }) => [transport, hop?.previous]),
      [
        ['stdio', undefined],
        ['http', 1],
        ['http', undefined],
        ['stdio', 3],
      ],
    );
  });
});

describe('lines of JSON on a TCP connection', () => {
  test('are a conversation by their streams, as on pipes', () => {
    const { put, messages } = scene();
    const line = (stream: number, message: unknown) => {
      const text = JSON.stringify(message);
      const [from, to] = stream === 1 ? [CLIENT, SERVER] : [SERVER, CLIENT];
      put({
        ...{ kind: 'frame', time: 1, stream: { id: stream, carrier: 'tcp' }, offset: 0, size: text.length },
        ...{ from, to, content: { type: 'text', text } },
      });
    };
    line(1, request(1, 'tools/list'));
    line(2, result(1));
    assert.deepEqual(
      messages().map(({ connection, status, transport }) => [connection, status, transport]),
      [
        [1, 'pending', 'stdio'],
        [1, 'ok', 'stdio'],
      ],
    );
  });
});

describe('a server over HTTP', () => {
  test('is introduced by what both say of themselves, by who they are, and by the masked session', () => {
    const { connect, servers } = scene();
    connect()
      .post(INITIALIZE)
      .respond(200, INITIALIZED, { ...EVENTS, 'Mcp-Session-Id': 'secret-0123456789' });
    const last = servers.at(-1);
    assert.deepEqual(last?.server, { name: 'Server', version: '2', endpoint: SERVER });
    assert.deepEqual(last?.client, { name: 'Client', version: '1', endpoint: CLIENT });
    assert.equal(last?.protocolVersion, '2025-06-18');
    assert.match(last?.sessionId ?? '', /^secr…[0-9a-f]{4}$/);
  });

  test('is not announced again for every message', () => {
    const { session, servers } = scene();
    const { tcp, options } = session();
    for (let id = 1; id < 10; id++) tcp.post(request(id, 'tools/list'), options).respond(200, result(id));
    assert.deepEqual(servers, []);
  });
});
