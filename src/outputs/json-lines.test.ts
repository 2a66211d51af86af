// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type {
  CaptureInfo,
  GapEvent,
  InvalidEvent,
  MessageEvent,
  StderrEvent,
  Summary,
} from '../mcp/events.ts';
import type { Endpoint } from '../streams/frame.ts';
import {
  formatCapture,
  formatGap,
  formatInvalid,
  formatMessage,
  formatStderr,
  formatSummary,
} from './json-lines.ts';

const schema = JSON.parse(readFileSync(new URL('../../docs/output.schema.json', import.meta.url), 'utf8'));
const validate = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

const client: Endpoint = { pid: 1, comm: 'python', exe: '/usr/bin/python3', argv: ['python3', 'client.py'] };
const server: Endpoint = { pid: 2, comm: 'server' };
// 2026-01-15T12:34:56.789012Z
const TIME = 1_768_480_496_789_012_000;

const seen = {
  seq: 7,
  time: TIME,
  transport: 'stdio',
  connection: 3,
  stream: 4,
  offset: 300,
  from: client,
  to: server,
} as const;

function message(changes: Partial<MessageEvent> = {}): MessageEvent {
  return {
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
    params: '{"name":"get_weather"}',
    result: undefined,
    errorText: undefined,
    batch: undefined,
    hop: undefined,
    foreign: false,
    warnings: [],
    raw: '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get_weather"}}',
    size: 78,
    ...changes,
  } as MessageEvent;
}

function textOf(event: MessageEvent): string {
  return formatMessage(event).join('');
}

/** The parsed line, which must be one line and as the schema says. */
function parseLine(line: string): Record<string, unknown> {
  assert.doesNotMatch(line, /[\n\r]/);
  const value: unknown = JSON.parse(line);
  assert.ok(validate(value), JSON.stringify(validate.errors));
  return value as Record<string, unknown>;
}

const summary: Summary = {
  time: TIME,
  seconds: 12.5,
  bytes: 4096,
  frames: { request: 2, response: 1, notification: 0, invalid: 0, stderr: 0, gap: 1 },
  methods: [{ name: 'tools/call', calls: 2, errors: 1, p50: 1.5, p95: 2.5, max: 3.25 }],
  tools: [{ name: 'echo', calls: 2, errors: 0, p50: undefined, p95: undefined, max: undefined }],
  pending: 1,
  cancelled: 0,
  orphans: 0,
  servers: [
    {
      connection: 3,
      server: { name: 'everything', version: '1.0', endpoint: server },
      client: { name: undefined, version: undefined, endpoint: undefined },
      protocolVersion: '2025-11-25',
      messages: 3,
    },
  ],
  losses: { 'ring-full': { bytes: 10, records: 2, frames: 1 } },
};

test('a request has the keys of the contract, with ours beside them', () => {
  assert.deepEqual(parseLine(textOf(message())), {
    kind: 'message',
    timestamp: '2026-01-15T12:34:56.789012Z',
    transport_type: 'stdio',
    stdio_transport: { from_pid: 1, from_comm: 'python', to_pid: 2, to_comm: 'server' },
    from: { ...client },
    to: { ...server },
    connection: 3,
    stream: 4,
    seq: 7,
    offset: 300,
    type: 'request',
    id: 7,
    method: 'tools/call',
    target: 'get_weather',
    status: 'pending',
    params: { name: 'get_weather' },
    raw: message().raw,
  });
});

test('what is optional appears when it is there', () => {
  const line = parseLine(
    textOf(
      message({
        type: 'response',
        known: false,
        status: 'error',
        durationMs: 101.123456789,
        params: undefined,
        errorText: '{"code":-32002,"message":"Resource not found"}',
        error: { code: -32002, message: 'Resource not found' },
        batch: { index: 0, size: 2 },
        hop: { number: 2, previous: 6, origin: 6 },
        foreign: true,
        warnings: ['duplicate key "id"'],
      }),
    ),
  );
  assert.equal(line.known, false);
  assert.equal(line.duration_ms, 101.123457);
  assert.deepEqual(line.error, { code: -32002, message: 'Resource not found' });
  assert.deepEqual(line.batch, { index: 0, size: 2 });
  assert.deepEqual(line.hop, { number: 2, previous: 6, origin: 6 });
  assert.equal(line.foreign, true);
  assert.deepEqual(line.warnings, ['duplicate key "id"']);
});

test('unknown ends are absent', () => {
  const line = parseLine(textOf(message({ from: undefined, stream: 99 })));
  assert.deepEqual(line.stdio_transport, { to_pid: 2, to_comm: 'server' });
  assert.equal('from' in line, false);
  const neither = parseLine(textOf(message({ from: undefined, to: undefined, stream: 99 })));
  assert.deepEqual(neither.stdio_transport, {});
});

test('a stream whose ends change is shown with the new ones', () => {
  parseLine(textOf(message()));
  const line = parseLine(textOf(message({ from: { pid: 11, comm: 'node' }, connection: 8 })));
  assert.deepEqual(line.from, { pid: 11, comm: 'node' });
  assert.equal(line.connection, 8);
});

test('big integers survive', () => {
  const digits = '123456789012345678901234567890';
  const text = textOf(message({ id: { text: digits }, params: `{"n":${digits}}` }));
  assert.ok(text.includes(`"id":${digits},`) && text.includes(`"params":{"n":${digits}}`));
});

test('line breaks between tokens become spaces, and raw keeps them', () => {
  const params = '{\n"a":\r\n1}';
  const line = parseLine(textOf(message({ params, raw: `{"params":${params}}` })));
  assert.deepEqual(line.params, { a: 1 });
  assert.equal(line.raw, `{"params":${params}}`);
});

test('timestamps have six digits and follow the second', () => {
  const at = (time: number): unknown => parseLine(textOf(message({ time }))).timestamp;
  assert.equal(at(1_768_480_496_000_000_000), '2026-01-15T12:34:56.000000Z');
  assert.equal(at(Number(1_768_480_496_000_001_024n)), '2026-01-15T12:34:56.000001Z');
  assert.equal(at(1_768_480_497_000_000_000), '2026-01-15T12:34:57.000000Z');
  assert.equal(at(Number(1_768_480_496_999_999_744n)), '2026-01-15T12:34:56.999999Z');
});

test('invalid, stderr and gap lines are as the schema says', () => {
  const invalid: InvalidEvent = {
    ...seen,
    kind: 'invalid',
    reason: 'not JSON',
    size: 3,
    raw: '\x1b[\n',
    rawBase64: undefined,
  };
  assert.equal(parseLine(formatInvalid(invalid)).raw, '\x1b[\n');
  const binary = parseLine(formatInvalid({ ...invalid, raw: undefined, rawBase64: '/w==' }));
  assert.equal(binary.raw_base64, '/w==');
  assert.equal('raw' in binary, false);

  const stderr: StderrEvent = { ...seen, kind: 'stderr', to: undefined, text: 'ready' };
  assert.equal(parseLine(formatStderr(stderr)).text, 'ready');

  const gap: GapEvent = { ...seen, kind: 'gap', cause: 'ring-full', bytes: 12345, frames: undefined };
  assert.equal(parseLine(formatGap(gap)).bytes, 12345);
  assert.equal(parseLine(formatGap({ ...gap, frames: 3 })).frames, 3);
});

test('the capture and the summary are as the schema says', () => {
  const info: CaptureInfo = {
    time: TIME,
    version: '0.1.0',
    host: 'box',
    kernel: '6.1.0',
    arch: 'x64',
    backend: 'fentry',
    options: { pid: [1] },
  };
  assert.equal(parseLine(formatCapture(info)).schema_version, 1);
  const line = parseLine(formatSummary(summary));
  assert.deepEqual(line.methods, [
    { name: 'tools/call', calls: 2, errors: 1, p50_ms: 1.5, p95_ms: 2.5, max_ms: 3.25 },
  ]);
  assert.deepEqual(line.tools, [{ name: 'echo', calls: 2, errors: 0 }]);
  assert.deepEqual(line.losses, summary.losses);
  assert.equal(line.timestamp, parseLine(formatCapture(info)).timestamp);
});

test('what HTTP adds to the summary is there when there was any', () => {
  const reason = 'there is no function to attach to';
  const undecoded = { process: server, library: 'rustls', reason, connections: 3, hosts: ['a.example'] };
  const http: Summary = {
    ...summary,
    frames: { ...summary.frames, http: 2 },
    repeats: { replayed: 4, bothEnds: 5 },
    servers: summary.servers.map((entry) => ({ ...entry, sessionId: 'abcd…1f2e' })),
    undecoded: [undecoded],
  };
  const line = parseLine(formatSummary(http));
  assert.equal((line.frames as Record<string, number>).http, 2);
  assert.deepEqual(line.repeats, { replayed: 4, both_ends: 5 });
  assert.equal((line.servers as { session_id: string }[])[0]?.session_id, 'abcd…1f2e');
  assert.deepEqual(line.undecoded_tls, [undecoded]);
  const without = parseLine(formatSummary(summary));
  assert.deepEqual(['repeats' in without, 'undecoded_tls' in without], [false, false]);
});

test('the schema refuses keys that it does not know', () => {
  assert.equal(validate({ ...parseLine(textOf(message())), surprise: 1 }), false);
});

/** Any text: with control characters, lone surrogates, quotes. */
const anyText = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), loneSurrogates());

function loneSurrogates(): fc.Arbitrary<string> {
  return fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
    .map((units) => String.fromCharCode(...units));
}

const anyEndpoint = fc.option(
  fc.record({ pid: fc.nat(), comm: anyText, exe: anyText, argv: fc.array(anyText, { maxLength: 3 }) }),
  { nil: undefined },
);

test('any message gives one line that reads back as it was', () => {
  fc.assert(
    fc.property(
      fc.record({
        from: anyEndpoint,
        to: anyEndpoint,
        method: anyText,
        target: anyText,
        params: fc.dictionary(anyText, anyText),
        space: fc.constantFrom('', ' ', '\n', '\r\n', '\t'),
        // Over and under the window of the escape, so that pairs lie across its edges.
        filler: fc.tuple(fc.constantFrom('', 'x', '"', '😀', 'x😀'), fc.constantFrom(1, 5000)),
        warnings: fc.array(anyText, { maxLength: 2 }),
      }),
      ({ params, space, filler, ...event }) => {
        const value = { ...params, filler: filler[0].repeat(filler[1]) };
        const json = JSON.stringify(value).replace(/^\{/, `{${space}`);
        const raw = `${space}{"params":${space}${json}}`;
        const line = parseLine(textOf(message({ ...event, params: json, raw })));
        assert.equal(line.raw, raw);
        assert.deepEqual(line.params, JSON.parse(json));
        assert.equal(line.method, event.method);
        assert.equal(line.target, event.target);
      },
    ),
  );
});

test('any parts are well-formed, so that each can be written for itself', () => {
  fc.assert(
    fc.property(fc.nat(40), (shift) => {
      const raw = JSON.stringify(`${'x'.repeat(8192 - shift)}${'😀'.repeat(9000)}`);
      const parts = formatMessage(message({ raw }));
      assert.ok(parts.every((part) => typeof part === 'string' && part.isWellFormed()));
      assert.equal(parseLine(parts.join('')).raw, raw);
    }),
    { numRuns: 20 },
  );
});

test('any text in the other kinds gives one line that reads back as it was', () => {
  fc.assert(
    fc.property(anyText, anyEndpoint, (text, from) => {
      const invalid = formatInvalid({
        ...seen,
        kind: 'invalid',
        from,
        reason: text,
        size: 1,
        raw: text,
        rawBase64: undefined,
      });
      assert.equal(parseLine(invalid).raw, text);
      assert.equal(parseLine(formatStderr({ ...seen, kind: 'stderr', from, text })).text, text);
      const named = { ...summary, methods: [{ ...summary.methods[0], name: text }] } as Summary;
      assert.equal((parseLine(formatSummary(named)).methods as { name: string }[])[0]?.name, text);
    }),
  );
});

/** The same message as bytes, the way a large frame comes. */
function large(params: string): MessageEvent {
  const raw = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":${params}}`;
  return message({ raw, params, wire: { raw: Buffer.from(raw), params: Buffer.from(params) } });
}

test('a message in bytes gives the same line as the same message in text', () => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      const event = large(JSON.stringify([JSON.parse(json), 'é😀"\\']));
      const { wire: _, ...text } = event;
      const line = formatMessage(event).map(String).join('');
      assert.equal(line, textOf(text as MessageEvent));
      assert.equal(parseLine(line).raw, event.raw);
    }),
  );
});

test('bytes with very many characters to escape are escaped all the same', () => {
  const event = large(JSON.stringify({ text: '"\\'.repeat(20_000) }));
  assert.equal(parseLine(formatMessage(event).map(String).join('')).raw, event.raw);
});
