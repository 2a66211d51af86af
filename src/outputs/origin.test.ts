// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  client,
  httpEvent,
  httpInfo,
  httpRequest,
  httpResponse,
  server,
} from '../../test/support/http-events.ts';
import type { OutputLine } from '../../test/support/mcpspy.ts';
import { objectionTo } from '../../test/support/schema.ts';
import type { GapEvent, InvalidEvent, MessageEvent } from '../mcp/events.ts';
import { formatGap, formatHttp, formatInvalid, formatMessage } from './json-lines.ts';

/** The parsed line, which must be one line and as the schema says. */
function parseLine(text: string): OutputLine {
  assert.doesNotMatch(text, /[\n\r]/);
  const line = JSON.parse(text);
  assert.equal(objectionTo(line), undefined);
  return line;
}

function lineOf(event: MessageEvent): OutputLine {
  return parseLine(formatMessage(event).join(''));
}

test('a message over HTTP says how it was carried, and has no stdio_transport', () => {
  const line = lineOf(
    httpRequest({
      sessionId: 'abcd…',
      protocolVersion: '2025-11-25',
      headers: { 'mcp-session-id': 'abcd…', 'mcp-param-city': 'Zürich' },
    }),
  );
  assert.equal(line['transport_type'], 'http');
  assert.deepEqual(line['http_transport'], {
    pid: 99,
    comm: 'node',
    host: 'api.example.com',
    is_request: true,
    exchange: 5,
    form: 'body',
    http_version: '1.1',
    method: 'POST',
    path: '/mcp',
    session_id: 'abcd…',
    protocol_version: '2025-11-25',
    headers: { 'mcp-session-id': 'abcd…', 'mcp-param-city': 'Zürich' },
    tls: 'OpenSSL',
    local: '192.0.2.1:40000',
    remote: '[2001:db8::1]:443',
  });
  assert.equal('stdio_transport' in line, false);
  assert.deepEqual([line['from'], 'to' in line, line['connection'], line['stream']], [client, false, 1, 1]);
});

test('an event of an event stream in a response has its id and the status', () => {
  const {
    http_transport: http,
    from,
    to,
  } = lineOf(
    httpResponse(
      { form: 'sse', eventId: '12_3', status: 404, version: '2', process: server },
      { from: server },
    ),
  );
  assert.deepEqual(
    [http.is_request, http.form, http.event_id, http.status, http.http_version, http.pid, http.comm],
    [false, 'sse', '12_3', 404, '2', 100, 'python'],
  );
  assert.deepEqual([from, to], [server, client]);
});

test('what is not known of an exchange is absent', () => {
  const unknown = {
    method: undefined,
    path: undefined,
    host: undefined,
    tls: undefined,
    process: undefined,
    local: undefined,
    remote: undefined,
  };
  const line = lineOf(httpRequest(unknown, { from: undefined }));
  assert.deepEqual(line['http_transport'], {
    is_request: true,
    exchange: 5,
    form: 'body',
    http_version: '1.1',
  });
  assert.deepEqual(['from' in line, 'to' in line], [false, false]);
});

test('every message of a stream has its own exchange, whatever was written of the stream before', () => {
  assert.equal(lineOf(httpRequest({ exchange: 8 }))['http_transport'].exchange, 8);
  assert.equal(lineOf(httpRequest({ exchange: 9, path: '/other' }))['http_transport'].path, '/other');
  const { http: _, ...rest } = httpRequest();
  const stdio = lineOf({ ...rest, transport: 'stdio' });
  assert.deepEqual(stdio['stdio_transport'], { from_pid: 99, from_comm: 'node' });
  assert.deepEqual([stdio['transport_type'], 'http_transport' in stdio], ['stdio', false]);
  assert.equal(lineOf(httpRequest())['transport_type'], 'http');
});

test('an invalid frame and a gap over HTTP say how they were carried', () => {
  const { seq, time, transport, connection, stream, offset, from, to, http } = httpRequest();
  const seen = { seq, time, transport, connection, stream, offset, from, to, http: http ?? httpInfo() };
  const invalid: InvalidEvent = {
    ...seen,
    kind: 'invalid',
    reason: 'not JSON',
    size: 1,
    raw: 'x',
    rawBase64: undefined,
  };
  assert.equal(parseLine(formatInvalid(invalid))['http_transport'].host, 'api.example.com');
  const gap: GapEvent = { ...seen, kind: 'gap', cause: 'joined', bytes: 5, frames: undefined };
  assert.equal(parseLine(formatGap(gap))['http_transport'].host, 'api.example.com');
});

test('an HTTP exchange that says something by itself has a line', () => {
  const line = parseLine(formatHttp(httpEvent({ headers: { authorization: 'Bearer ***' } })));
  const { kind, end, duration_ms, size, body, http_transport: http } = line;
  assert.deepEqual([kind, end, duration_ms, size, body], ['http', 'complete', 12, 14, 'invalid token\n']);
  assert.deepEqual([http.method, http.path, http.status], ['POST', '/mcp', 401]);
  assert.deepEqual(http.headers, { authorization: 'Bearer ***' });
  assert.equal('left' in line, false);
});

test('an exchange without a response tells the requests that it leaves without an answer', () => {
  const big = '12345678901234567890';
  const text = formatHttp(
    httpEvent(
      { status: undefined },
      {
        end: 'closed',
        durationMs: undefined,
        body: undefined,
        left: [
          { id: { text: big }, method: 'tools/call', target: 'get_weather', status: 'cancelled' },
          { id: { text: '"b"' }, method: 'ping', target: undefined, status: 'error' },
        ],
      },
    ),
  );
  const line = parseLine(text);
  assert.ok(text.includes(`"left":[{"id":${big},`));
  assert.deepEqual(line['left'][1], { id: 'b', method: 'ping', status: 'error' });
  assert.deepEqual(
    ['duration_ms' in line, 'body' in line, 'status' in line['http_transport']],
    [false, false, false],
  );
});

test('the schema holds each transport to its own members', () => {
  const http = lineOf(httpRequest());
  const { http_transport: carried, ...without } = http;
  assert.notEqual(objectionTo(without), undefined);
  assert.notEqual(objectionTo({ ...http, stdio_transport: {} }), undefined);
  assert.notEqual(objectionTo({ ...without, transport_type: 'stdio' }), undefined);
  assert.notEqual(objectionTo({ ...http, http_transport: { ...carried, surprise: 1 } }), undefined);
  assert.notEqual(
    objectionTo({ ...http, http_transport: { ...carried, local: '2001:db8::1:443' } }),
    undefined,
  );
});

test('any text in what HTTP says gives one line that reads back as it was', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
    fc.constantFrom('\x1b[2J', '\u202e', 'a\r\nb', '\u2028', '__proto__'),
  );
  fc.assert(
    fc.property(text, text, (one, two) => {
      const headers = Object.fromEntries([
        ['mcp-name', one],
        [two, two],
      ]);
      const said = { host: one, path: two, method: two, sessionId: one, protocolVersion: two, eventId: one };
      const { http_transport: http } = lineOf(httpRequest({ ...said, tls: two, headers }));
      assert.deepEqual(
        [http.host, http.path, http.method, http.session_id, http.protocol_version, http.event_id, http.tls],
        [one, two, two, one, two, one, two],
      );
      assert.deepEqual(Object.entries(http.headers), Object.entries(headers));
      assert.equal(parseLine(formatHttp(httpEvent({ path: one }, { body: two })))['body'], two);
    }),
  );
});

test('who is at the ends is said rightly however many there are, over HTTP and otherwise', () => {
  const ends = Array.from({ length: 1500 }, (_, pid) => ({ pid, comm: `c${pid}` }));
  for (const [index, from] of [...ends, ...ends].entries()) {
    const to = ends[(index * 7) % ends.length];
    const event = httpRequest({}, { ...(to && { to }), from, connection: index, stream: index + 1 });
    for (const transport of ['http', 'stdio'] as const) {
      const line = JSON.parse(formatMessage({ ...event, transport }).join(''));
      assert.deepEqual([line.from, line.to, line.connection, line.stream], [from, to, index, index + 1]);
      assert.equal('stdio_transport' in line, transport === 'stdio');
    }
  }
});
