// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { type Direction, Socket } from '../../src/http/socket.ts';
import type { StreamRef } from '../../src/streams/frame.ts';
import { told } from '../content.ts';
import { calls } from '../input.ts';
import { brief, lent, type Target, Trace, uncut } from '../target.ts';
import { http1 } from './http1.ts';
import { http2 } from './http2.ts';
import { sse } from './sse.ts';
import { websocket } from './websocket.ts';

const MAX = 500;
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const JSON_TEXT = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

/** Flags: 1 and 2 joined; 4 lines by default; 8 each third exchange is not wanted; 16 the capture's end. */
export const socket: Target = {
  name: 'socket',
  tokens: [
    ...http1.tokens,
    ...http2.tokens,
    ...sse.tokens,
    ...websocket.tokens,
    JSON_TEXT,
    'Content-Type: text/event-stream\r\n',
    'Content-Encoding: gzip\r\n',
    zlib.gzipSync(JSON_TEXT),
    'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n',
    '\x16\x03\x01',
  ],
  steps: { perByte: 400, base: 6000 },
  seeds: () => [
    ...http1.seeds(),
    ...http2.seeds(),
    calls(
      0,
      [0, `POST / HTTP/1.1\r\nContent-Length: ${JSON_TEXT.length}\r\n\r\n${JSON_TEXT}`],
      [1, `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1\ndata: ${JSON_TEXT}\n\n`],
    ),
    calls(
      0,
      [0, 'GET / HTTP/1.1\r\n\r\n'],
      [
        1,
        Buffer.concat([
          Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n'),
          zlib.gzipSync(JSON_TEXT),
        ]),
      ],
    ),
    calls(
      0,
      [0, `GET / HTTP/1.1\r\n${UPGRADE}\r\n`],
      [1, `HTTP/1.1 101 S\r\n${UPGRADE}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n`],
      [1, '\x81\x02{}'],
      [0, '\x81\x82\x01\x02\x03\x04\x7a\x7f'],
    ),
    calls(4, [0, `${JSON_TEXT}\n`], [1, '[1]\n']),
    calls(0, [0, '\x16\x03\x01\x00\x05hello']),
  ],
  run({ flags, calls: all }, cutter) {
    const joined = [(flags & 1) !== 0, (flags & 2) !== 0];
    // After a loss, or joined, and where frames are not what they should be, a place to begin is looked for in a
    // call's first piece; of what is compressed and broken, more or less may come out.
    const framed = all.some(
      ({ bytes }) => bytes[0] === 0 || /^PRI|h2c|websocket|content-encoding/i.test(bytes.toString('latin1')),
    );
    const cut = framed || joined.includes(true) || all.some(({ kind }) => kind === 'gap') ? uncut : cutter;
    const trace = new Trace();
    let exchanges = 0;
    const unwanted = (id: number) => {
      if (flags & 8 && id % 3 === 0) skips.push(id);
    };
    const skips: number[] = [];
    const at: [number, number] = [0, 0];
    const watched = new Socket<StreamRef & { readonly id: Direction }>(
      {
        lines: ({ id: direction }, bytes) => trace.add(`${direction} lines `, bytes),
        frame: ({ id: direction }, { offset, size, content, http }) => {
          assert.ok(offset <= at[direction] && size >= 0);
          unwanted(http.exchange.id);
          const event = [http.eventId, http.eventName].map((text) => brief(text ?? ''));
          // Of what is compressed and broken, more or less may have come out.
          const what = content.type === 'incomplete' ? 'incomplete' : `${size} ${told(content)}`;
          trace.say(`${direction} @${offset} ${http.form} ${http.exchange.id} ${event} ${what}`);
        },
        step: ({ id: direction }, offset, { id, request, response }, step) => {
          assert.ok(offset <= at[direction]);
          const { type } = step;
          const head = type === 'head' && direction === 0 ? `${request?.method}` : `${response?.status}`;
          // Of a compressed body that is broken, more or less may have come out.
          const more =
            type === 'event'
              ? `${brief(step.name)} ${brief(step.data)}`
              : type === 'end'
                ? `${step.how} ${step.size}`
                : head;
          trace.say(`${direction} ${type} ${id} ${more}`);
        },
        // How soon copying is stopped depends on the pieces.
        unwanted: () => {},
        foreign: (_, speech) => trace.say(`foreign ${speech}`),
      },
      { maxMessage: MAX, linesByDefault: (flags & 4) !== 0, nextExchange: () => ++exchanges },
      1,
    );
    for (const direction of [0, 1] as const)
      watched.begin(direction, { id: direction, carrier: 'tcp' }, joined[direction] === true);
    for (const { kind, side, bytes } of all) {
      if (kind === 'end') watched.end(side, flags & 16 ? 'stop' : 'closed');
      else if (kind === 'gap') {
        const offset = at[side];
        at[side] += bytes.length;
        if (!watched.speaksLines) watched.gap(side, offset, bytes.length);
      } else
        for (const [n, piece] of cut(bytes, 13).entries()) {
          const offset = at[side];
          at[side] += piece.length;
          lent(piece, (copy) => watched.push(side, copy, offset, n === 0));
        }
      for (const id of skips.splice(0)) watched.skip(id);
    }
    for (const direction of [0, 1] as const) watched.end(direction, flags & 16 ? 'stop' : 'closed');
    return trace.toString();
  },
};
