// SPDX-License-Identifier: Apache-2.0
import { Http2Connection } from '../../src/protocols/http2.ts';
import { FLAG, FRAME } from '../../src/protocols/http2-frame-head.ts';
import {
  block,
  data,
  END,
  frame,
  goAway,
  headers,
  NEWEST,
  OK,
  POST,
  reset,
  settings,
} from '../../test/support/http2-peers.ts';
import { playHttp } from '../http-sink.ts';
import { calls } from '../input.ts';
import type { Target } from '../target.ts';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const padding = Buffer.from([3]);
const padded = (stream: number, text: string) =>
  frame(FRAME.data, FLAG.padded, stream, Buffer.concat([padding, Buffer.from(text), Buffer.alloc(3)]));

/** Flags: 1 and 2 joined, of requests and of responses; 4 the end is the capture's. */
export const http2: Target = {
  name: 'http2',
  tokens: [
    PREFACE,
    headers(1, POST),
    headers(3, POST, END, true),
    headers(1, OK),
    headers(2, OK, END),
    headers(1, [['grpc-status', '0']], END),
    headers(1, [[':status', '103']]),
    data(1, 'abc'),
    data(3, '{}', END),
    padded(1, 'abc'),
    reset(1),
    reset(3),
    goAway(0),
    goAway(1),
    settings,
    frame(FRAME.headers, 0, 1, block(POST)),
    frame(FRAME.continuation, FLAG.endHeaders, 1, block([['a', 'b']], true)),
    frame(FRAME.headers, FLAG.endHeaders, 5, NEWEST),
    frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), block(POST)])),
    frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4)),
    frame(FRAME.headers, 0x2d, 1, Buffer.concat([Buffer.alloc(6), block(POST)])),
    frame(0xaa, 0xff, 1, 'x'),
    '\x00\x00\x00',
    '\x00\x00\x01',
    '\x82\x84\x86',
    '\x88',
    '\xbe',
    '\x20',
    '\x3f\xe1\x1f',
    '\x40',
    '\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff',
  ],
  steps: { perByte: 150, base: 2000 },
  seeds: () => [
    calls(
      0,
      [0, PREFACE],
      [0, settings],
      [1, settings],
      [0, headers(1, POST)],
      [0, data(1, '{}', END)],
      [1, headers(1, OK)],
      [1, data(1, '[]', END)],
    ),
    calls(
      0,
      [0, Buffer.concat([Buffer.from(PREFACE), headers(1, POST, END, true), headers(3, POST)])],
      [1, Buffer.concat([headers(1, OK), padded(1, 'a'), headers(1, [['x', 'y']], END)])],
      [1, reset(3)],
    ),
    calls(
      3,
      [1, data(7, 'abc')],
      [0, frame(FRAME.headers, 0x5, 5, Buffer.concat([block(POST), NEWEST]))],
      [1, headers(5, OK)],
      [1, 12],
      [1, headers(7, OK, END)],
    ),
    calls(
      0,
      [0, frame(FRAME.headers, END, 1, block(POST))],
      [0, frame(FRAME.continuation, FLAG.endHeaders, 1, block([['a', 'b']], true))],
      [1, headers(1, [[':status', '100']])],
      [1, headers(1, OK)],
      [1, 5],
      [1, goAway(1)],
    ),
  ],
  run: (input, cut) =>
    playHttp(
      input,
      cut,
      (sink) =>
        new Http2Connection(sink, {
          joined: { request: (input.flags & 1) !== 0, response: (input.flags & 2) !== 0 },
        }),
      0,
      false,
    ),
};
