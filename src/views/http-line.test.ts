// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { httpEvent, httpInfo, httpRequest, httpResponse } from '../../test/support/http-events.ts';
import { Bus } from '../bus.ts';
import type { HttpEvent, HttpInfo, InvalidEvent } from '../mcp/events.ts';
import { type ConsoleEvent, ConsoleView, formatEventLine } from './console.ts';
import { DebugView } from './debug.ts';

const plain = { color: false, buffers: false };

/** The line after the time and both ends. */
function bodyOf(event: ConsoleEvent): string {
  return formatEventLine(event, plain).replace(/^.*? → \S+ /, '');
}

test('a request over HTTP and its answer have the shape of the contract', () => {
  assert.equal(
    formatEventLine(httpRequest(), plain),
    '12:34:56.789 node[99] → api.example.com:443 REQ  tools/call (get_weather) Execute a tool',
  );
  assert.equal(
    formatEventLine(httpResponse(), plain),
    '12:34:56.789 api.example.com:443 → node[99] RESP tools/call (get_weather) OK  101 ms',
  );
});

test('the status is shown on a message that it says something about', () => {
  const shown = (http: Partial<HttpInfo>): string => bodyOf(httpResponse(http));
  assert.equal(shown({ status: 202 }), 'RESP tools/call (get_weather) OK  101 ms');
  assert.equal(shown({ status: 101, form: 'websocket' }), 'RESP tools/call (get_weather) OK  101 ms');
  assert.equal(shown({ status: 201 }), 'RESP tools/call (get_weather) OK HTTP 201  101 ms');
  const error = { code: -32601, message: 'Method not found' };
  assert.equal(
    bodyOf(httpResponse({ status: 404 }, { status: 'error', error })),
    'ERR  tools/call (get_weather) Method not found (-32601) HTTP 404  101 ms',
  );
});

test('the status is shown on what should have been a message', () => {
  const { seq, time, transport, connection, stream, offset, from, to } = httpResponse();
  const invalid: InvalidEvent = {
    ...{ seq, time, transport, connection, stream, offset, from, to },
    http: httpInfo({ isRequest: false, status: 500 }),
    kind: 'invalid',
    reason: 'not JSON',
    size: 4,
    raw: 'oops',
    rawBase64: undefined,
  };
  assert.equal(bodyOf(invalid), 'BAD  not JSON (4 bytes) HTTP 500: "oops"');
});

test('an exchange is shown with method, path, status, duration and the beginning of its body', () => {
  assert.equal(
    formatEventLine(httpEvent(), plain),
    '12:34:56.789 node[99] → api.example.com:443 HTTP POST /mcp 401 Unauthorized  12 ms: "invalid token\\n"',
  );
  const ended = { method: 'DELETE', status: 200 };
  assert.equal(bodyOf(httpEvent(ended, { body: undefined })), 'HTTP DELETE /mcp 200 OK  12 ms');
  assert.equal(bodyOf(httpEvent({ status: 599 }, { body: '', durationMs: undefined })), 'HTTP POST /mcp 599');
  assert.equal(
    bodyOf(httpEvent({ method: undefined, path: undefined }, { body: undefined })),
    'HTTP ? ? 401 Unauthorized  12 ms',
  );
});

test('an exchange that did not end well says how, and which requests it leaves', () => {
  const none = { body: undefined, durationMs: undefined } as const;
  const left = (status: 'cancelled' | 'error', target?: string) =>
    ({ id: { text: '1' }, method: 'tools/call', target, status }) as const;
  const body = (status: number | undefined, changes: Partial<HttpEvent>): string =>
    bodyOf(httpEvent({ status }, { ...none, ...changes }));
  assert.equal(body(undefined, { end: 'closed' }), 'HTTP POST /mcp no response, connection closed');
  assert.equal(
    body(200, { end: 'reset', left: [left('cancelled', 'get_weather')] }),
    'HTTP POST /mcp 200 OK, reset, cancelled: tools/call (get_weather)',
  );
  assert.equal(
    body(503, { left: Array.from({ length: 5 }, () => left('error')) }),
    'HTTP POST /mcp 503 Service Unavailable, unanswered: tools/call, unanswered: tools/call, unanswered: tools/call, and 2 more',
  );
  assert.equal(body(200, { end: 'gap' }), 'HTTP POST /mcp 200 OK, bytes lost');
  assert.equal(body(undefined, { end: 'stop' }), 'HTTP POST /mcp no response, capture ended');
});

test('an exchange that failed is red, and colours change nothing but the colour', () => {
  const red = '\x1b[31mHTTP\x1b[39m';
  const coloured = (event: ConsoleEvent) => formatEventLine(event, { color: true, buffers: false });
  for (const [status, isRed] of [
    [200, false],
    [307, false],
    [400, true],
    [503, true],
    [undefined, true],
  ] as const) {
    const line = coloured(httpEvent({ status }));
    assert.equal(line.includes(red), isRed);
    assert.equal(stripVTControlCharacters(line), formatEventLine(httpEvent({ status }), plain));
  }
  assert.ok(coloured(httpResponse({ status: 404 })).includes('\x1b[31mHTTP 404\x1b[39m'));
});

test('buffers show the body of an exchange, indented when it is JSON', () => {
  const under = (body: string | undefined): string =>
    formatEventLine(httpEvent({}, { body }), { color: false, buffers: true }).split('\n').slice(1).join('\n');
  assert.equal(under('{"error":"x"}'), '┌────\n│ {\n│   "error": "x"\n│ }\n└────');
  assert.equal(under('{"error":'), '┌────\n│ {"error":\n└────');
  assert.equal(under('no\n\x1b[2J'), '┌────\n│ no\n│ \\x1b[2J\n└────');
  assert.equal(under(undefined), '');
});

test('the views show what the bus carries of HTTP', () => {
  const bus = new Bus();
  const shown: string[] = [];
  const debug: string[] = [];
  new ConsoleView(bus, (text) => shown.push(text), plain);
  new DebugView(bus, (line) => debug.push(line));
  bus.emit('http', httpEvent());
  bus.emit('message', httpResponse());
  assert.deepEqual(
    shown.map((text) => / (HTTP|RESP) /.exec(text)?.[1]),
    ['HTTP', 'RESP'],
  );
  assert.match(debug[0] ?? '', /^bus http \{"seq":18,.*"end":"complete",.*"http":\{"exchange":5,/);
  assert.match(debug[1] ?? '', /^bus message .*"type":"response","id":\{"text":"7"\},"method":"tools\/call"/);
});

test('nothing that HTTP says reaches the terminal as a command', () => {
  const hostile = fc.constantFrom(
    '\x1b[2J',
    '\x9b2J',
    '\u202e',
    '\r\n',
    '\u2028',
    '\u200b',
    '\ud800',
    '\x00',
    '\x7f',
  );
  const text = fc.array(fc.oneof(hostile, fc.string({ unit: 'binary' }))).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, text, fc.boolean(), fc.boolean(), (one, two, color, buffers) => {
      const http = {
        method: one,
        path: two,
        host: one,
        sessionId: two,
        protocolVersion: one,
        headers: { 'mcp-name': one, [two]: two },
        eventId: two,
        tls: one,
      };
      const left = [{ id: { text: one }, method: two, target: one, status: 'error' }] as const;
      const events: ConsoleEvent[] = [
        httpRequest(http, { raw: two }),
        httpResponse({ ...http, status: 404 }, { raw: one }),
        httpEvent(http, { body: two, left }),
        httpEvent({ ...http, process: undefined }, { from: undefined, to: undefined, body: one }),
      ];
      const bus = new Bus();
      const debug: string[] = [];
      new DebugView(bus, (line) => debug.push(line));
      for (const event of events) {
        if (event.kind === 'http') bus.emit('http', event);
        else if (event.kind === 'message') bus.emit('message', event);
        const line = formatEventLine(event, { color, buffers });
        // Our own colours and the frame of the box are no text of theirs.
        const shown = (color ? line.replace(/\x1b\[\d+m/g, '') : line)
          .replaceAll('\n│', '')
          .replaceAll(/\n[┌└]/g, '');
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }
      assert.equal(debug.length, events.length);
      for (const line of debug) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }),
  );
});
