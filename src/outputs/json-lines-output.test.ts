// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { httpEvent, httpRequest } from '../../test/support/http-events.ts';
import { objectionTo } from '../../test/support/schema.ts';
import { Bus } from '../bus.ts';
import { JsonLinesOutput } from './json-lines-output.ts';

test('every frame on the bus becomes a line, in the order of the bus', () => {
  const bus = new Bus();
  const lines: Record<string, unknown>[] = [];
  new JsonLinesOutput(bus, {
    closed: false,
    write: (line) => lines.push(JSON.parse(typeof line === 'string' ? line : line.join(''))),
    flush: () => {},
    close: () => {},
  });
  const { seq, time, connection, stream, offset, from, to } = httpRequest();
  const seen = { seq, time, transport: 'stdio', connection, stream, offset, from, to } as const;
  bus.emit('capture', {
    time,
    version: '1',
    host: 'h',
    kernel: 'k',
    arch: 'a',
    backend: 'tracepoint',
    options: {},
  });
  bus.emit('message', httpRequest());
  bus.emit('invalid', { ...seen, kind: 'invalid', reason: 'r', size: 1, raw: 'x', rawBase64: undefined });
  bus.emit('http', httpEvent());
  bus.emit('stderr', { ...seen, kind: 'stderr', text: 't' });
  bus.emit('gap', { ...seen, kind: 'gap', cause: 'joined', bytes: 1, frames: undefined });
  bus.emit('ends', {
    kind: 'ends',
    time,
    message: seq,
    method: 'm',
    id: undefined,
    connection,
    stream,
    from,
    to,
  });
  bus.emit('summary', {
    ...{ seconds: 1, bytes: 1, frames: { http: 1 }, methods: [], tools: [], servers: [], losses: {} },
    ...{ time: 0, pending: 0, cancelled: 0, orphans: 0 },
  });
  for (const line of lines) assert.equal(objectionTo(line), undefined);
  assert.deepEqual(
    lines.map(({ kind }) => kind),
    ['capture', 'message', 'invalid', 'http', 'stderr', 'gap', 'ends', 'summary'],
  );
});

test('the examples in docs/output.md are as the schema says, one of each kind and transport', () => {
  const text = readFileSync(new URL('../../docs/output.md', import.meta.url), 'utf8');
  const kinds = new Set<string>();
  for (const [, example = ''] of text.matchAll(/^```json\n(.*?)^```$/gms)) {
    const line = JSON.parse(example.replaceAll('\n', ' '));
    assert.equal(objectionTo(line), undefined, example);
    if (line.raw?.startsWith('{')) assert.doesNotThrow(() => JSON.parse(line.raw), example);
    kinds.add(`${line.kind} ${line.transport_type ?? ''}`.trim());
  }
  assert.deepEqual([...kinds].sort(), [
    'capture',
    'ends',
    'gap stdio',
    'http http',
    'invalid stdio',
    'message http',
    'message stdio',
    'stderr stdio',
    'summary',
  ]);
});
