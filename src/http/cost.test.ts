// SPDX-License-Identifier: Apache-2.0
/** What a socket costs: time by what is looked at, memory by what is kept. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { data, headers, OK, POST } from '../../test/support/http2-peers.ts';
import { Headers } from '../protocols/http.ts';
import { Body } from './body.ts';
import { Exchange } from './exchange.ts';
import { type Direction, Socket } from './socket.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A socket of which what comes out is only counted. */
function counted(joined = false) {
  const count = { frames: 0, foreign: 0 };
  let exchanges = 0;
  const socket = new Socket(
    {
      lines: () => {},
      frame: () => count.frames++,
      step: () => {},
      unwanted: () => {},
      foreign: () => count.foreign++,
    },
    { maxMessage: 1 << 20, linesByDefault: false, nextExchange: () => ++exchanges },
    1,
  );
  for (const direction of [0, 1] as const) socket.begin(direction, { id: direction, carrier: 'tcp' }, joined);
  const at: [number, number] = [0, 0];
  const push = (direction: Direction, what: Buffer | string) => {
    const bytes = Buffer.from(what as string, 'latin1');
    socket.push(direction, bytes, at[direction], true);
    at[direction] += bytes.length;
  };
  return { push, count };
}

describe('what is not yet known to be anything', () => {
  for (const [name, text] of [
    ['a target without end', `GET /${'x'.repeat(40_000)}`],
    ['text behind a target', `GET / ${'some text '.repeat(4000)}`],
    ['white space', ' '.repeat(40_000)],
  ] as const)
    test(`${name}, byte by byte, is looked at and copied a bounded number of times`, (t) => {
      const { copy, toString: toText } = Buffer.prototype;
      const { concat } = Buffer;
      t.after(() => {
        Object.assign(Buffer.prototype, { copy, toString: toText });
        Object.assign(Buffer, { concat });
      });
      let looked = 0;
      Object.assign(Buffer.prototype, {
        copy(this: Buffer, to: Buffer, place = 0, from = 0, end = this.length) {
          looked += end - from;
          return copy.call(this, to, place, from, end);
        },
        toString(this: Buffer, encoding: BufferEncoding, from = 0, end = this.length) {
          looked += end - from;
          return toText.call(this, encoding, from, end);
        },
      });
      Object.assign(Buffer, {
        concat(parts: readonly Buffer[]) {
          const whole = concat.call(Buffer, parts);
          looked += whole.length;
          return whole;
        },
      });
      const { push, count } = counted();
      for (const byte of Buffer.from(text)) push(0, Buffer.from([byte]));
      assert.equal(count.foreign, 1);
      // Each of the first 64 makes all of them be looked at again.
      assert.ok(looked < 8 * text.length, `${looked / text.length} times`);
    });
});

describe('an exchange that is over', () => {
  const response = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
  for (const [name, joined, exchange] of [
    ['of both sides', false, ['POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', response]],
    ['of which only the response is seen', true, ['', response]],
  ] as const)
    test(`${name} leaves nothing behind`, () => {
      const { push, count } = counted(joined);
      while (count.frames < 2000)
        for (const direction of [0, 1] as const)
          if (exchange[direction]) push(direction, exchange[direction]);
      // The connection itself is still there.
      push(0, '');
      const left = [Exchange, Body, Headers].map((each) => queryObjects(each, { format: 'count' }));
      assert.ok(
        left.every((number) => number < 20),
        `${left} exchanges, bodies and heads`,
      );
    });
});

describe('an event stream', () => {
  const event = 'event: message\nid: 7\ndata: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n';
  const chunk = `${event.length.toString(16)}\r\n${event}\r\n`;
  const begin: Record<
    string,
    (push: (direction: Direction, what: Buffer | string) => void) => Buffer | string
  > = {
    'over HTTP/1': (push) => {
      push(0, 'GET /mcp HTTP/1.1\r\nHost: h\r\n\r\n');
      push(1, 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
      return chunk;
    },
    'over HTTP/2': (push) => {
      push(0, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      push(0, headers(1, POST, 1));
      push(1, headers(1, [...OK, ['content-type', 'text/event-stream']]));
      return data(1, event);
    },
  };
  for (const [name, open] of Object.entries(begin))
    test(`${name} keeps the same memory however long it is`, () => {
      const { push, count } = counted();
      const piece = open(push);
      const kept = (events: number) => {
        while (count.frames < events) push(1, piece);
        collect();
        const { heapUsed, arrayBuffers } = process.memoryUsage();
        return heapUsed + arrayBuffers;
      };
      const early = kept(4000);
      // An hour of events, thirty a second. The text of one is 60 bytes; compiled code takes the rest.
      const grown = kept(112_000) - early;
      assert.ok(grown < 108_000 * 30, `${grown} bytes`);
      assert.equal(count.frames, 112_000);
    });
});
