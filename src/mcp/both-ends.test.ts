// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  CLIENT,
  INITIALIZE,
  notification,
  request,
  result,
  SERVER,
  scene,
} from '../../test/support/http-scene.ts';

const AT = { clientAt: { ip: '127.0.0.1', port: 40000 }, serverAt: { ip: '127.0.0.1', port: 8443 } };
const TLS = { carrier: 'tls', tls: 'OpenSSL', ...AT } as const;
const AT_CLIENT = { ...TLS, server: undefined };
const AT_SERVER = { ...TLS, client: undefined };

/** One connection, read at both its ends. */
function twice() {
  const own = scene();
  return { ...own, client: own.connect(AT_CLIENT), server: own.connect(AT_SERVER) };
}

describe('a message inside TLS that is read at both ends of its connection', () => {
  test('is one message, and its answer too, whichever end tells first', () => {
    const { client, server, messages, analyzer } = twice();
    const asked = client.post(request(1, 'tools/call', { name: 'x' }));
    const heard = server.post(request(1, 'tools/call', { name: 'x' }));
    heard.respond(200, result(1));
    asked.respond(200, result(1));
    assert.deepEqual(
      messages().map(({ connection, method, status, http }) => [connection, method, status, http?.exchange]),
      [
        [1, 'tools/call', 'pending', 1],
        [1, 'tools/call', 'ok', 1],
      ],
    );
    assert.deepEqual(analyzer.repeats, { replayed: 0, bothEnds: 2 });
    // The second end tells who is there.
    assert.deepEqual([messages()[1]?.from, messages()[1]?.to], [SERVER, CLIENT]);
  });

  test('is one message when one end tells all before the other says anything', () => {
    const { client, server, messages } = twice();
    server.post(request(1, 'tools/list')).respond(200, result(1));
    client.post(request(1, 'tools/list')).respond(200, result(1));
    assert.equal(messages().length, 2);
    const heard = server.post(request(2, 'tools/list'));
    const asked = client.post(request(2, 'tools/list'));
    heard.respond(200, result(2));
    asked.respond(200, result(2));
    assert.equal(messages().length, 4);
    assert.ok(messages().every(({ status }) => status !== 'orphan'));
  });

  test('is one when calls return late, but not after five seconds: nobody is waited for without end', () => {
    const { client, server, messages, wait } = twice();
    server.post(request(1, 'tools/list')).respond(200, result(1));
    wait(4000);
    client.post(request(1, 'tools/list')).respond(200, result(1));
    assert.equal(messages().length, 2);
    server.post(request(2, 'tools/list')).respond(200, result(2));
    wait(6000);
    client.post(request(2, 'tools/list')).respond(200, result(2));
    assert.equal(messages().length, 6);
  });

  test('is one when the first end has closed before the other one has told anything', () => {
    const { client, server, messages } = twice();
    server.post(request(1, 'tools/list')).respond(200, result(1));
    server.close();
    const asked = client.post(request(1, 'tools/list'));
    asked.respond(200, result(1));
    client.close();
    assert.deepEqual(
      messages().map(({ status }) => status),
      ['pending', 'ok'],
    );
  });

  test('is one of many at the same time, also of those that say the same', () => {
    const { client, server, messages } = twice();
    const calls = [1, 2, 3].map((id) => client.post(request(id, 'tools/list')));
    const heard = [1, 2, 3].map((id) => server.post(request(id, 'tools/list')));
    for (const index of [2, 0, 1]) heard[index]?.respond(200, result(index + 1));
    for (const index of [2, 0, 1]) calls[index]?.respond(200, result(index + 1));
    for (const end of [client, client, server, server]) end.post(notification('notifications/initialized'));
    assert.deepEqual(
      messages().map(({ type, status }) => [type, status].filter(Boolean).join(' ')),
      [
        ...Array(3).fill('request pending'),
        ...Array(3).fill('response ok'),
        ...Array(2).fill('notification'),
      ],
    );
  });

  test('may be an event of a stream, which both ends tell at their own pace', () => {
    const step = fc.constantFrom('client', 'server');
    const texts = fc.array(fc.constantFrom('a', 'b'), { maxLength: 12 });
    fc.assert(
      fc.property(texts, fc.array(step, { maxLength: 24 }), (events, order) => {
        const { client, server, messages } = twice();
        const ends = { client: client.send('GET'), server: server.send('GET') };
        const told = { client: 0, server: 0 };
        const tell = (end: 'client' | 'server') => {
          const data = events[told[end]++];
          if (data) ends[end].event(notification('notifications/message', { data }));
        };
        for (const end of ['client', 'server'] as const) ends[end].stream();
        for (const end of order) tell(end);
        for (const _ of events) for (const end of ['client', 'server'] as const) tell(end);
        assert.deepEqual(
          messages().map(({ params }) => JSON.parse(params ?? '').data),
          events,
        );
      }),
      { numRuns: 100 },
    );
  });

  test('is told by the one end that has it, when the other has lost bytes', () => {
    const event = fc.record({
      data: fc.constantFrom('a', 'b'),
      lost: fc.constantFrom('client', 'server', undefined),
    });
    const order = fc.array(fc.constantFrom('client' as const, 'server' as const), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), order, (events, turns) => {
        const { client, server, messages } = twice();
        const connections = { client, server };
        const ends = { client: client.send('GET'), server: server.send('GET') };
        const told = { client: 0, server: 0 };
        const tell = (end: 'client' | 'server') => {
          const index = told[end]++;
          const { data, lost } = events[index] ?? {};
          const message = notification('notifications/message', {
            data: `${data} ${data === 'a' ? index : ''}`,
          });
          if (data === undefined) return;
          if (lost === end) connections[end].gap('response', Buffer.byteLength(JSON.stringify(message)));
          else ends[end].event(message);
        };
        for (const end of ['client', 'server'] as const) ends[end].stream();
        for (const end of turns) tell(end);
        for (const _ of events) for (const end of ['client', 'server'] as const) tell(end);
        assert.deepEqual(
          messages()
            .map(({ params }) => JSON.parse(params ?? '').data)
            .sort(),
          events.map(({ data }, index) => `${data} ${data === 'a' ? index : ''}`).sort(),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('is one however far one end is ahead of the other', () => {
    const { client, server, messages, analyzer } = twice();
    const [asked, heard] = [client.send('GET'), server.send('GET')];
    for (const end of [heard, asked]) end.stream();
    const say = (end: typeof asked, data: number) =>
      end.event(notification('notifications/message', { data }));
    for (let data = 0; data < 5000; data++) say(heard, data);
    for (let data = 0; data < 7000; data++) say(asked, data);
    for (let data = 5000; data < 8000; data++) say(heard, data);
    assert.equal(messages().length, 8000);
    assert.equal(analyzer.repeats.bothEnds, 7000);
  });

  test('is one in a compressed event stream, of which each end knows other places', () => {
    const { client, server, messages } = twice();
    const [asked, heard] = [client.send('GET'), server.send('GET')];
    const events = Array.from({ length: 50 }, (_, data) => notification('notifications/message', { data }));
    for (const end of [heard, asked]) end.stream({ 'content-encoding': 'gzip' });
    for (const each of events.slice(0, 30)) heard.event(each);
    // As where several come in one piece.
    for (const each of events) {
      asked.event(each);
      client.advance('response', 7);
    }
    for (const each of events.slice(30)) heard.event(each);
    assert.equal(messages().length, 50);
  });

  test('is one of several exchanges that each end completes in its own order', () => {
    const turns = fc.array(fc.tuple(fc.constantFrom('client' as const, 'server' as const), fc.nat(3)), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(turns, (order) => {
        const own = scene();
        const version = '2' as const;
        const ends = {
          client: own.connect({ ...AT_CLIENT, version }),
          server: own.connect({ ...AT_SERVER, version }),
        };
        const exchanges = {
          client: [0, 1, 2, 3].map((id) => ends.client.post(request(id, 'tools/call', { name: 'x' }))),
          server: [0, 1, 2, 3].map((id) => ends.server.post(request(id, 'tools/call', { name: 'x' }))),
        };
        for (const all of Object.values(exchanges)) for (const each of all) each.stream();
        const told = { client: [0, 0, 0, 0], server: [0, 0, 0, 0] };
        const tell = (end: 'client' | 'server', id: number) => {
          const index = told[end][id] ?? 0;
          if (index === 5) return;
          told[end][id] = index + 1;
          const message =
            index < 4 ? notification('notifications/progress', { id, index }) : result(id, { text: 'done' });
          // The place of its first byte is the same at both ends, whatever else has come by then.
          exchanges[end][id]?.eventAt(1000 + id * 100 + index, message);
        };
        for (const [end, id] of order) tell(end, id);
        for (const end of ['server', 'client'] as const)
          for (const id of [0, 1, 2, 3]) for (let index = 0; index < 5; index++) tell(end, id);
        assert.equal(own.messages().length, 4 + 4 * 5);
        const answers = own.messages().filter(({ type }) => type === 'response');
        assert.ok(answers.every(({ status }) => status === 'ok'));
      }),
      { numRuns: 100 },
    );
  });

  test('is one, too, when it is no JSON', () => {
    const { client, server, invalids } = twice();
    const headers = { 'mcp-session-id': 'a session', 'content-type': 'application/json' };
    const ends = [client, server].map((end) => {
      const own = end.exchange();
      own.ask('POST', { headers });
      own.end('request', 'complete', 'no JSON');
      own.stream();
      own.plain('message', 'nor is this');
      return own;
    });
    for (const end of ends) end.end('response');
    assert.deepEqual(
      invalids().map(({ raw }) => raw),
      ['no JSON', 'nor is this'],
    );
  });

  test('ends once', () => {
    const { client, server, https } = twice();
    const [asked, heard] = [client.post(INITIALIZE), server.post(INITIALIZE)];
    heard.page(401, 'no');
    asked.page(401, 'no');
    assert.equal(https().length, 1);
  });
});

describe('two connections are not one', () => {
  const both = (one: object, other: object) => {
    const { connect, messages } = scene();
    for (const wiring of [one, other]) connect(wiring).post(request(1, 'tools/list'));
    return messages().length;
  };

  test('when they have other addresses, or these are not known', () => {
    const elsewhere = { ...AT_SERVER, clientAt: { ip: '127.0.0.1', port: 40001 } };
    assert.equal(both(AT_CLIENT, AT_SERVER), 1);
    assert.equal(both(AT_CLIENT, elsewhere), 2);
    assert.equal(both({ ...AT_CLIENT, clientAt: undefined }, AT_SERVER), 2);
    const { carrier, tls } = TLS;
    assert.equal(both({ carrier, tls, server: undefined }, { carrier, tls, client: undefined }), 2);
  });

  test('when they are clear text, which is read once', () => {
    const clear = { ...AT, carrier: 'tcp' };
    assert.equal(both({ ...clear, server: undefined }, { ...clear, client: undefined }), 2);
  });

  test('when the same end is seen, or other processes are at it', () => {
    assert.equal(both(AT_CLIENT, AT_CLIENT), 2);
    assert.equal(both(TLS, { ...AT_SERVER, server: { pid: 99, comm: 'x' } }), 2);
    assert.equal(both(TLS, AT_SERVER), 1);
  });

  test('when the port has been used again: another TCP stream carries it', () => {
    const { connect, messages } = scene();
    const tcp = connect({ ...AT_CLIENT, carriedBy: 100 });
    tcp.post(request(1, 'tools/list')).respond(200, result(1));
    tcp.close();
    const again = connect({ ...AT_SERVER, carriedBy: 102 }).post(request(1, 'tools/list'));
    assert.equal(messages().length, 3);
    // Its own other end is found.
    connect({ ...AT_CLIENT, carriedBy: 102 })
      .post(request(1, 'tools/list'))
      .respond(200, result(1));
    again.respond(200, result(1));
    assert.equal(messages().length, 4);
  });

  test('when they are not MCP: each is given up for itself', () => {
    const { connect, control, events } = scene();
    for (const wiring of [AT_CLIENT, AT_SERVER]) connect(wiring).post({ no: 'JSON-RPC' });
    assert.deepEqual(control, ['stop exchange 1', 'stop exchange 2']);
    assert.deepEqual(events, []);
  });
});

describe('a connection inside TLS that was joined in the middle', () => {
  const tick = (data: unknown) => notification('notifications/message', { data });

  test('at both ends, at different places: every event of a stream older than that is told once', () => {
    const step = fc.constantFrom('client' as const, 'server' as const);
    const joins = fc.record({ client: fc.nat(4), server: fc.nat(4) });
    fc.assert(
      fc.property(joins, fc.array(step, { maxLength: 60 }), (from, order) => {
        const { connect, messages } = scene();
        const events = Array.from({ length: 30 }, (_, index) => tick(index));
        const open = (wiring: object, begin: number) => {
          const own = connect({ ...wiring, joined: true, begin }).exchange();
          own.stream();
          return own;
        };
        const ends = {
          client: open({ ...TLS, seenAt: 'client' }, 40),
          server: open({ ...TLS, seenAt: 'server' }, 7),
        };
        const told = { ...from };
        const tell = (end: 'client' | 'server') => {
          const event = events[told[end]++];
          if (event) ends[end].event(event);
        };
        for (const end of order) tell(end);
        for (const _ of events) for (const end of ['client', 'server'] as const) tell(end);
        const seen = messages().map(({ params }) => JSON.parse(params ?? '').data);
        assert.deepEqual(
          seen.sort((a, b) => a - b),
          events.map((_, index) => index).slice(Math.min(from.client, from.server)),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('once some messages have told how far apart the ends count, one may be ahead as far as it likes', () => {
    const { connect, messages } = scene();
    const [heard, asked] = [
      connect({ ...TLS, seenAt: 'server', joined: true, begin: 5 }).exchange(),
      connect({ ...TLS, seenAt: 'client', joined: true }).exchange(),
    ];
    for (const end of [heard, asked]) end.stream();
    for (let data = 0; data < 10; data++) for (const end of [heard, asked]) end.event(tick(data));
    for (let data = 10; data < 4000; data++) heard.event(tick(data));
    for (let data = 10; data < 4000; data++) asked.event(tick(data));
    assert.equal(messages().length, 4000);
  });

  test('at one end, behind the request: the answer is told once, as its answer', () => {
    for (const joined of [AT_CLIENT, AT_SERVER]) {
      const { connect, messages } = scene();
      const whole = connect(joined === AT_CLIENT ? AT_SERVER : AT_CLIENT).post(request(1, 'tools/list'));
      whole.respond(200, result(1));
      const rest = connect({ ...joined, joined: true, begin: 3 }).exchange();
      rest.respond(200, result(1));
      assert.deepEqual(
        messages().map(({ status }) => status),
        ['pending', 'ok'],
      );
    }
  });

  test('at one end, so that its headers are unknown there: is told for the other end, which has all of them, unless that has lost something', () => {
    for (const lossy of [false, true]) {
      const { connect, messages } = scene();
      const whole = connect(AT_SERVER);
      const rest = connect({ ...AT_CLIENT, joined: true, begin: 3 });
      const first = whole.post(request(1, 'tools/list'));
      first.respond(200, result(1));
      if (lossy) whole.gap('request');
      const asked = rest.post(request(2, 'tools/list'), { cut: true });
      if (!lossy) {
        assert.equal(messages().length, 2);
        const heard = whole.post(request(2, 'tools/list'));
        asked.respond(200, result(2));
        heard.respond(200, result(2));
      }
      assert.deepEqual(
        messages().map(({ id, status, http }) => [Number(id?.text), status, http?.host]),
        [
          [1, 'pending', 'localhost:3000'],
          [1, 'ok', 'localhost:3000'],
          [2, 'pending', lossy ? undefined : 'localhost:3000'],
          ...(lossy ? [] : [[2, 'ok', 'localhost:3000']]),
        ],
      );
    }
  });

  test('at one end, while it read the request: its answer is told for the other end, which has both', () => {
    const { connect, messages } = scene();
    const client = connect({ ...TLS, seenAt: 'client', joined: true });
    const server = connect({ ...TLS, seenAt: 'server', joined: true, begin: 9 });
    for (const id of [1, 2]) {
      const asked = client.post(request(id, 'tools/call', { name: 'x' }));
      const heard = id === 1 ? server.exchange() : server.post(request(id, 'tools/call', { name: 'x' }));
      heard.respond(200, result(id, { content: [] }));
      asked.respond(200, result(id, { content: [] }));
    }
    assert.deepEqual(
      messages().map(({ id, status }) => `${id?.text} ${status}`),
      ['1 pending', '1 ok', '2 pending', '2 ok'],
    );
  });

  test('or that missed a call without a word is told by what it says', () => {
    const { client, server, messages } = twice();
    server.advance('request', 50);
    server.advance('response', 70);
    for (const id of [1, 2, 3]) {
      const [asked, heard] = [client.post(request(id, 'tools/list')), server.post(request(id, 'tools/list'))];
      heard.respond(200, result(id));
      asked.respond(200, result(id));
    }
    assert.equal(messages().length, 6);
  });

  test('whose requests are told by both ends tells them once', () => {
    const { connect, messages } = scene();
    const client = connect({ ...AT_CLIENT, joined: true, begin: 12 });
    const server = connect({ ...AT_SERVER, begin: 0 });
    for (const id of [1, 2, 3]) {
      const [asked, heard] = [client.post(request(id, 'tools/list')), server.post(request(id, 'tools/list'))];
      heard.respond(200, result(id));
      asked.respond(200, result(id));
    }
    assert.equal(messages().length, 6);
  });
});

describe('a TLS end of which no connection is known', () => {
  const UNTIED = { carrier: 'tls', tls: 'OpenSSL' } as const;
  const tick = (data: unknown) => notification('notifications/message', { data });

  test('because it only reads, is known by the processes and by what it says', () => {
    const { connect, messages } = scene();
    // Two connections between the same two, which carry the same.
    const heard = [100, 102].map((carriedBy) =>
      connect({ ...TLS, seenAt: 'server', carriedBy, joined: true }).exchange(),
    );
    const asked = [1, 2].map(() => connect({ ...UNTIED, server: undefined, joined: true }).exchange());
    for (const each of [...heard, ...asked]) each.stream();
    for (let data = 0; data < 20; data++) for (const each of [...heard, ...asked]) each.event(tick(data));
    assert.equal(messages().length, 40);
  });

  test('until it writes again, is the same end before and after', () => {
    const { connect, messages } = scene();
    const client = connect({ ...UNTIED, server: undefined });
    const asked = client.post(request(1, 'tools/list'));
    // The server's end knows the connection, and by it who is at the other end.
    const server = connect({ ...TLS, seenAt: 'server', carriedBy: 100 });
    const heard = server.post(request(1, 'tools/list'));
    heard.respond(200, result(1));
    client.tie(100, AT);
    asked.respond(200, result(1));
    const [later, there] = [client.post(request(2, 'tools/list')), server.post(request(2, 'tools/list'))];
    there.respond(200, result(2));
    later.respond(200, result(2));
    assert.equal(messages().length, 4);
  });

  test('is known by what it says, too, where neither end knows, if TLS runs between the processes', () => {
    for (const connected of [true, false]) {
      const encrypts = (client: number, server: number) =>
        connected && client === CLIENT.pid && server === SERVER.pid;
      const { connect, messages } = scene({ control: { encrypts } });
      const client = connect({ ...UNTIED, server: undefined });
      const server = connect({ ...UNTIED, client: undefined });
      const asked = client.post(request(1, 'tools/list'));
      const heard = server.post(request(1, 'tools/list'));
      for (const end of [client, server]) end.tie(100, AT);
      heard.respond(200, result(1));
      asked.respond(200, result(1));
      assert.equal(messages().length, connected ? 2 : 3);
    }
  });

  test('is not the other end of what other processes say', () => {
    const { connect, messages } = scene();
    connect({ ...UNTIED, client: { pid: 77, comm: 'x' }, server: undefined }).post(request(1, 'tools/list'));
    connect({ ...TLS, seenAt: 'server', carriedBy: 100 }).post(request(1, 'tools/list'));
    connect({ ...UNTIED, client: undefined, server: { pid: 78, comm: 'y' } }).post(request(1, 'tools/list'));
    assert.equal(messages().length, 3);
  });
});
