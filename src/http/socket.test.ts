// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { StreamRef } from '../streams/frame.ts';
import { type Direction, Socket, type SocketOptions } from './socket.ts';

const REQUEST_BODY = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const RESPONSE_BODY = '{"jsonrpc":"2.0","id":1,"result":{}}';
const REQUEST = `POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: ${REQUEST_BODY.length}\r\n\r\n${REQUEST_BODY}`;
const RESPONSE = `HTTP/1.1 200 OK\r\nContent-Length: ${RESPONSE_BODY.length}\r\n\r\n${RESPONSE_BODY}`;

/** A socket of which all that comes out is written down, one line each. */
function socket(options: Partial<SocketOptions> = {}, joined = false) {
  const out: string[] = [];
  const offsets: [number, number] = [0, 0];
  let exchanges = 0;
  const shared = new Socket<StreamRef & { readonly id: Direction }>(
    {
      lines: ({ id: direction }, bytes, offset) => out.push(`${direction} lines@${offset} ${bytes}`),
      frame: ({ id: direction }, { content, http }) =>
        out.push(
          `${direction} ${http.side} ${http.form} #${http.exchange.id} ${'text' in content ? content.text : content.type}`,
        ),
      step: ({ id: direction }, _offset, exchange, step) =>
        out.push(`${direction} ${step.type}${step.type === 'end' ? ` ${step.how}` : ''} #${exchange.id}`),
      unwanted: ({ id: direction }) => out.push(`${direction} unwanted`),
      foreign: ({ id: direction }, speech) => out.push(`${direction} foreign ${speech}`),
    },
    {
      maxMessage: 1 << 20,
      linesByDefault: false,
      nextExchange: () => ++exchanges,
      ...options,
    },
    1,
  );
  for (const direction of [0, 1] as const) shared.begin(direction, { id: direction, carrier: 'tcp' }, joined);
  const push = (direction: Direction, text: string, boundary = true) => {
    const bytes = Buffer.from(text, 'latin1');
    shared.push(direction, bytes, offsets[direction], boundary);
    offsets[direction] += bytes.length;
  };
  const frames = () => out.filter((line) => / (body|sse|websocket) #/.test(line));
  return { shared, push, out, frames };
}

describe('a socket', () => {
  test('that speaks HTTP gives the frames of both directions, with their exchange', () => {
    const { push, frames } = socket();
    push(0, REQUEST);
    push(1, RESPONSE);
    push(0, REQUEST);
    push(1, RESPONSE);
    assert.deepEqual(frames(), [
      `0 request body #1 ${REQUEST_BODY}`,
      `1 response body #1 ${RESPONSE_BODY}`,
      `0 request body #2 ${REQUEST_BODY}`,
      `1 response body #2 ${RESPONSE_BODY}`,
    ]);
  });

  test('knows the requests by what they are, not by which direction was seen first', () => {
    const { push, frames } = socket();
    push(1, REQUEST);
    push(0, RESPONSE);
    assert.deepEqual(frames(), [`1 request body #1 ${REQUEST_BODY}`, `0 response body #1 ${RESPONSE_BODY}`]);
  });

  test('says the same however its bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (cuts) => {
        const { push, frames } = socket();
        for (const [direction, text] of [
          [0, REQUEST],
          [1, RESPONSE],
        ] as const) {
          let turn = 0;
          for (let at = 0; at < text.length; turn++) {
            const length = cuts[turn % cuts.length] ?? 1;
            push(direction, text.slice(at, at + length));
            at += length;
          }
        }
        assert.deepEqual(frames(), [
          `0 request body #1 ${REQUEST_BODY}`,
          `1 response body #1 ${RESPONSE_BODY}`,
        ]);
      }),
    );
  });

  test('that speaks in lines hands all its bytes on, also those that did not suffice to know it', () => {
    const { shared, push, out } = socket();
    push(0, '\n');
    push(0, '{"a":');
    push(0, '1}\n');
    assert.ok(shared.speaksLines);
    assert.deepEqual(out, ['0 lines@0 \n{"a":', '0 lines@6 1}\n']);
  });

  test('of which nothing is known is not worth copying, unless anything may be a line there', () => {
    const plain = socket();
    plain.push(0, 'SSH-2.0-x\r\n');
    assert.deepEqual(plain.out, ['0 foreign unknown']);
    const unix = socket({ linesByDefault: true });
    unix.push(0, 'Server started\n');
    assert.deepEqual(unix.out, ['0 lines@0 Server started\n']);
  });

  test('that may hold lines hands on what looks like a request for too long', () => {
    const text = `\n\n\n\nGET ${'x'.repeat(16379)}`;
    const plain = socket();
    plain.push(0, text);
    assert.deepEqual(plain.out, ['0 foreign unknown']);
    const unix = socket({ linesByDefault: true });
    unix.push(0, text);
    assert.deepEqual(unix.out, [`0 lines@0 ${text}`]);
  });

  test('knows whether it is worth copying', () => {
    for (const [said, foreign] of [
      ['SSH-2.0-x\r\n', true],
      ['\x16\x03\x01\x00\x05hello', true],
      ['', false],
      [REQUEST, false],
      ['{"a":1}\n', false],
    ] as const) {
      const { shared, push } = socket();
      push(0, said);
      assert.equal(shared.isForeign, foreign, said);
    }
  });

  test('that speaks TLS is told of once', () => {
    const { push, out } = socket();
    push(0, '\x16\x03\x01\x00\x05hello');
    push(1, '\x16\x03\x03\x00\x05hello');
    assert.deepEqual(out, ['0 foreign tls']);
  });

  test('joined in the middle waits for the beginning of a call that begins a message', () => {
    const { push, frames, out } = socket({}, true);
    push(1, 'the rest of an answer');
    push(0, 'the rest of a question', true);
    push(0, REQUEST.slice(0, 10), false);
    push(0, REQUEST);
    push(1, RESPONSE);
    assert.deepEqual(frames(), [`0 request body #1 ${REQUEST_BODY}`, `1 response body #1 ${RESPONSE_BODY}`]);
    assert.ok(!out.some((line) => line.includes('foreign')));
  });

  test('joined in the middle of an event stream goes on with the next event', () => {
    const { push, frames } = socket({}, true);
    push(1, `2e\r\nevent: message\ndata: ${RESPONSE_BODY.slice(0, 23)}\n\n\r\n`);
    const event = `event: message\ndata: ${RESPONSE_BODY}\n\n`;
    push(1, `${event.length.toString(16)}\r\n${event}\r\n`);
    assert.equal(frames().at(-1), `1 response sse #1 ${RESPONSE_BODY}`);
  });

  test('asks to stop copying the rest of a large answer that nobody wants, and takes the next exchange', () => {
    const { shared, push, frames, out } = socket();
    push(0, 'GET /large HTTP/1.1\r\nHost: h\r\n\r\n');
    push(1, 'HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n');
    shared.skip(1);
    push(1, 'x'.repeat(16000));
    assert.ok(!out.includes('1 unwanted'));
    push(1, 'x'.repeat(1000));
    assert.ok(out.includes('1 unwanted'));
    // The kernel stops copying here, and begins again with the next head.
    shared.gap(1, 17042, 23000);
    push(0, REQUEST);
    push(1, RESPONSE);
    assert.deepEqual(frames(), [`0 request body #2 ${REQUEST_BODY}`, `1 response body #2 ${RESPONSE_BODY}`]);
  });

  test('goes on with the next message after a loss', () => {
    const { shared, push, frames } = socket();
    push(0, REQUEST.slice(0, 30));
    shared.gap(0, 30, 500);
    push(0, REQUEST);
    push(1, RESPONSE);
    assert.equal(frames().length, 2);
  });

  test('that becomes a WebSocket gives its messages', () => {
    const { push, frames } = socket();
    push(0, 'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    push(1, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    push(1, `\x81${String.fromCharCode(RESPONSE_BODY.length)}${RESPONSE_BODY}`);
    assert.deepEqual(frames(), [`1 response websocket #1 ${RESPONSE_BODY}`]);
  });
});
