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
} from '../../test/support/http2-peers.ts';
import { FLAG, FRAME } from './http2-frame-head.ts';

describe('HTTP/2 of which bytes are lost', () => {
  test('in a body, they are told, and it goes on', () => {
    const bytes = data(1, 'abcdef', END);
    const peers = new Peers()
      .client(headers(1, POST), bytes.subarray(0, 11))
      .gap('request', 2)
      .client(bytes.subarray(13));
    assert.deepEqual(peers.said.slice(1), ['1 > body ab', '1 > lost 2', '1 > body ef', '1 > complete']);
  });

  test('in a header block, the message has begun, and what the block put into the table is unknown', () => {
    const bytes = headers(1, [...POST, ['a', 'b']], 0, true);
    const peers = new Peers().client(bytes.subarray(0, 20)).gap('request', 5).client(bytes.subarray(25));
    assert.deepEqual(peers.told(), ['1 > undefined undefined undefined']);
    peers.client(data(1, 'x', END));
    assert.deepEqual(peers.told(), ['1 > body x', '1 > complete']);
    peers.client(frame(FRAME.headers, 0x5, 3, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.told(), ['2 > POST /mcp h:1', '2 > complete']);
    assert.deepEqual(peers.listener.heads[1]?.headers.fields, [[undefined, '']]);
  });

  test('in the head of a response, the DATA behind it are still its own', () => {
    const bytes = headers(1, OK);
    const peers = new Peers()
      .client(headers(1, POST, END))
      .server(bytes.subarray(0, 12))
      .gap('response', 3);
    peers.server(bytes.subarray(15), data(1, 'x', END));
    assert.deepEqual(peers.said.slice(2), ['1 < undefined', '1 < body x', '1 < complete']);
  });

  test('in a head that ends its message, it is complete', () => {
    const bytes = headers(1, OK, END);
    const peers = new Peers()
      .client(headers(1, POST, END))
      .server(bytes.subarray(0, 12))
      .gap('response', 3);
    peers.server(bytes.subarray(15));
    assert.deepEqual(peers.said.slice(2), ['1 < undefined', '1 < complete']);
  });

  test('between frames, every message under way has lost some, and goes on where it is heard of again', () => {
    const peers = new Peers().client(headers(1, POST), headers(3, POST), headers(5, POST, END));
    peers.told();
    const at = peers.at.request;
    peers.gap('request', 100);
    assert.deepEqual(peers.told(), ['1 > lost 0', '2 > lost 0']);
    assert.deepEqual(peers.listener.offsets.slice(-2), [at, at]);
    peers.client(data(1, 'a')).gap('request', 100);
    assert.deepEqual(peers.told(), ['1 > body a', '1 > lost 0']);
    peers.client(headers(7, POST, END));
    assert.deepEqual(peers.told(), ['4 > POST /mcp h:1', '4 > complete']);
  });

  test('a message that may have ended among them ends with the response, or the direction, as a gap', () => {
    const peers = new Peers().client(headers(1, POST), headers(3, POST), headers(5, POST), data(5, 'a'));
    peers.gap('request', 100).client(data(5, 'b'));
    peers.told();
    peers.server(headers(1, OK, END), headers(5, OK, END));
    assert.deepEqual(peers.told(), ['1 < 200', '1 < complete', '1 > gap', '3 < 200', '3 < complete']);
    peers.client(data(1, 'late'));
    peers.end('request', 'closed');
    assert.deepEqual(peers.told(), ['2 > gap', '3 > closed']);
  });

  test('nothing is lost of a message that is over, whatever came behind it', () => {
    const peers = new Peers().client(headers(1, POST, END), headers(1, POST)).gap('request', 100);
    assert.deepEqual(peers.said, ['1 > POST /mcp h:1', '1 > complete']);
  });

  test('a CONTINUATION of no block makes the names behind it unknown', () => {
    const peers = new Peers().client(headers(1, [...POST, ['a', 'b']], END, true));
    peers.client(frame(FRAME.continuation, 0x4, 1, block([['c', 'd']], true)));
    peers.client(frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.listener.heads[1]?.headers.fields, [[undefined, '']]);
  });

  test('a lost header block makes the names behind it unknown, not wrong', () => {
    const peers = new Peers().client(headers(1, [...POST, ['a', 'b']], END, true));
    peers.gap('request', 50);
    peers.client(frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.listener.heads[1]?.headers.fields, [[undefined, '']]);
  });

  test('a block that is not ended before the next makes the names behind it unknown', () => {
    const peers = new Peers().client(headers(1, [...POST, ['a', 'b']], END, true));
    peers.client(frame(FRAME.headers, END, 3, block(POST)));
    const end = peers.at.request;
    peers.client(frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.told().slice(2), [
      '2 > POST /mcp h:1',
      '2 > complete',
      '3 > POST /mcp h:1',
      '3 > complete',
    ]);
    assert.equal(peers.listener.offsets[3], end);
    assert.deepEqual(peers.listener.heads[2]?.headers.fields, [[undefined, '']]);
  });

  test('in a header block, what came before them is told, and that something is missing', () => {
    const fields: Field[] = [...POST, ['content-type', 'text/plain'], ['a', 'b'], ['c', 'd']];
    const bytes = headers(1, fields, END);
    for (let from = 9; from < bytes.length; from++)
      for (const bytesLost of [1, bytes.length - from]) {
        const peers = new Peers().client(bytes.subarray(0, from)).gap('request', bytesLost);
        peers.client(bytes.subarray(from + bytesLost));
        const [head] = peers.listener.heads;
        assert.ok(head && 'method' in head && !head.headers.complete);
        const told = [head.method, head.target].map((value) => value !== undefined);
        const place = (name: string) => bytes.indexOf(name) + name.length;
        assert.deepEqual(told, [from >= place('POST'), from >= place('/mcp')], `${from}`);
        const known = fields
          .slice(4)
          .filter(([name, value]) => from >= place(`${name}${String.fromCharCode(value.length)}${value}`));
        assert.deepEqual(head.headers.fields, known);
        assert.equal(peers.said.at(-1), '1 > complete');
      }
  });

  test('of what came before them in a header block, the table keeps nothing', () => {
    const bytes = headers(1, [...POST, ['a', 'b']], END, true);
    const peers = new Peers().client(bytes.subarray(0, -1)).gap('request', 1);
    peers.client(frame(FRAME.headers, 0x5, 3, Buffer.concat([block(POST), NEWEST])));
    assert.deepEqual(peers.listener.heads[1]?.headers.fields, [[undefined, '']]);
  });

  test('beyond the end of a header block, its message is told, and what was lost behind it is not known', () => {
    const bytes = headers(1, POST, END);
    const peers = new Peers().client(bytes.subarray(0, -2)).gap('request', 50);
    assert.deepEqual(peers.said, ['1 > POST undefined h:1', '1 > complete']);
    // Its CONTINUATION is among them.
    peers.client(frame(FRAME.headers, 0, 3, block(POST))).gap('request', 50);
    assert.deepEqual(peers.told().slice(2), ['2 > POST /mcp h:1', '2 > lost 0']);
  });

  test('in GOAWAY, it is heeded if the last stream is told before them', () => {
    for (let from = 9; from < 17; from++) {
      const bytes = goAway(0);
      const peers = new Peers().client(headers(1, POST, END)).server(bytes.subarray(0, from));
      peers.gap('response', 1).server(bytes.subarray(from + 1));
      assert.deepEqual(peers.said.slice(2), from < 13 ? [] : ['1 < reset'], `${from}`);
    }
  });

  test('beyond the end of DATA that ends its message, it is over, and their number is known', () => {
    const bytes = data(1, 'abcdef', END);
    const peers = new Peers().client(headers(1, POST), headers(3, POST), bytes.subarray(0, 11));
    peers.gap('request', 50);
    assert.deepEqual(peers.told().slice(2), ['1 > body ab', '1 > lost 4', '1 > complete', '2 > lost 0']);
    peers.server(headers(1, OK, END));
    assert.deepEqual(peers.told(), ['1 < 200', '1 < complete']);
  });

  test('of a head that may be of an interim response, the message begins with the next head, or its body', () => {
    const cut = () =>
      frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.concat([block(OK), block([['a', 'b']])]));
    const begun = () => {
      const peers = new Peers()
        .client(headers(1, POST, END))
        .server(cut().subarray(0, 12))
        .gap('response', 3);
      peers.server(cut().subarray(15));
      assert.equal(peers.told().length, 2);
      return peers;
    };
    assert.deepEqual(
      begun()
        .server(headers(1, OK, END))
        .told(),
      ['1 < 200', '1 < complete'],
    );
    assert.deepEqual(begun().server(data(1, 'a')).told(), ['1 < undefined', '1 < body a']);
    assert.deepEqual(
      begun()
        .server(headers(1, [['x', 'y']], END))
        .told(),
      ['1 < undefined', '1 < complete'],
    );
    assert.deepEqual(begun().server(reset(1)).told(), ['1 < undefined', '1 < reset']);
    const lost = begun().gap('response', 9);
    assert.deepEqual(lost.told(), ['1 < undefined', '1 < lost 0']);
    // It was an interim one, after all. What it was told to be cannot be taken back.
    assert.deepEqual(lost.server(headers(1, OK, END)).told(), ['1 < gap', '2 < 200', '2 < complete']);
  });

  test('of an interim response with a status that only the lost table tells, the final one is not hidden', () => {
    const peers = new Peers(JOINED).client(headers(1, POST, END));
    peers.server(frame(FRAME.headers, FLAG.endHeaders, 1, NEWEST), headers(1, OK), data(1, 'a', END));
    assert.deepEqual(peers.told().slice(2), ['1 < 200', '1 < body a', '1 < complete']);
  });
});
