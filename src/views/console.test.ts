// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { Bus } from '../bus.ts';
import type { EndsEvent, GapEvent, InvalidEvent, MessageEvent, StderrEvent } from '../mcp/events.ts';
import type { Endpoint } from '../streams/frame.ts';
import { type ConsoleEvent, ConsoleView, formatEndsLine, formatEventLine } from './console.ts';

const client: Endpoint = { pid: 12345, comm: 'python' };
const server: Endpoint = { pid: 12346, comm: 'python' };

const seen = {
  seq: 18,
  time: new Date(2026, 0, 15, 12, 34, 56, 789).getTime() * 1e6,
  transport: 'stdio',
  connection: 1,
  stream: 1,
  offset: 0,
  from: client,
  to: server,
} as const;

const request: MessageEvent = {
  ...seen,
  kind: 'message',
  type: 'request',
  id: { text: '7' },
  method: 'tools/call',
  known: true,
  description: 'Execute a tool',
  target: 'get_weather',
  status: 'pending',
  durationMs: undefined,
  error: undefined,
  params: undefined,
  result: undefined,
  errorText: undefined,
  batch: undefined,
  hop: undefined,
  foreign: false,
  warnings: [],
  raw: '{"id":7}',
  size: 8,
};
const response: MessageEvent = {
  ...request,
  from: server,
  to: client,
  type: 'response',
  status: 'ok',
  durationMs: 101.2,
};
const notification: MessageEvent = {
  ...request,
  type: 'notification',
  id: undefined,
  target: undefined,
  status: undefined,
  method: 'notifications/progress',
  description: 'Progress of a request',
};

/** The line after the time. */
function lineOf(event: ConsoleEvent): string {
  return formatEventLine(event, { color: false, buffers: false }).slice('12:34:56.789 '.length);
}

/** The line after the time and both ends. */
function bodyOf(event: ConsoleEvent): string {
  return lineOf(event).replace(/^.*? → \S+ /, '');
}

test('a line that comes behind younger ones says so, whatever its kind', () => {
  const options = { color: false, buffers: false };
  for (const event of [request, response, notification]) {
    const line = formatEventLine(event, options);
    assert.equal(formatEventLine({ ...event, late: true }, options), `${line} (out of order)`);
  }
});

test('a request and its answer have the shape of the contract', () => {
  const plain = { color: false, buffers: false };
  assert.equal(
    formatEventLine(request, plain),
    '12:34:56.789 python[12345] → python[12346] REQ  tools/call (get_weather) Execute a tool',
  );
  assert.equal(
    formatEventLine(response, plain),
    '12:34:56.789 python[12346] → python[12345] RESP tools/call (get_weather) OK  101 ms',
  );
  const error = { code: -32002, message: 'Resource not found' };
  const refused = {
    ...response,
    method: 'resources/read',
    target: 'file://x',
    durationMs: 3,
    error,
  } as const;
  assert.equal(
    formatEventLine({ ...refused, status: 'error' }, plain),
    '12:34:56.789 python[12346] → python[12345] ERR  resources/read (file://x) Resource not found (-32002)  3 ms',
  );
});

test('a tool error shows its first text', () => {
  const failed = { ...response, status: 'tool_error', durationMs: 5 } as const;
  const result = '{"isError":true,"content":[{"type":"image"},{"type":"text","text":"no such\\ncity"}]}';
  assert.equal(
    bodyOf({ ...failed, result }),
    'ERR  tools/call (get_weather) tool error: no such\\ncity  5 ms',
  );
  for (const unreadable of [
    undefined,
    '{}',
    '{"content":5}',
    '{"content":[null,5]}',
    '[',
    'x'.repeat(70_000),
  ])
    assert.equal(bodyOf({ ...failed, result: unreadable }), 'ERR  tools/call (get_weather) tool error  5 ms');
});

test('states are shown in words', () => {
  assert.equal(
    bodyOf({ ...response, status: 'late' }),
    'RESP tools/call (get_weather) late: after its request was cancelled  101 ms',
  );
  const orphan = { ...response, method: undefined, known: undefined, durationMs: undefined } as const;
  assert.equal(bodyOf({ ...orphan, status: 'orphan' }), 'RESP id 7 orphan: its request was not seen');
  assert.equal(
    bodyOf({ ...orphan, status: 'orphan', error: { code: -1, message: 'no' } }),
    'ERR  id 7 no (-1), orphan: its request was not seen',
  );
});

test('notifications show what they say', () => {
  const body = (method: string, params: string): string => bodyOf({ ...notification, method, params });
  assert.equal(
    body('notifications/progress', '{"progress":3,"total":10,"message":"half"}'),
    'NOTF notifications/progress 3/10 half',
  );
  assert.equal(body('notifications/progress', '{"progress":3}'), 'NOTF notifications/progress 3');
  assert.equal(
    body('notifications/message', '{"level":"warning","data":"disk full"}'),
    'NOTF notifications/message warning: disk full',
  );
  assert.equal(
    body('notifications/message', '{"level":"info","data":{"a":1}}'),
    'NOTF notifications/message info: {"a":1}',
  );
  assert.equal(
    body('notifications/cancelled', '{"requestId":12345678901234567890,"reason":"slow"}'),
    'NOTF notifications/cancelled request 12345678901234567890: slow',
  );
  assert.equal(
    body('notifications/cancelled', '{"reason":1, "requestId": "a\\"b"}'),
    'NOTF notifications/cancelled request "a\\"b"',
  );
  assert.equal(body('notifications/progress', 'broken'), 'NOTF notifications/progress Progress of a request');
});

test('what is unusual about a message is marked', () => {
  const odd = { ...request, known: false, description: undefined, target: undefined, method: 'x/y' } as const;
  assert.equal(bodyOf(odd), 'REQ  x/y (unknown method)');
  assert.equal(bodyOf({ ...odd, foreign: true }), 'REQ  x/y (not MCP)');
  assert.equal(
    bodyOf({ ...request, batch: { index: 1, size: 3 } }),
    'REQ  tools/call (get_weather) Execute a tool [2/3]',
  );
  assert.equal(
    bodyOf({ ...request, hop: { number: 2, previous: 17, origin: 17 } }),
    'REQ  tools/call (get_weather) Execute a tool ↷ hop 2 of #17',
  );
  assert.equal(
    bodyOf({ ...request, warnings: ['duplicate key "id"'] }),
    'REQ  tools/call (get_weather) Execute a tool ⚠ duplicate key "id"',
  );
  assert.match(lineOf({ ...request, from: undefined, to: undefined }), /^\? → \? REQ {2}/);
});

const invalid: InvalidEvent = {
  ...seen,
  kind: 'invalid',
  reason: 'not JSON',
  size: 1234,
  raw: `hello\x1b[2J${'x'.repeat(100)}`,
  rawBase64: undefined,
};
const stderr: StderrEvent = { ...seen, kind: 'stderr', from: server, to: undefined, text: 'listening' };
const gap: GapEvent = { ...seen, kind: 'gap', cause: 'ring-full', bytes: 12345, frames: 3 };

const ends: EndsEvent = {
  ...{ kind: 'ends', time: seen.time, connection: 1, stream: 1, from: client, to: server },
  ...{ message: 12, method: 'initialize', id: { text: '0' } },
};

test('whose a message was is told when it turns out', () => {
  const lineOf = (event: EndsEvent) =>
    formatEndsLine(event, { color: false, buffers: false }).replace(/^\S+ /, '');
  const both = 'python[12345] → python[12346]';
  assert.equal(lineOf(ends), `${both} ENDS of #12 (initialize)`);
  assert.equal(lineOf({ ...ends, method: undefined }), `${both} ENDS of #12 (id 0)`);
  assert.equal(lineOf({ ...ends, method: undefined, id: undefined }), `${both} ENDS of #12`);
  assert.equal(lineOf({ ...ends, method: 'a\x1b[2J' }), `${both} ENDS of #12 (a\\x1b[2J)`);
});

test('what is no message has its own tag', () => {
  assert.equal(bodyOf(invalid), `BAD  not JSON (1.21 KiB): "hello\\x1b[2J${'x'.repeat(67)}…"`);
  assert.equal(
    bodyOf({ ...invalid, reason: 'not UTF-8', size: 1, raw: undefined, rawBase64: '/w==' }),
    'BAD  not UTF-8 (1 byte): base64 "/w=="',
  );
  assert.equal(lineOf(stderr), 'python[12346] LOG  stderr: listening');
  assert.equal(bodyOf(gap), 'LOST 12,345 bytes (3 frames): ring full');
  assert.equal(bodyOf({ ...gap, bytes: 1, frames: undefined }), 'LOST 1 byte: ring full');
});

test('colours change nothing but the colour', () => {
  for (const event of [request, response, notification, invalid, stderr, gap]) {
    const coloured = formatEventLine(event, { color: true, buffers: false });
    assert.ok(coloured.includes('\x1b['));
    assert.equal(
      stripVTControlCharacters(coloured),
      formatEventLine(event, { color: false, buffers: false }),
    );
  }
});

test('buffers are printed under the line', () => {
  assert.equal(
    formatEventLine({ ...request, raw: '{"id":7,"params":{}}' }, { color: false, buffers: true }),
    `${formatEventLine(request, { color: false, buffers: false })}
┌────
│ {
│   "id": 7,
│   "params": {}
│ }
└────`,
  );
});

test('the view writes a line for each frame on the bus', () => {
  const bus = new Bus();
  let output = '';
  const write = (text: string): void => {
    output += text;
  };
  new ConsoleView(bus, write, { color: false, buffers: false });
  bus.emit('message', request);
  bus.emit('invalid', invalid);
  bus.emit('stderr', stderr);
  bus.emit('gap', gap);
  bus.emit('ends', ends);
  assert.deepEqual(
    output.split('\n').map((line) => /REQ|BAD|LOG|LOST|ENDS/.exec(line)?.[0]),
    ['REQ', 'BAD', 'LOG', 'LOST', 'ENDS', undefined],
  );
});

test('no captured text reaches the terminal as a command', () => {
  const text = fc
    .array(fc.oneof(fc.integer({ min: 0, max: 0x10ffff }), fc.integer({ min: 0, max: 0xff })))
    .map((codes) => codes.map((code) => String.fromCodePoint(code)).join(''));
  fc.assert(
    fc.property(text, text, fc.boolean(), fc.boolean(), (one, two, color, buffers) => {
      const from: Endpoint = { pid: 1, comm: one };
      const params = JSON.stringify({ progress: 1, message: one, level: two, data: two, reason: one });
      const content = JSON.stringify({ content: [{ text: one }] });
      const events: ConsoleEvent[] = [
        { ...request, from, method: one, target: two, warnings: [two], raw: one },
        { ...response, error: { code: 1, message: one }, id: { text: two }, method: undefined },
        { ...response, status: 'tool_error', result: content },
        { ...invalid, from, reason: one, raw: two },
        { ...stderr, from, text: one },
        ...['progress', 'message', 'cancelled'].map((name) => ({
          ...notification,
          method: `notifications/${name}`,
          params,
        })),
      ];
      for (const event of events) {
        const line = formatEventLine(event, { color, buffers });
        const shown = color ? line.replace(/\x1b\[\d+m/g, '') : line;
        assert.doesNotMatch(shown.replaceAll('\n│', '').replaceAll(/\n[┌└]/g, ''), /[\p{Cc}\p{Cf}\p{Cs}]/u);
      }
    }),
  );
});
