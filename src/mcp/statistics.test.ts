// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MessageEvent, Party } from './events.ts';
import { MAX_CONNECTIONS, MAX_NAMES, OTHER, Statistics } from './statistics.ts';

const seen = {
  seq: 1,
  time: 0,
  transport: 'stdio',
  connection: 1,
  stream: 1,
  offset: 0,
  from: undefined,
  to: undefined,
} as const;

const request: MessageEvent = {
  ...seen,
  kind: 'message',
  type: 'request',
  id: { text: '1' },
  method: 'tools/call',
  known: true,
  description: undefined,
  target: 'echo',
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
  raw: '{"é":1}',
  size: 8,
};

function answer(changes: Partial<MessageEvent> = {}): MessageEvent {
  return { ...request, type: 'response', status: 'ok', durationMs: 10, ...changes };
}

function summaryOf(...events: Parameters<Statistics['add']>[0][]): ReturnType<Statistics['summary']> {
  const statistics = new Statistics();
  for (const event of events) statistics.add(event);
  return statistics.summary(1, {});
}

test('frames are counted by kind, and payload in bytes', () => {
  const notification: MessageEvent = {
    ...request,
    type: 'notification',
    method: 'notifications/progress',
    status: undefined,
  };
  const { frames, bytes } = summaryOf(
    request,
    answer(),
    notification,
    { ...seen, kind: 'invalid', reason: 'x', size: 100, raw: 'x', rawBase64: undefined },
    { ...seen, kind: 'stderr', text: 'not counted as payload' },
    { ...seen, kind: 'gap', cause: 'splice', bytes: 7, frames: undefined },
  );
  assert.deepEqual(frames, {
    request: 1,
    response: 1,
    notification: 1,
    invalid: 1,
    stderr: 1,
    http: 0,
    gap: 1,
  });
  assert.equal(bytes, 3 * 8 + 100);
});

test('calls are counted by method and by tool, with their errors', () => {
  const { methods, tools } = summaryOf(
    request,
    request,
    { ...request, method: 'ping', target: undefined },
    answer({ status: 'tool_error' }),
    answer({ status: 'error', errorText: '{"code":1,"message":""}', durationMs: 20 }),
  );
  assert.deepEqual(
    methods.map(({ name, calls, errors, max }) => [name, calls, errors, max]),
    [
      ['tools/call', 2, 2, 20],
      ['ping', 1, 0, undefined],
    ],
  );
  assert.deepEqual(
    tools.map(({ name, calls, errors }) => [name, calls, errors]),
    [['echo', 2, 2]],
  );
});

test('requests that did not simply succeed are told apart', () => {
  const cancel: MessageEvent = {
    ...request,
    type: 'notification',
    method: 'notifications/cancelled',
    status: 'cancelled',
  };
  const { pending, cancelled, orphans } = summaryOf(
    request,
    request,
    request,
    request,
    answer(),
    cancel,
    cancel,
    answer({ status: 'late' }),
    answer({ status: 'orphan', method: undefined, target: undefined, durationMs: undefined }),
  );
  assert.deepEqual({ pending, cancelled, orphans }, { pending: 1, cancelled: 2, orphans: 1 });
});

test('a call that passes through a relay counts once, though its frames are all counted', () => {
  const hop = { number: 2, previous: 1, origin: 1 };
  const { frames, methods, pending } = summaryOf(
    request,
    { ...request, hop, connection: 2 },
    answer({ connection: 2 }),
    answer({ hop }),
  );
  assert.equal(frames.request, 2);
  assert.equal(methods[0]?.calls, 1);
  assert.equal(pending, 0);
});

test('servers are completed as they become known', () => {
  const statistics = new Statistics();
  const party = (changes: Partial<Party>): Party => ({
    name: undefined,
    version: undefined,
    endpoint: undefined,
    ...changes,
  });
  statistics.add(request);
  statistics.add({ ...request, connection: 2 });
  const event = { kind: 'server', time: 0, connection: 1 } as const;
  statistics.addServer({
    ...event,
    server: undefined,
    client: party({ name: 'sdk' }),
    protocolVersion: undefined,
  });
  statistics.addServer({
    ...event,
    server: party({ name: 'everything', version: '1' }),
    client: party({ version: '2' }),
    protocolVersion: '2025-11-25',
  });
  assert.deepEqual(statistics.summary(1, {}).servers, [
    {
      connection: 1,
      server: party({ name: 'everything', version: '1' }),
      client: party({ name: 'sdk', version: '2' }),
      protocolVersion: '2025-11-25',
      messages: 1,
    },
  ]);
});

test('names beyond the limit are counted together, and hostile ones are just names', () => {
  const statistics = new Statistics();
  const names = ['__proto__', 'constructor', ...Array.from({ length: MAX_NAMES + 500 }, (_, i) => `t${i}`)];
  for (const target of names) statistics.add({ ...request, target });
  const { tools } = statistics.summary(1, {});
  assert.equal(tools.length, MAX_NAMES + 1);
  assert.deepEqual([tools[0]?.name, tools[0]?.calls], [OTHER, 502]);
  assert.ok(tools.some(({ name }) => name === '__proto__'));
});

test('one sample is every percentile of itself', () => {
  const { p50, p95, max } = summaryOf(answer({ durationMs: 101.5 })).methods[0] ?? {};
  assert.deepEqual([p50, p95, max], [101.5, 101.5, 101.5]);
});

test('percentiles are within 2 % of the exact ones, the maximum is exact', () => {
  const duration = fc.double({ min: -3, max: 7, noNaN: true }).map((exponent) => 10 ** exponent);
  fc.assert(
    fc.property(fc.array(duration, { minLength: 1, maxLength: 200 }), (durations) => {
      const row = summaryOf(...durations.map((durationMs) => answer({ durationMs }))).methods[0];
      const sorted = durations.toSorted((a, b) => a - b);
      const exact = (part: number): number => sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN;
      assert.ok(Math.abs((row?.p50 ?? 0) / exact(0.5) - 1) <= 0.02);
      assert.ok(Math.abs((row?.p95 ?? 0) / exact(0.95) - 1) <= 0.02);
      assert.equal(row?.max, sorted.at(-1));
    }),
  );
});

test('durations out of all proportion are counted too', () => {
  const { p50, max } = summaryOf(answer({ durationMs: 0 }), answer({ durationMs: 1e300 })).methods[0] ?? {};
  assert.ok(p50 !== undefined && p50 < 0.001);
  assert.equal(max, 1e300);
});

test('connections are counted in a bounded number, those used last', () => {
  const statistics = new Statistics();
  const nobody = { name: undefined, version: undefined, endpoint: undefined };
  const about = {
    kind: 'server',
    time: 0,
    server: nobody,
    client: nobody,
    protocolVersion: undefined,
  } as const;
  for (let connection = 1; connection <= MAX_CONNECTIONS + 2; connection++) {
    statistics.addServer({ ...about, connection, sessionId: 'abcd…1234' });
    statistics.add({ ...request, connection: 1 });
  }
  const { servers } = statistics.summary(1, {});
  assert.equal(servers.length, MAX_CONNECTIONS);
  assert.equal(servers[0]?.connection, 1);
  assert.equal(servers[0]?.messages, MAX_CONNECTIONS + 2);
  assert.equal(servers[0]?.sessionId, 'abcd…1234');
  assert.equal(servers[1]?.connection, 4);
});

test('messages that came again are in the summary, if there were any', () => {
  const statistics = new Statistics();
  assert.equal(statistics.summary(1, {}).repeats, undefined);
  assert.equal(statistics.summary(1, {}, { replayed: 0, bothEnds: 0 }).repeats, undefined);
  assert.deepEqual(statistics.summary(1, {}, { replayed: 2, bothEnds: 0 }).repeats, {
    replayed: 2,
    bothEnds: 0,
  });
});
