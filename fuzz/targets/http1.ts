// SPDX-License-Identifier: Apache-2.0
import { Http1Connection } from '../../src/protocols/http1.ts';
import { playHttp } from '../http-sink.ts';
import { calls } from '../input.ts';
import type { Target } from '../target.ts';

/** A status line is looked for in the first piece of a call. */
const STATUS_LINE = 13;

const POST = 'POST /mcp HTTP/1.1\r\nHost: h:1\r\nAccept: application/json, text/event-stream\r\n';
const OK = 'HTTP/1.1 200 OK\r\n';

/** Flags: 1 and 2 joined, of requests and of responses; 4 the end is the capture's. */
export const http1: Target = {
  name: 'http1',
  tokens: [
    '\r\n',
    '\n',
    '\r\n\r\n',
    '\r',
    ' ',
    ':',
    ';',
    ',',
    '0\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'HEAD / HTTP/1.0\r\n',
    'POST ',
    'CONNECT h:1 HTTP/1.1\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 101 S\r\n',
    'HTTP/1.1 204 N\r\n',
    'HTTP/1.1 200 OK\r\n\r\n',
    'HTTP/1.',
    'Upgrade: websocket\r\n',
    'Upgrade: h2c\r\n',
    'Connection: Upgrade\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'Content-Length: 3, 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: gzip\r\n',
    '5\r\nhello\r\n',
    'data: x\n\n',
    'event: ',
    ': ping\n\n',
    'b\r\ndata: abc\n\n\r\n',
    'Trailer: x\r\n',
    '\r\n folded',
  ],
  steps: { perByte: 60, base: 900 },
  seeds: () => [
    calls(
      0,
      [0, `${POST}Content-Length: 2\r\n\r\n{}`],
      [1, `${OK}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]`],
    ),
    calls(
      0,
      [0, `${POST}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n\r\n`],
      [1, `HTTP/1.1 100 Continue\r\n\r\n${OK}Transfer-Encoding: chunked\r\n\r\n9\r\ndata: {}\n\r\n`],
      [1, `1\r\n\n\r\n0\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n`],
    ),
    calls(
      0,
      [0, 'HEAD / HTTP/1.0\r\nX: a\r\n  folded\r\n\r\n'],
      [1, 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n'],
      [0, 'GET / HTTP/1.0\r\n\r\n'],
      [1, 'HTTP/1.0 404 No\r\n\r\nby close'],
    ),
    calls(
      0,
      [0, 'GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly'],
      [1, 'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi'],
      [0, '\x81\x82abcd..'],
    ),
    calls(0, [0, 'CONNECT h:1 HTTP/1.1\r\n\r\n'], [1, `${OK}\r\n`], [0, 'x'], [1, 'y']),
    calls(
      3,
      [1, 'rest of something'],
      [1, 'data: {"a":1}\n\n'],
      [0, 'GET / HTTP/1.1\r\n\r\n'],
      [1, `${OK}Content-Length: 1\r\n\r\nx`],
      [1, `${OK}Content-Length: 0\r\n\r\n`],
    ),
    calls(
      0,
      [0, `${POST}Content-Length: 20\r\n\r\n0123`],
      [0, 5],
      [0, '90123456789'],
      [1, 7],
      [1, `${OK}Content-Length: 9\r\n\r\nabc`],
      [1, 20],
      [0, 'GET / HTTP/1.1\r\n\r\n'],
      [1, `${OK}\r\n`],
    ),
  ],
  run: (input, cut) =>
    playHttp(
      input,
      cut,
      (sink) =>
        new Http1Connection(sink, {
          joined: { request: (input.flags & 1) !== 0, response: (input.flags & 2) !== 0 },
        }),
      STATUS_LINE,
      true,
    ),
};
