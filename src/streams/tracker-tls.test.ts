// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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
  result,
  rpc,
  SECOND,
  SERVER,
  type Tracking,
  tracking,
} from '../../test/support/tracking.ts';
import type { Holder } from '../sensor/messages.ts';

const outside: Holder = { pid: 300, comm: 'outside', fd: 6, inScope: false };

/** The clear text that CLIENT writes into its TLS (`request`) and reads from it (the next number). */
function announceTls({ announce, endpoint }: Tracking, request: number, joined = false): void {
  announce(request, { carrier: 'tls', tls: 'OpenSSL', inode: 0, joined });
  announce(request + 1, { carrier: 'tls', tls: 'OpenSSL', inode: 0, pair: request, joined });
  endpoint(request, CLIENT.pid, false);
  endpoint(request + 1, CLIENT.pid, true);
}

/** A request and its response in the clear text of streams 1 and 2. */
function exchange({ data }: Tracking): void {
  data(1, post(rpc(1)), 10 * MS);
  data(2, ok(result(1)), 20 * MS, { fromReader: true });
}

describe('a frame inside TLS', () => {
  for (const [stream, what, joined, patience] of [
    [1, 'written on a connection older than the capture', true, 1000],
    [1, 'written', false, 1000],
    [2, 'read on a connection older than the capture', true, 50],
    [2, 'read', false, 500],
  ] as const)
    test(`that was ${what} waits ${patience} ms for its connection, once, and then names the one end that is in sight`, () => {
      const tracked = tracking();
      announceTls(tracked, 1, joined);
      const say = (id: number, time: number) =>
        tracked.data(stream, stream === 1 ? post(rpc(id)) : ok(result(id)), time, {
          fromReader: stream === 2,
        });
      say(1, 10 * MS);
      assert.equal(tracked.tracker.settled((5 + patience) * MS), true);
      assert.deepEqual(tracked.texts(), []);
      assert.equal(tracked.tracker.settled((20 + patience) * MS), false);
      assert.equal(tracked.texts().length, 1);
      say(2, (30 + patience) * MS);
      assert.equal(tracked.tracker.settled((30 + patience) * MS + LATER), false);
      const who = stream === 1 ? 'client>?' : '?>client';
      assert.deepEqual(tracked.who(), [who, who]);
      assert.deepEqual(tracked.asked, []);
      for (const frame of tracked.frames()) {
        assert.equal(frame.stream.tls, 'OpenSSL');
        assert.equal(frame.stream.source, undefined);
      }
    });

  test('that was read, and is a request, waits for its answer: that will tell the connection', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    tracked.data(2, post(rpc(1)), 10 * MS, { fromReader: true });
    tracked.tracker.settled(900 * MS);
    assert.deepEqual(tracked.texts(), []);
    tracked.tie(1, AWAY, 901 * MS);
    tracked.tracker.settled(901 * MS + LATER);
    assert.deepEqual(tracked.frames()[0]?.stream.destination, AWAY.source);
  });

  test('goes as soon as its connection is known', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    exchange(tracked);
    tracked.tracker.settled(20 * MS + LATER);
    assert.deepEqual(tracked.texts(), []);
    tracked.tie(1, AWAY, 26 * MS);
    assert.equal(tracked.tracker.settled(27 * MS), false);
    assert.deepEqual(tracked.texts(), [rpc(1), result(1)]);
    assert.deepEqual(tracked.frames()[0]?.stream.source, AWAY.source);
  });

  test('has the addresses of the connection, whichever direction that was seen of', () => {
    for (const direction of [1, 2]) {
      const tracked = tracking();
      announceTls(tracked, 1);
      tracked.tie(direction, direction === 1 ? AWAY : back(AWAY), 5 * MS);
      exchange(tracked);
      tracked.tracker.settled(20 * MS + LATER);
      assert.deepEqual(
        tracked.frames().map(({ stream: { source, destination } }) => ({ source, destination })),
        [AWAY, back(AWAY)],
      );
    }
  });

  test('has at the other end the process that is there in the TCP connection below', () => {
    const tracked = tracking();
    announceTcp(tracked, 11);
    tracked.endpoint(11, SERVER.pid, true);
    tracked.endpoint(12, SERVER.pid, false);
    announceTls(tracked, 1);
    tracked.tie(1, LOOPBACK, 5 * MS);
    exchange(tracked);
    tracked.tracker.settled(20 * MS + LATER);
    assert.deepEqual(tracked.who(), ['client>server', 'server>client']);
  });

  test('waits until that process is known, and the sensor is asked for it', async () => {
    const tracked = tracking({ holders: () => [outside] });
    announceTcp(tracked, 11);
    tracked.endpoint(11, CLIENT.pid, false);
    announceTls(tracked, 1);
    tracked.tie(1, LOOPBACK, 5 * MS);
    tracked.data(1, post(rpc(1)), 10 * MS);
    assert.equal(tracked.tracker.settled(10 * MS + LATER), true);
    assert.deepEqual(tracked.who(), []);
    await answers();
    tracked.tracker.settled(30 * MS);
    assert.deepEqual(tracked.who(), ['client>outside']);
    assert.deepEqual(tracked.asked, [
      { carrier: 'tcp', near: CLIENT.pid, local: LOOPBACK.destination, remote: LOOPBACK.source },
    ]);
  });

  test('waits for it no longer than two seconds, and not at all once the connection below has ended', () => {
    for (const over of [false, true]) {
      const tracked = tracking();
      announceTcp(tracked, 11);
      tracked.endpoint(11, CLIENT.pid, false);
      announceTls(tracked, 1);
      tracked.tie(1, LOOPBACK, 5 * MS);
      tracked.data(1, post(rpc(1)), 10 * MS);
      if (over) tracked.eof(11, 11 * MS);
      tracked.tracker.settled(2 * SECOND);
      assert.deepEqual(tracked.who(), over ? ['client>?'] : []);
      tracked.tracker.settled(2 * SECOND + 11 * MS);
      assert.deepEqual(tracked.who(), ['client>?']);
    }
  });

  test('to another machine waits for nobody', () => {
    const tracked = tracking();
    announceTcp(tracked, 11, AWAY);
    tracked.endpoint(11, CLIENT.pid, false);
    announceTls(tracked, 1);
    tracked.tie(1, AWAY, 5 * MS);
    exchange(tracked);
    assert.equal(tracked.tracker.settled(20 * MS + LATER), false);
    assert.deepEqual(tracked.who(), ['client>?', '?>client']);
    assert.deepEqual(tracked.asked, []);
  });

  test('on this machine, of whose connection nothing else is known, waits for nobody', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    tracked.tie(1, LOOPBACK, 5 * MS);
    exchange(tracked);
    assert.equal(tracked.tracker.settled(20 * MS + LATER), false);
    assert.deepEqual(tracked.who(), ['client>?', '?>client']);
  });
});

describe('a TLS stream', () => {
  for (const [what, happen] of [
    ['is killed', ({ exit }: Tracking) => exit(CLIENT.pid, 30 * MS)],
    ['becomes another program', ({ exec }: Tracking) => exec(CLIENT.pid, '/bin/other', 30 * MS)],
  ] as const)
    test(`ends when its process ${what}, and what was cut off is told`, () => {
      const tracked = tracking();
      announceTls(tracked, 1);
      announceTls(tracked, 3);
      exchange(tracked);
      tracked.data(2, ok(result(2)).slice(0, -5), 25 * MS, { fromReader: true });
      happen(tracked);
      tracked.tracker.settled(30 * MS + SECOND);
      assert.deepEqual(tracked.texts(), [rpc(1), result(1), 'incomplete']);
      const ends = tracked.kinds().filter((kind) => kind.startsWith('end'));
      assert.deepEqual(ends, ['end 1', 'end 2', 'end 3', 'end 4']);
    });

  test('of one process does not end with another', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    exchange(tracked);
    tracked.exit(SERVER.pid, 30 * MS);
    tracked.tracker.settled(SECOND);
    assert.deepEqual(
      tracked.kinds().filter((kind) => kind.startsWith('end')),
      [],
    );
  });

  test('is forgotten when its process is gone, though it was recognised', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    exchange(tracked);
    for (const stream of [1, 2]) tracked.tracker.keep(stream);
    tracked.exit(CLIENT.pid, 30 * MS);
    tracked.tracker.settled(60 * SECOND);
    tracked.tracker.settled(62 * SECOND);
    assert.equal(tracked.tracker.size, 0);
    assert.deepEqual(tracked.kinds().slice(-2), ['end 1', 'end 2']);
  });
});

describe('a tie', () => {
  test('says which TCP stream carries each direction: addresses that are used again name another', () => {
    const tracked = tracking();
    const carried = [
      { tcp: 10, tls: 1 },
      { tcp: 20, tls: 3 },
    ];
    for (const { tcp, tls } of carried) {
      announceTcp(tracked, tcp);
      announceTls(tracked, tls);
      tracked.tie(tls, LOOPBACK, 5 * MS);
    }
    assert.deepEqual(
      [1, 2, 3, 4].map((id) => tracked.tracker.get(id)?.carriedBy),
      [10, 11, 20, 21],
    );
    assert.deepEqual(
      [1, 2].map((id) => tracked.tracker.get(id)?.seenAt),
      ['writer', 'reader'],
    );
  });

  test('may come before the TCP stream is known: its first clear text finds it', () => {
    const tracked = tracking();
    announceTls(tracked, 1);
    tracked.tie(1, LOOPBACK, 5 * MS);
    announceTcp(tracked, 10, LOOPBACK);
    exchange(tracked);
    assert.equal(tracked.tracker.get(1)?.carriedBy, 10);
  });

  test('of a stream that nobody knows is passed over', () => {
    const { tracker, tie, items } = tracking();
    tie(7, LOOPBACK, 1 * MS);
    tracker.finish(2 * MS);
    assert.deepEqual(items, []);
    assert.equal(tracker.size, 0);
  });
});

describe('a process whose TLS was seen', () => {
  const hello = Buffer.from('160301020001000201fc0303', 'hex');

  test('is connected with the one at the other end, and with nobody else', () => {
    const tracked = connectedTcp(10);
    tracked.data(10, hello, 10 * MS);
    const { tracker } = tracked;
    assert.ok(tracker.encrypts(CLIENT.pid, SERVER.pid) && tracker.encrypts(SERVER.pid, CLIENT.pid));
    assert.ok(!tracker.encrypts(CLIENT.pid, 999) && !tracker.encrypts(CLIENT.pid, CLIENT.pid));
    const clear = connectedTcp(10);
    clear.data(10, post(rpc(1)), 10 * MS);
    assert.ok(!clear.tracker.encrypts(CLIENT.pid, SERVER.pid));
  });

  test('is not decoded as long as none of its clear text has been seen', () => {
    const tracked = tracking();
    announceTcp(tracked, 11, AWAY);
    tracked.endpoint(11, CLIENT.pid, false);
    tracked.data(11, hello, 1 * MS);
    assert.deepEqual(
      tracked.tracker.encrypted.undecoded().map(({ process }) => process),
      [CLIENT],
    );
    announceTls(tracked, 1);
    assert.deepEqual(tracked.tracker.encrypted.undecoded(), []);
  });

  test('is told of what is left, when a library that cannot be read is there, too; each connection is counted once', () => {
    const tracked = tracking();
    const { tracker, endpoint, data } = tracked;
    tracker.encrypted.learn(CLIENT.pid, [
      { library: 'OpenSSL', readable: true },
      { library: 'rustls', readable: false, reason: 'no functions' },
    ]);
    // Both directions of a connection's clear text, twice.
    for (const request of [1, 3]) announceTls(tracked, request);
    for (const [index, stream] of [11, 21, 31].entries()) {
      announceTcp(tracked, stream, { ...AWAY, source: { ...AWAY.source, port: 5000 + index } });
      endpoint(stream, CLIENT.pid, false);
      data(stream, hello, (1 + index) * MS);
      endpoint(stream + 1, CLIENT.pid, true);
      assert.equal(tracker.encrypted.undecoded().length, index < 2 ? 0 : 1);
    }
    const [only] = tracker.encrypted.undecoded();
    assert.deepEqual([only?.process.pid, only?.library, only?.connections], [CLIENT.pid, 'rustls', 1]);
  });

  test('is told when it began in sight and was read from the middle on: once a connection, and not when it is older', () => {
    for (const [joined, older, told] of [
      [true, false, 1],
      [false, false, 0],
      [true, true, 0],
    ] as const) {
      const tracked = tracking();
      announceTcp(tracked, 11, AWAY, { joined: older });
      announceTls(tracked, 1, joined);
      tracked.tie(1, AWAY, 5 * MS);
      exchange(tracked);
      const late = tracked.tracker.encrypted.undecoded();
      assert.deepEqual(
        late.map(({ process, library, connections }) => [process.pid, library, connections]),
        told ? [[CLIENT.pid, 'OpenSSL', 1]] : [],
      );
      assert.match(late[0]?.reason ?? 'too late', /too late/);
    }
  });

  test('over a unix socket does not count: its bytes are what they are there', () => {
    const tracked = tracking();
    tracked.announce(1, { carrier: 'unix', pair: 2 });
    tracked.endpoint(1, CLIENT.pid, false);
    tracked.data(1, hello, 1 * MS);
    assert.deepEqual(tracked.verdicts, ['stop 1']);
    assert.deepEqual(tracked.tracker.encrypted.undecoded(), []);
  });
});
