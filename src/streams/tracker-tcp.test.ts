// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AWAY,
  announceTcp,
  answers,
  back,
  CLIENT,
  connectedTcp,
  LATER,
  LOOPBACK,
  MS,
  ok,
  post,
  replies,
  result,
  rpc,
  SECOND,
  SERVER,
  type Tracking,
  tracking,
} from '../../test/support/tracking.ts';
import type { Holder } from '../sensor/messages.ts';

/** How the messages of each exchange ended: `#1 request complete`. */
function ends({ steps }: Tracking): string[] {
  return steps().flatMap(({ step, exchange, side }) =>
    step.type === 'end' ? [`#${exchange.id} ${side} ${step.how}`] : [],
  );
}

describe('the two directions of a TCP connection', () => {
  test('are one socket, whichever of them is announced first', () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const tracked = tracking();
      const { tracker, announce, data, frames, texts } = tracked;
      const addresses = { 1: AWAY, 2: back(AWAY) };
      announce(first, { carrier: 'tcp', addresses: addresses[first] });
      announce(second, { carrier: 'tcp', addresses: addresses[second], pair: first });
      data(1, post(rpc(1)), 1 * MS);
      data(2, ok(result(1)), 2 * MS);
      tracker.settled(2 * MS + LATER);
      assert.deepEqual(texts(), [rpc(1), result(1)]);
      const [request, response] = frames();
      assert.ok(request?.http && request.http.exchange === response?.http?.exchange);
      assert.equal(request.http.exchange.requests?.id, 1);
      assert.equal(request.http.exchange.responses?.id, 2);
      assert.deepEqual(request.stream.source, AWAY.source);
      assert.deepEqual(response.stream.source, AWAY.destination);
    }
  });

  test('are found to be, also when the second one appears only with its first bytes', () => {
    const { tracker, announce, data, frames } = tracking();
    announce(1, { carrier: 'tcp', addresses: AWAY });
    data(1, post(rpc(1)), 1 * MS);
    announce(2, { carrier: 'tcp', addresses: back(AWAY), pair: 1 });
    data(2, ok(result(1)), 2 * MS);
    tracker.settled(2 * MS + LATER);
    const [request, response] = frames();
    assert.ok(request?.http && request.http.exchange === response?.http?.exchange);
    assert.equal(response.http.exchange.responses?.id, 2);
  });

  test('are found to be, also when the first one was not used for long', () => {
    const { tracker, announce, data, frames } = tracking();
    announce(1, { carrier: 'tcp', addresses: AWAY });
    tracker.settled(60 * SECOND);
    announce(2, { carrier: 'tcp', addresses: back(AWAY), pair: 1, time: 61 * SECOND });
    data(1, post(rpc(1)), 61 * SECOND);
    data(2, ok(result(1)), 62 * SECOND);
    tracker.settled(63 * SECOND);
    const [request, response] = frames();
    assert.ok(request?.http && request.http.exchange === response?.http?.exchange);
  });

  test('are the same when the kernel has forgotten them and numbers them anew', () => {
    const { tracker, announce, data, frames, gaps } = connectedTcp(1);
    data(1, post(rpc(1)), 1 * MS);
    data(2, ok(result(1)), 2 * MS, { pid: SERVER.pid });
    announce(11, { carrier: 'tcp', addresses: LOOPBACK, inode: 0, joined: true });
    announce(12, { carrier: 'tcp', addresses: back(LOOPBACK), inode: 0, joined: true, pair: 11 });
    data(11, post(rpc(2)), 11 * MS);
    data(12, ok(result(2)), 12 * MS, { pid: SERVER.pid });
    tracker.settled(SECOND);
    assert.deepEqual(
      frames().map(({ stream, http }) => [stream.id, http?.exchange.id, http?.exchange.connection]),
      [
        [1, 1, 1],
        [2, 1, 1],
        [1, 2, 1],
        [2, 2, 1],
      ],
    );
    assert.deepEqual(gaps(), []);
  });

  test('are not a new one and that of an older connection which has its own', () => {
    const { tracker, announce, data, frames } = tracking();
    announceTcp({ announce }, 1, AWAY);
    data(1, post(rpc(1)), 1 * MS);
    announce(3, { carrier: 'tcp', addresses: back(AWAY), pair: 1 });
    data(3, ok(result(1)), 2 * MS);
    data(2, ok(result(1)), 3 * MS);
    tracker.settled(3 * MS + LATER);
    const [request, stranger, response] = frames();
    assert.equal(stranger?.http?.exchange.request, undefined);
    assert.notEqual(stranger?.http?.exchange.connection, request?.http?.exchange.connection);
    assert.equal(response?.http?.exchange, request?.http?.exchange);
  });

  test('carry exchanges whose numbers no other connection has', () => {
    const { tracker, announce, data, frames } = tracking();
    announceTcp({ announce }, 1, AWAY);
    announceTcp({ announce }, 3, { ...AWAY, source: { ip: '192.0.2.1', port: 40001 } });
    for (const [turn, stream] of [1, 3, 1, 3].entries()) {
      data(stream, post(rpc(turn)), turn * 10 * MS);
      data(stream + 1, ok(result(turn)), turn * 10 * MS + 1 * MS);
    }
    tracker.settled(SECOND);
    const exchanges = [...new Set(frames().map(({ http }) => http?.exchange))];
    assert.deepEqual(
      exchanges.map((exchange) => [exchange?.connection, exchange?.id]),
      [
        [1, 1],
        [2, 2],
        [1, 3],
        [2, 4],
      ],
    );
  });
});

describe('what HTTP says', () => {
  test('goes in time order with the frames of other streams, and in its own order', () => {
    const { tracker, announce, endpoint, data, kinds, items } = connectedTcp(1);
    announce(9);
    endpoint(9, CLIENT.pid, false);
    endpoint(9, SERVER.pid, true);
    data(2, ok(result(1)), 30 * MS, { pid: SERVER.pid });
    data(9, `${rpc(9)}\n`, 20 * MS);
    data(1, post(rpc(1)), 10 * MS);
    data(9, `${rpc(9)}\n`, 40 * MS);
    tracker.settled(40 * MS + LATER);
    assert.deepEqual(kinds(), [
      'http 1',
      'frame 1',
      'http 1',
      'frame 9',
      'http 2',
      'frame 2',
      'http 2',
      'frame 9',
    ]);
    assert.deepEqual(
      items.map(({ time }) => time / MS),
      [10, 10, 10, 20, 30, 30, 30, 40],
    );
  });

  test('names who said it and who heard it', () => {
    const { tracker, data, who, steps } = connectedTcp(1);
    data(1, post(rpc(1)), 1 * MS);
    data(2, ok(result(1)), 2 * MS, { pid: SERVER.pid });
    tracker.settled(2 * MS + LATER);
    assert.deepEqual(who(), ['client>server', 'server>client']);
    assert.deepEqual(
      steps().map(({ side, step, from }) => `${side} ${step.type} ${from?.comm}`),
      ['request head client', 'request end client', 'response head server', 'response end server'],
    );
  });

  test('names who heard it, also when something comes after that one has ended', async () => {
    const { tracker, data, exit, eof, who } = connectedTcp(1);
    data(2, ok(result(1)), 1 * MS, { pid: SERVER.pid });
    exit(CLIENT.pid, 2 * MS);
    data(2, ok(result(2)), 3 * MS, { pid: SERVER.pid });
    eof(2, 4 * MS);
    await answers();
    tracker.settled(SECOND);
    assert.deepEqual(who(), ['server>client', 'server>?']);
  });

  test('in a connection joined in the middle begins with its next message', () => {
    const tracked = tracking();
    const { tracker, data, texts, gaps, verdicts } = tracked;
    announceTcp(tracked, 1, AWAY, { joined: true });
    data(2, 'sult":{}}', 1 * MS);
    data(1, post(rpc(2)), 2 * MS);
    data(2, ok(result(2)), 3 * MS);
    tracker.settled(3 * MS + LATER);
    assert.deepEqual(texts(), [rpc(2), result(2)]);
    assert.deepEqual([gaps(), verdicts], [[], []]);
  });
});

describe('a frame over TCP on this machine', () => {
  const outside: Holder = { pid: 300, comm: 'outside', fd: 6, inScope: false };
  const query = { carrier: 'tcp', near: CLIENT.pid, local: LOOPBACK.destination, remote: LOOPBACK.source };

  /** A request whose reader is not known. `holders`: the sensor's answers, one after another. */
  function waiting(t: TestContext, ...holders: Holder[][]) {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const tracked = tracking({ holders: () => holders.shift() ?? [] });
    announceTcp(tracked, 1);
    tracked.endpoint(1, CLIENT.pid, false);
    tracked.data(1, post(rpc(1)), 1 * MS);
    const pass = async (milliseconds: number) => {
      for (let passed = 0; passed < milliseconds; passed += 10) {
        await replies();
        t.mock.timers.tick(10);
      }
      await replies();
    };
    return { ...tracked, pass };
  }

  test('waits for its reader, and asks the sensor for the socket that has the addresses', async (t) => {
    const { tracker, endpoint, asked, who, pass } = waiting(t);
    await pass(60);
    assert.equal(tracker.settled(60 * MS), true);
    assert.deepEqual([who(), asked], [[], [query]]);
    endpoint(1, SERVER.pid, true, 70 * MS);
    await pass(50);
    tracker.settled(120 * MS);
    assert.deepEqual(who(), ['client>server']);
  });

  test('has a moment to be read by a process in scope: then nobody is asked', async (t) => {
    const { tracker, endpoint, asked, who, pass } = waiting(t);
    await pass(40);
    endpoint(1, SERVER.pid, true, 40 * MS);
    await pass(100);
    tracker.settled(140 * MS);
    assert.deepEqual([who(), asked], [['client>server'], []]);
  });

  test('asks for its writer when it is the reader that was seen', async () => {
    const tracked = tracking({ holders: () => [outside] });
    const { tracker, data, asked, who } = tracked;
    announceTcp(tracked, 1);
    data(1, post(rpc(1)), 1 * MS, { fromReader: true, pid: SERVER.pid, fd: 6 });
    await answers();
    tracker.settled(10 * MS);
    assert.deepEqual(asked, [
      { carrier: 'tcp', near: SERVER.pid, local: LOOPBACK.source, remote: LOOPBACK.destination },
    ]);
    assert.deepEqual(who(), ['outside>server']);
  });

  test('is read by the process that has accepted the connection, also if that one is watched', async (t) => {
    const { tracker, who, pass } = waiting(t, [{ ...outside, inScope: true }]);
    await pass(60);
    tracker.settled(60 * MS);
    assert.deepEqual(who(), ['client>outside']);
  });

  test('asks again while the connection waits to be accepted', async (t) => {
    const { tracker, asked, who, pass } = waiting(t, [], [], [outside]);
    await pass(110);
    tracker.settled(110 * MS);
    assert.deepEqual(who(), []);
    await pass(60);
    tracker.settled(170 * MS);
    assert.deepEqual(who(), ['client>outside']);
    assert.deepEqual(asked, [query, query, query]);
  });

  test('waits no longer than two seconds, nor asks for much longer', async (t) => {
    const { tracker, asked, who, pass } = waiting(t);
    tracker.settled(2 * SECOND);
    assert.deepEqual(who(), []);
    tracker.settled(2 * SECOND + 2 * MS);
    assert.deepEqual(who(), ['client>?']);
    await pass(2500);
    const after = asked.length;
    await pass(1000);
    assert.ok(after > 20 && after < 60, `asked ${after} times`);
    assert.equal(asked.length, after);
  });

  test('does not wait, nor ask, once the connection has ended', async (t) => {
    const { tracker, eof, asked, who, pass } = waiting(t);
    eof(1, 2 * MS);
    await pass(10);
    tracker.settled(10 * MS);
    assert.deepEqual(who(), ['client>?']);
    await pass(1000);
    assert.equal(asked.length, 1);
  });

  test('is not read by the one who wrote it, though it may hold both ends', async (t) => {
    const { tracker, who, pass } = waiting(t, [{ ...outside, pid: CLIENT.pid }, outside]);
    await pass(60);
    tracker.settled(60 * MS);
    assert.deepEqual(who(), ['client>outside']);
  });
});

describe('a frame from or to another machine', () => {
  test('waits for nobody and asks for nobody', () => {
    const tracked = tracking();
    const { tracker, endpoint, data, asked, who } = tracked;
    announceTcp(tracked, 1, AWAY);
    endpoint(1, CLIENT.pid, false);
    endpoint(2, CLIENT.pid, true);
    data(1, post(rpc(1)), 1 * MS);
    data(2, ok(result(1)), 2 * MS, { fromReader: true });
    assert.equal(tracker.settled(2 * MS + LATER), false);
    assert.deepEqual(who(), ['client>?', '?>client']);
    assert.deepEqual(asked, []);
  });
});

describe('the other end of a TCP connection on this machine', () => {
  const { source, destination } = LOOPBACK;
  const gone = { pid: 300, comm: 'gone', exe: '/bin/gone', argv: ['gone'] };
  /** Milliseconds. */
  const YOUNG = 20;

  test('is looked for when it begins, once, and named when it is gone by the first message', async () => {
    const { tracker, announce, endpoint, data, connections, who } = tracking();
    announceTcp({ announce }, 1);
    endpoint(1, CLIENT.pid, false);
    await sleep(YOUNG);
    assert.deepEqual(connections, [{ near: CLIENT.pid, addresses: LOOPBACK }]);
    tracker.held([{ local: destination, remote: source, process: gone }]);
    data(1, post(rpc(1)), 1 * MS);
    data(2, ok(result(1)), 2 * MS, { fromReader: true });
    await answers();
    // Not the two seconds for which somebody is waited for who may yet come.
    tracker.settled(3 * MS + LATER);
    assert.deepEqual(who(), ['client>gone', 'gone>client']);
  });

  test('is who called there, whoever held it before', () => {
    const { tracker, data, who } = connectedTcp(1);
    tracker.held([{ local: destination, remote: source, process: gone }]);
    data(1, post(rpc(1)), 1 * MS);
    tracker.settled(SECOND);
    assert.deepEqual(who(), ['client>server']);
  });

  test('is not looked for when both ends are seen, nor on another machine', async () => {
    const local = connectedTcp(1);
    const away = tracking();
    announceTcp(away, 1, AWAY);
    away.endpoint(1, CLIENT.pid, false);
    await sleep(YOUNG);
    assert.deepEqual([local.connections, away.connections], [[], []]);
  });

  test('is not who had the same addresses in an older connection', async () => {
    const { tracker, announce, endpoint, data, eof, who } = tracking();
    tracker.held([{ local: destination, remote: source, process: gone }]);
    announceTcp({ announce }, 1);
    endpoint(1, CLIENT.pid, false);
    data(1, post(rpc(1)), 1 * MS);
    eof(1, 2 * MS);
    await answers();
    tracker.settled(SECOND);
    assert.deepEqual(who(), ['client>?']);
  });
});

describe('a TCP connection that speaks', () => {
  /** The first 11 bytes of a ClientHello, and of what a server says. */
  const hello = Buffer.from('160301020001000201fc0303', 'hex');

  test('TLS is not copied in either direction, for good', () => {
    for (const first of [1, 2]) {
      const { data, verdicts } = connectedTcp(1);
      data(first, hello, 1 * MS);
      data(first, Buffer.alloc(1000), 2 * MS);
      data(first === 1 ? 2 : 1, hello, 3 * MS);
      assert.deepEqual(verdicts.toSorted(), ['stop 1', 'stop 2']);
    }
  });

  test('something unknown is not copied in either direction, for good', () => {
    const { tracker, data, verdicts, items } = connectedTcp(1);
    data(2, 'SSH-2.0-OpenSSH_9.9\r\n', 1 * MS);
    data(1, 'SSH-2.0-OpenSSH_9.9\r\n', 2 * MS);
    tracker.finish(3 * MS);
    assert.deepEqual(verdicts.toSorted(), ['stop 1', 'stop 2']);
    assert.deepEqual(items, []);
    assert.deepEqual(tracker.encrypted.undecoded(), []);
  });

  test('neither is not copied in a direction that appears only after that was known', () => {
    for (const said of [hello, 'SSH-2.0-OpenSSH_9.9\r\n']) {
      const { tracker, announce, endpoint, data, verdicts } = tracking();
      announce(1, { carrier: 'tcp', addresses: AWAY });
      endpoint(1, CLIENT.pid, false);
      data(1, said, 1 * MS);
      announce(2, { carrier: 'tcp', addresses: back(AWAY), pair: 1 });
      endpoint(2, CLIENT.pid, true);
      assert.deepEqual(verdicts, ['stop 1', 'stop 2']);
      assert.ok(tracker.encrypted.undecoded().every(({ connections }) => connections === 1));
    }
  });

  test('TLS is counted once for each process, though they take turns at one end', () => {
    const tracked = tracking();
    const { tracker, endpoint, data } = tracked;
    announceTcp(tracked, 1, AWAY);
    endpoint(1, CLIENT.pid, false);
    data(1, hello, 1 * MS);
    for (let turn = 2; turn < 6; turn++) endpoint(1, turn % 2 ? CLIENT.pid : SERVER.pid, false, turn * MS);
    assert.deepEqual(
      tracker.encrypted.undecoded().map(({ process, connections }) => [process.pid, connections]),
      [
        [CLIENT.pid, 1],
        [SERVER.pid, 1],
      ],
    );
  });

  test('TLS is counted for both processes, also for one that is seen later', () => {
    const tracked = tracking();
    const { tracker, endpoint, data } = tracked;
    announceTcp(tracked, 1);
    endpoint(1, CLIENT.pid, false);
    data(1, hello, 1 * MS);
    endpoint(1, SERVER.pid, true, 2 * MS);
    endpoint(2, SERVER.pid, false, 3 * MS);
    endpoint(2, CLIENT.pid, true, 3 * MS);
    assert.deepEqual(
      tracker.encrypted.undecoded().map(({ process, connections }) => [process.pid, connections]),
      [
        [CLIENT.pid, 1],
        [SERVER.pid, 1],
      ],
    );
  });

  test('HTTP and then something unknown is not copied any more, also if only its answers were seen', () => {
    const { announce, data, verdicts } = tracking();
    announce(2, { carrier: 'tcp', addresses: back(AWAY) });
    data(2, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n', 1 * MS);
    assert.deepEqual(verdicts, ['stop 2']);
  });

  test('TLS is not copied either when its process turns out to be a server', () => {
    const { tracker, data, verdicts } = connectedTcp(1);
    data(1, hello, 1 * MS);
    tracker.keepFrom(CLIENT.pid);
    tracker.keep(2);
    assert.deepEqual(verdicts.toSorted(), ['stop 1', 'stop 2']);
  });

  test('HTTP and then something unknown is not copied any more', () => {
    const { data, verdicts } = connectedTcp(1);
    data(1, 'CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n', 1 * MS);
    data(2, 'HTTP/1.1 200 OK\r\n\r\n', 2 * MS, { pid: SERVER.pid });
    assert.deepEqual(verdicts.toSorted(), ['stop 1', 'stop 2']);
  });
});

describe('a large answer that nobody wants', () => {
  const BODY = 200_000;

  /** One is being sent, and has just been stopped. */
  function unwanted() {
    const tracked = connectedTcp(1);
    const { tracker, data, frames, steps } = tracked;
    data(1, 'GET /large HTTP/1.1\r\nHost: h\r\n\r\n', 1 * MS);
    data(2, `HTTP/1.1 200 OK\r\nContent-Length: ${BODY}\r\n\r\n`, 2 * MS, { pid: SERVER.pid });
    tracker.settled(2 * MS + LATER);
    const exchange = steps()[0]?.exchange;
    assert.ok(exchange);
    tracker.skipExchange(2, exchange);
    data(2, 'x'.repeat(20_000), 10 * MS, { pid: SERVER.pid });
    assert.deepEqual(frames(), []);
    return tracked;
  }

  test('is not copied until the next message begins; the other direction is', () => {
    assert.deepEqual(unwanted().verdicts, ['stop 2 until http1-head']);
  });

  test('is no loss, and the next exchange on its connection is complete', () => {
    const tracked = unwanted();
    const { tracker, data, texts, gaps, verdicts } = tracked;
    data(1, post(rpc(2)), 20 * MS);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY}\r\n\r\n`;
    const response = ok(result(2));
    const more = { offset: head.length + BODY, resumed: true, pid: SERVER.pid };
    data(2, response.slice(0, 30), 21 * MS, more);
    data(2, response.slice(30), 22 * MS, { pid: SERVER.pid });
    tracker.settled(22 * MS + LATER);
    assert.deepEqual(texts(), [rpc(2), result(2)]);
    assert.deepEqual(gaps(), []);
    assert.deepEqual(verdicts, ['stop 2 until http1-head']);
    assert.deepEqual(ends(tracked), [
      '#1 request complete',
      '#2 request complete',
      // What was not copied shows its end only when something follows.
      '#1 response complete',
      '#2 response complete',
    ]);
  });

  test('does not hide the next message that was copied before the kernel knew', () => {
    const { tracker, data, texts, gaps, verdicts } = unwanted();
    data(2, 'x'.repeat(BODY - 20_000), 11 * MS, { pid: SERVER.pid });
    data(1, post(rpc(2)), 12 * MS);
    data(2, ok(result(2)), 13 * MS, { pid: SERVER.pid });
    tracker.settled(13 * MS + LATER);
    assert.deepEqual(texts(), [rpc(2), result(2)]);
    assert.deepEqual(gaps(), []);
    assert.deepEqual(verdicts, ['stop 2 until http1-head', 'resume 2']);
  });

  test('is not mistaken for the next message by what a piece of it, or a word in it, begins with', () => {
    const { data, verdicts } = unwanted();
    const server = { pid: SERVER.pid };
    data(2, 'x'.repeat(30_000), 11 * MS, server);
    data(2, 'GET is the first word of the second piece of that call', 11 * MS, server);
    data(2, 'HTTP is another word', 12 * MS, server);
    data(2, 'NO method', 13 * MS, server);
    assert.deepEqual(verdicts, ['stop 2 until http1-head']);
  });

  test('is not copied until then either when the kernel numbers its stream anew', () => {
    const { announce, verdicts } = unwanted();
    announce(22, { carrier: 'tcp', addresses: back(LOOPBACK), inode: 0, joined: true });
    assert.deepEqual(verdicts, ['stop 2 until http1-head', 'stop 22 until http1-head']);
  });

  test('is stopped again when the copying went on too early', () => {
    const { data, verdicts } = unwanted();
    data(2, 'HTTP/1.1 is what this text is about', 20 * MS, { offset: 100_000, resumed: true });
    assert.deepEqual(verdicts, ['stop 2 until http1-head', 'stop 2 until http1-head']);
  });
});

describe('a loss in an HTTP stream', () => {
  test('is told as a gap, and the next exchange is intact', () => {
    const tracked = connectedTcp(1);
    const { tracker, data, gap, texts, gaps } = tracked;
    data(1, post(rpc(1)), 1 * MS);
    data(2, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"jsonrpc"', 2 * MS, { pid: SERVER.pid });
    gap(2, 500, 3 * MS);
    data(1, post(rpc(2)), 10 * MS);
    data(2, ok(result(2)), 11 * MS, { pid: SERVER.pid });
    tracker.settled(SECOND);
    assert.deepEqual(texts(), [rpc(1), 'incomplete', rpc(2), result(2)]);
    assert.deepEqual(
      gaps().map(({ stream, bytes, cause, frames, from, to }) => [
        stream.id,
        bytes,
        cause,
        frames,
        from?.comm,
        to?.comm,
      ]),
      [[2, 500, 'ring-full', undefined, 'server', 'client']],
    );
  });

  test('is in time order with what came before and after it', () => {
    const { tracker, data, gap, kinds } = connectedTcp(1);
    data(1, post(rpc(1)), 1 * MS);
    gap(2, 500, 2 * MS);
    data(2, ok(result(1)), 3 * MS, { pid: SERVER.pid });
    data(1, post(rpc(2)), 4 * MS);
    tracker.settled(SECOND);
    const order = kinds().filter((kind) => kind !== 'http 1' && kind !== 'http 2');
    assert.deepEqual(order, ['frame 1', 'gap 2', 'frame 2', 'frame 1']);
  });
});

describe('an exchange', () => {
  test('is over in the direction that ends, and goes on in the other', () => {
    const tracked = connectedTcp(1);
    const { tracker, data, eof, texts } = tracked;
    data(1, post(rpc(1)), 1 * MS);
    eof(1, 2 * MS);
    tracker.settled(2 * MS + LATER);
    assert.deepEqual(ends(tracked), ['#1 request complete']);
    data(2, ok(result(1)), 20 * MS, { pid: SERVER.pid });
    tracker.settled(20 * MS + LATER);
    assert.deepEqual(texts(), [rpc(1), result(1)]);
    assert.deepEqual(ends(tracked), ['#1 request complete', '#1 response complete']);
  });

  test('whose response is cut off by the end of the connection has been closed, and so has one without any', () => {
    const tracked = connectedTcp(1);
    const { tracker, data, eof, kinds } = tracked;
    data(1, post(rpc(1)) + post(rpc(2)), 1 * MS);
    data(2, ok(result(1)).slice(0, -3), 2 * MS, { pid: SERVER.pid });
    eof(2, 3 * MS);
    tracker.settled(3 * MS + LATER);
    assert.deepEqual(ends(tracked), [
      '#1 request complete',
      '#2 request complete',
      '#1 response closed',
      '#2 response closed',
    ]);
    assert.equal(kinds().at(-1), 'end 2');
  });

  test('whose response lasts until the connection is closed is complete then', () => {
    const tracked = connectedTcp(1);
    const { tracker, data, eof, texts } = tracked;
    data(1, post(rpc(1)), 1 * MS);
    data(2, `HTTP/1.0 200 OK\r\n\r\n${result(1)}`, 2 * MS, { pid: SERVER.pid });
    eof(2, 3 * MS);
    tracker.settled(3 * MS + LATER);
    assert.deepEqual(texts(), [rpc(1), result(1)]);
    assert.deepEqual(ends(tracked), ['#1 request complete', '#1 response complete']);
  });

  test('that goes on when the capture stops says so', () => {
    const tracked = connectedTcp(1);
    const { tracker, data, texts, frames } = tracked;
    data(1, post(rpc(1)), 1 * MS);
    data(2, ok(result(1)).slice(0, -3), 2 * MS, { pid: SERVER.pid });
    tracker.finish(3 * MS);
    assert.deepEqual(texts(), [rpc(1), 'incomplete']);
    assert.deepEqual(frames()[1]?.content, {
      type: 'incomplete',
      head: result(1).slice(0, -3),
      reason: 'stop',
    });
    assert.deepEqual(ends(tracked), ['#1 request complete', '#1 response stop']);
  });
});
