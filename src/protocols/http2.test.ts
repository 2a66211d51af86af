// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  block,
  data,
  END,
  type Field,
  frame,
  goAway,
  headers,
  JOINED,
  NEWEST,
  OK,
  Peers,
  POST,
  reset,
  settings,
} from '../../test/support/http2-peers.ts';
import { FLAG, FRAME } from './http2-frame-head.ts';

describe('an exchange of HTTP/2', () => {
  test('has heads, bodies and ends', () => {
    const peers = new Peers();
    peers.client(
      settings,
      headers(1, [...POST, ['content-type', 'application/json']]),
      data(1, '{'),
      data(1, '}', END),
    );
    peers.server(settings, headers(1, OK), data(1, 'ab'), data(1, '', END));
    assert.deepEqual(peers.said, [
      '1 > POST /mcp h:1',
      '1 > body {}',
      '1 > complete',
      '1 < 200',
      '1 < body ab',
      '1 < complete',
    ]);
    const [request] = peers.listener.heads;
    assert.equal(request?.version, '2');
    assert.deepEqual(request?.headers.fields, [['content-type', 'application/json']]);
    assert.deepEqual(peers.listener.offsets.slice(2), [
      peers.at.request,
      18,
      peers.at.response - 11,
      peers.at.response,
    ]);
  });

  test('may be one of many on the connection, interleaved', () => {
    const peers = new Peers();
    peers.client(headers(1, POST), headers(3, POST, END), data(1, 'a', END));
    peers.server(headers(3, OK), headers(1, OK), data(3, 'x'), data(1, 'y', END), data(3, 'z', END));
    assert.deepEqual(peers.said.slice(-7), [
      '2 < 200',
      '1 < 200',
      '2 < body x',
      '1 < body y',
      '1 < complete',
      '2 < body z',
      '2 < complete',
    ]);
  });

  test('without :authority has that of its host field', () => {
    const peers = new Peers().client(
      headers(1, [
        [':method', 'GET'],
        [':path', '/'],
        ['host', 'x'],
      ]),
    );
    assert.deepEqual(peers.said, ['1 > GET / x']);
  });

  test('keeps :protocol of an extended CONNECT', () => {
    const peers = new Peers().client(
      headers(1, [
        [':method', 'CONNECT'],
        [':protocol', 'websocket'],
        ['a', 'b'],
      ]),
    );
    assert.deepEqual(peers.listener.heads[0]?.headers.fields, [
      [':protocol', 'websocket'],
      ['a', 'b'],
    ]);
  });

  test('has one response, behind the informational ones', () => {
    const peers = new Peers().client(headers(1, POST, END));
    peers.server(headers(1, [[':status', '103']]), headers(1, [[':status', '100']]), headers(1, OK, END));
    assert.deepEqual(peers.said.slice(2), ['1 < 200', '1 < complete']);
  });

  test('ends with its trailers, which are not handed on', () => {
    const peers = new Peers().client(headers(1, POST), data(1, 'a'), headers(1, [['x', 'y']], END));
    peers.server(headers(1, OK), data(1, 'b'), headers(1, [['grpc-status', '0']], END));
    assert.deepEqual(peers.said.slice(1), [
      '1 > body a',
      '1 > complete',
      '1 < 200',
      '1 < body b',
      '1 < complete',
    ]);
  });

  test('has its header block from all of its CONTINUATIONs, with padding and priority', () => {
    const whole = block([...POST, ['x', 'y']]);
    const first = Buffer.concat([Buffer.from([3]), Buffer.alloc(5), whole.subarray(0, 10), Buffer.alloc(3)]);
    const peers = new Peers().client(
      frame(FRAME.headers, END | FLAG.padded | FLAG.priority, 1, first),
      frame(FRAME.continuation, 0, 1),
      frame(FRAME.continuation, 0, 1, whole.subarray(10, 11)),
      frame(FRAME.continuation, FLAG.endHeaders, 1, whole.subarray(11)),
    );
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > complete']);
    assert.deepEqual(peers.listener.heads[0]?.headers.fields, [['x', 'y']]);
    assert.equal(peers.listener.offsets[1], peers.at.request);
  });

  test('may be pushed: then it is a response without a request', () => {
    const peers = new Peers().client(headers(1, POST, END));
    const promise = Buffer.concat([Buffer.from([0, 0, 0, 2]), block([['promised', 'field']], true)]);
    peers.server(frame(FRAME.pushPromise, FLAG.endHeaders, 1, promise));
    peers.server(
      frame(FRAME.headers, FLAG.endHeaders, 2, Buffer.concat([block(OK), NEWEST])),
      data(2, 'a', END),
    );
    assert.deepEqual(peers.said.slice(2), ['2 < 200', '2 < body a', '2 < complete']);
    // Its promise has put this into the table.
    assert.deepEqual(peers.listener.heads[1]?.headers.fields, [['promised', 'field']]);
  });

  test('that was stream 1 of an upgrade from HTTP/1.1 goes on under its number', () => {
    const peers = new Peers({ upgraded: 7 });
    peers.client(settings, headers(3, POST, END));
    peers.server(settings, headers(1, OK), data(1, 'a', END), headers(3, OK, END));
    assert.deepEqual(peers.said, [
      '8 > POST /mcp h:1',
      '8 > complete',
      '7 < 200',
      '7 < body a',
      '7 < complete',
      '8 < 200',
      '8 < complete',
    ]);
  });

  test('whose response is seen before its request has both', () => {
    const peers = new Peers().client(headers(1, POST, END)).server(headers(3, OK), data(3, 'b', END));
    peers.client(headers(3, POST), data(3, 'a', END));
    assert.deepEqual(peers.said.slice(2), [
      '2 < 200',
      '2 < body b',
      '2 < complete',
      '2 > POST /mcp h:1',
      '2 > body a',
      '2 > complete',
    ]);
  });
});

describe('an exchange of HTTP/2 that is broken off', () => {
  test('by RST_STREAM ends on both sides, where each direction stands', () => {
    for (const side of ['client', 'server'] as const) {
      const peers = new Peers().client(headers(1, POST), data(1, 'a')).server(headers(1, OK), data(1, 'b'));
      peers[side](reset(1));
      assert.deepEqual(peers.said.slice(-2), ['1 > reset', '1 < reset']);
      assert.deepEqual(peers.listener.offsets.slice(-2), [peers.at.request, peers.at.response]);
    }
  });

  test('by RST_STREAM before its response ends without one', () => {
    const peers = new Peers().client(headers(1, POST, END), reset(1));
    assert.deepEqual(peers.said.slice(1), ['1 > complete', '1 < reset']);
  });

  test('is not followed by what was under way, but its headers go into the table', () => {
    const peers = new Peers().client(headers(1, POST, END), headers(3, POST, END), reset(1));
    peers.told();
    peers.server(headers(1, [...OK, ['a', 'b']], 0, true), data(1, 'late'), headers(1, [['t', 'u']], END));
    peers.server(data(1, '', END), reset(1));
    assert.deepEqual(peers.told(), []);
    peers.server(frame(FRAME.headers, FLAG.endHeaders, 3, Buffer.concat([block(OK), NEWEST])));
    assert.deepEqual(peers.listener.heads.at(-1)?.headers.fields, [['a', 'b']]);
  });

  test('by a joined RST_STREAM is not taken for a new one by what was under way', () => {
    const peers = new Peers(JOINED).client(reset(5)).server(data(5, 'late'), headers(5, [['t', 'u']], END));
    assert.deepEqual(peers.said, []);
  });

  test('by GOAWAY was not handled, and those before it go on', () => {
    const peers = new Peers().client(headers(1, POST, END), headers(3, POST), headers(5, POST, END));
    peers.server(goAway(2 ** 31 - 1));
    peers.told();
    peers.server(goAway(1), headers(1, OK, END));
    assert.deepEqual(peers.told(), ['2 > reset', '2 < reset', '3 < reset', '1 < 200', '1 < complete']);
  });

  test('by GOAWAY is one of the other peer, and its own go on', () => {
    const peers = new Peers().client(headers(1, POST, END)).server(headers(2, OK), headers(4, OK));
    peers.told();
    peers.client(goAway(2));
    assert.deepEqual(peers.told(), ['3 < reset']);
    peers.client(goAway(0));
    assert.deepEqual(peers.told(), ['2 < reset']);
    peers.server(headers(6, OK), goAway(0));
    assert.deepEqual(peers.told(), ['4 < 200', '1 < reset']);
  });

  test('by the end of a direction is closed on this side', () => {
    const peers = new Peers().client(headers(1, POST), headers(3, POST, END)).server(headers(3, OK));
    peers.told();
    peers.end('request', 'closed');
    assert.deepEqual(peers.told(), ['1 > closed']);
    peers.server(data(3, 'a', END));
    peers.end('response', 'closed');
    assert.deepEqual(peers.told(), ['2 < body a', '2 < complete', '1 < closed']);
  });

  test('by the end of the capture is stopped', () => {
    const peers = new Peers().client(headers(1, POST));
    peers.told();
    peers.end('request', 'stop').end('response', 'stop');
    assert.deepEqual(peers.told(), ['1 > stop', '1 < stop']);
    peers.end('request', 'closed').end('response', 'closed');
    assert.deepEqual(peers.told(), []);
  });

  test('begun after the server has closed, or the capture has ended, is as that says', () => {
    const peers = new Peers().end('response', 'stop').end('response', 'closed').client(headers(1, POST));
    assert.deepEqual(peers.said.slice(1), ['1 < stop']);
  });

  test('begun after the server has closed gets no response', () => {
    const peers = new Peers()
      .server(settings)
      .end('response', 'closed')
      .client(headers(1, POST), data(1, 'a', END));
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 < closed', '1 > body a', '1 > complete']);
  });
});

describe('HTTP/2 after its end', () => {
  test('nothing follows the end of a message', () => {
    const peers = new Peers().client(
      headers(1, POST),
      data(1, '', END),
      data(1, 'more'),
      headers(1, POST, END),
    );
    peers.client(data(1, 'abc').subarray(0, 10)).gap('request', 2);
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > complete']);
  });

  test('a stream is not used again', () => {
    const peers = new Peers().client(headers(1, POST, END)).server(headers(1, OK, END));
    peers.told();
    peers.client(headers(1, POST, END), data(1, 'a')).server(headers(1, OK, END), data(1, 'a'));
    assert.deepEqual(peers.told(), []);
  });

  test('DATA without a head is nothing where all heads were seen', () => {
    const peers = new Peers().client(data(1, 'a')).server(data(1, 'a'));
    assert.deepEqual(peers.said, []);
    peers.client(headers(1, POST), data(1, 'b')).server(data(1, 'x'), headers(1, OK), data(1, 'y'));
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > body b', '1 < 200', '1 < body y']);
  });

  test('trailers without a head are nothing where all heads were seen, but they end the message', () => {
    const peers = new Peers().client(headers(1, POST, END)).server(headers(1, [['x', 'y']], END));
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > complete', '1 < complete']);
  });

  test('a response that is over with an interim one before its request is seen has an end none the less', () => {
    const interim = (flags: number) => headers(1, [[':status', '100']], flags);
    const closed = new Peers()
      .server(interim(0))
      .end('response', 'closed')
      .client(headers(1, POST, END));
    assert.deepEqual(closed.said, ['1 > POST /mcp h:1', '1 < closed', '1 > complete']);
    const complete = new Peers().server(interim(END)).client(headers(1, POST, END));
    assert.deepEqual(complete.said, ['1 > POST /mcp h:1', '1 < complete', '1 > complete']);
    assert.equal(complete.listener.offsets[1], complete.at.response);
  });

  test('nothing comes of a direction that is over', () => {
    const peers = new Peers().client(headers(1, POST)).end('request', 'closed').end('response', 'stop');
    peers.told();
    peers.client(headers(3, POST), data(1, 'a')).gap('request', 5);
    peers.server(headers(1, OK), headers(3, OK)).gap('response', 5);
    assert.deepEqual(peers.told(), []);
  });
});

describe('HTTP/2 joined in the middle', () => {
  test('follows bodies whose heads were not seen', () => {
    const peers = new Peers(JOINED).server(data(7, 'abc'), data(9, 'x'), data(7, 'd', END));
    assert.deepEqual(peers.said, [
      '1 < undefined',
      '1 < body abc',
      '2 < undefined',
      '2 < body x',
      '1 < body d',
      '1 < complete',
    ]);
    peers.told();
    peers.client(data(11, 'r', END));
    assert.deepEqual(peers.told(), ['3 > undefined undefined undefined', '3 > body r', '3 > complete']);
  });

  test('gives a field that is not known no name', () => {
    const peers = new Peers(JOINED).client(
      frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])),
    );
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > complete']);
    assert.deepEqual(peers.listener.heads[0]?.headers.fields, [[undefined, '']]);
  });

  test('does not hide a head behind what seemed to be DATA of its stream', () => {
    const peers = new Peers(JOINED).client(data(5, 'a'), headers(5, POST), data(5, 'b', END));
    assert.deepEqual(peers.told().slice(1), [
      '1 > body a',
      '1 > gap',
      '1 < gap',
      '2 > POST /mcp h:1',
      '2 > body b',
      '2 > complete',
    ]);
    peers.server(data(5, 'c'), headers(5, OK, END));
    assert.deepEqual(peers.told().slice(2), ['2 < gap', '3 < 200', '3 < complete']);
  });

  test('takes no trailers for a head', () => {
    const peers = new Peers(JOINED).server(headers(5, [['grpc-status', '0']], END), data(7, 'a'));
    peers.server(headers(7, [['grpc-status', '0']], END));
    peers.client(headers(9, [['x', 'y']], END));
    assert.deepEqual(peers.said, ['1 < undefined', '1 < body a', '1 < complete']);
  });

  test('tells no request of which nothing is known behind its response', () => {
    const peers = new Peers(JOINED)
      .server(headers(5, OK))
      .client(data(5, 'rest', END))
      .server(data(5, 'a', END));
    assert.deepEqual(peers.said, ['1 < 200', '1 < body a', '1 < complete']);
  });

  test('tells no request of which not even the method is known behind its response', () => {
    const peers = new Peers(JOINED).server(headers(5, OK)).client(frame(FRAME.headers, 0x5, 5, NEWEST));
    assert.deepEqual(peers.said, ['1 < 200']);
  });

  test('tells no head on a side that is over', () => {
    const peers = new Peers(JOINED).server(headers(5, OK)).client(data(5, 'rest', END), headers(5, POST));
    assert.deepEqual(peers.said, ['1 < 200']);
  });

  test('takes what a client says late on an older stream for the rest of it', () => {
    const peers = new Peers(JOINED).client(headers(9, POST)).client(frame(FRAME.headers, 0x5, 5, NEWEST));
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1']);
  });

  test('in the middle of a header block begins with the next', () => {
    const peers = new Peers(JOINED).client(
      frame(FRAME.continuation, FLAG.endHeaders, 5, block(POST)),
      headers(7, POST),
    );
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1']);
  });
});

describe('HTTP/2 from a hostile peer', () => {
  test('of more than 10,000 streams the oldest are given up, and what comes of them is nothing', () => {
    const peers = new Peers();
    for (let n = 0; n <= 10_000; n++) peers.client(headers(2 * n + 1, POST));
    const given = peers.told().filter((text) => text.endsWith('gap'));
    assert.equal(given.length, 2 * 256);
    assert.deepEqual(given.slice(0, 2), ['1 > gap', '1 < gap']);
    peers.server(headers(1, OK), data(1, 'a')).client(data(1, 'b'));
    assert.deepEqual(peers.told(), []);
    peers.server(headers(2 * 256 + 1, OK, END));
    assert.deepEqual(peers.told(), ['257 < 200', '257 < complete']);
  });

  // What were not released would count as open, and push the oldest out.
  const many: Record<string, (peers: Peers, n: number) => unknown> = {
    'exchanges that are complete': (peers, n) =>
      peers.client(headers(2 * n + 3, POST, END)).server(headers(2 * n + 3, OK, END)),
    'exchanges that were reset': (peers, n) => peers.client(headers(2 * n + 3, POST), reset(2 * n + 3)),
    'pushed responses': (peers, n) => peers.server(headers(2 * n + 2, OK, END)),
    'responses to requests that were not seen': (peers, n) => {
      if (n === 0) peers.gap('request', 1);
      peers.server(headers(2 * n + 3, OK, END));
    },
    'responses behind the end of the requests': (peers, n) => {
      if (n === 0) peers.end('request', 'closed');
      peers.server(headers(2 * n + 3, OK, END));
    },
  };
  for (const [name, one] of Object.entries(many))
    test(`12,000 ${name} are released, and an older stream goes on`, () => {
      const peers = new Peers().client(headers(1, POST, END)).server(headers(1, OK));
      for (let n = 0; n < 12_000; n++) one(peers, n);
      peers.told();
      peers.server(data(1, 'a', END));
      assert.deepEqual(peers.told(), ['1 < body a', '1 < complete']);
      peers.end('request', 'closed').end('response', 'closed');
      assert.deepEqual(peers.told(), []);
    });

  test('of streams that are over, the last 1,024 at least are remembered where heads are not seen', () => {
    const peers = new Peers(JOINED);
    for (let n = 0; n < 3000; n++) peers.server(headers(2 * n + 1, OK, END));
    peers.told();
    for (let n = 3000 - 1024; n < 3000; n++) peers.server(data(2 * n + 1, 'late'));
    assert.deepEqual(peers.told(), []);
  });

  test('a block that goes on for ever is given up, and the next is read', () => {
    const peers = new Peers().client(frame(FRAME.headers, END, 1, block(POST, true)));
    const more = frame(FRAME.continuation, 0, 1, Buffer.alloc(16_000, 0x82));
    for (let n = 0; n < 100; n++) peers.client(more);
    peers.client(frame(FRAME.continuation, FLAG.endHeaders, 1, block([['a', 'b']])));
    assert.deepEqual(peers.told(), ['1 > POST /mcp h:1', '1 > complete']);
    assert.equal(peers.listener.heads[0]?.headers.complete, false);
    peers.client(headers(3, POST));
    assert.deepEqual(peers.told(), ['2 > POST /mcp h:1']);
    // What its rest put into the table is not known.
    peers.client(frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.listener.heads[2]?.headers.fields, [[undefined, '']]);
  });

  test('a head larger than 256 KiB is told with what fits, as one frame and as many', () => {
    const large: Field[] = Array.from({ length: 5000 }, (_, n) => [`name-${n}`, 'x'.repeat(100)]);
    const all = block([...POST, ...large]);
    assert.ok(all.length > 512 << 10);
    const peers = new Peers().client(frame(FRAME.headers, 0x5, 1, all));
    peers.client(frame(FRAME.headers, END, 3, all.subarray(0, 16384)));
    for (let at = 16384; at < all.length; at += 16384)
      peers.client(
        frame(
          FRAME.continuation,
          at + 16384 < all.length ? 0 : FLAG.endHeaders,
          3,
          all.subarray(at, at + 16384),
        ),
      );
    peers.client(headers(5, POST));
    const told = [1, 2].flatMap((n) => [`${n} > POST /mcp h:1`, `${n} > complete`]);
    assert.deepEqual(peers.said, [...told, '3 > POST /mcp h:1']);
    const [one, many] = peers.listener.heads;
    for (const head of [one, many]) {
      assert.equal(head?.headers.complete, false);
      const { length } = head.headers.fields;
      assert.ok(length > 1500 && length < 5000);
      assert.deepEqual(head.headers.fields, large.slice(0, length));
    }
  });

  test('padding or a priority longer than the frame is a damaged head', () => {
    const peers = new Peers();
    peers.client(
      frame(FRAME.headers, 0xd, 1, Buffer.from([200, 0x82])),
      frame(FRAME.headers, 0x25, 3, 'abc'),
    );
    assert.deepEqual(peers.said, [
      '1 > undefined undefined undefined',
      '1 > complete',
      '2 > undefined undefined undefined',
      '2 > complete',
    ]);
    peers.client(frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.listener.heads[2]?.headers.fields, [[undefined, '']]);
  });

  test('GOAWAY is heeded 16 times', () => {
    const peers = new Peers().client(headers(1, POST, END));
    for (let n = 0; n < 16; n++) peers.server(goAway(1));
    peers.told();
    assert.deepEqual(peers.server(goAway(0)).told(), []);
  });
});
