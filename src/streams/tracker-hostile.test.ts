// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AWAY, back, LOOPBACK, MS, ok, post, result, rpc, tracking } from '../../test/support/tracking.ts';
import type { SourceRecord } from '../source/records.ts';
import type { Carrier, LossCause } from './frame.ts';

/** What moves in real connections, and what does not. */
const SAID = [
  post(rpc(1)),
  ok(result(1)),
  ok(result(1)).slice(0, 40),
  result(1).slice(5),
  `${rpc(1)}\n`,
  'GET /sse HTTP/1.1\r\nHost: h\r\n\r\n',
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
  'ffffffffffffffff\r\n',
  `data: ${rpc(2)}\n\n`,
  'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
  'CONNECT h:1 HTTP/1.1\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x00\x00\x00\x04\x00\x00\x00\x00\x00',
  '\x00\x00\x01\x01\x05\x00\x00\x00\x01\x82',
  '\x00\x00\x02\x00\x01\x00\x00\x00\x01{}',
  '\x81\x02{}',
  '\x16\x03\x01\x02\x00\x01',
  'SSH-2.0-x\r\n',
  '\r\n',
  'H',
  'x'.repeat(20_000),
];

const CARRIERS: readonly Carrier[] = ['tcp', 'tls', 'tcp', 'tls', 'unix', 'unix-seqpacket', 'pipe', 'stderr'];
const CAUSES: readonly LossCause[] = ['ring-full', 'unreadable', 'splice', 'io_uring'];

const stream = fc.integer({ min: 1, max: 6 });
const time = fc.integer({ min: 0, max: 20_000 }).map((milliseconds) => milliseconds * MS);
const pid = fc.constantFrom(100, 200, 300);
const addresses = fc.constantFrom(LOOPBACK, back(LOOPBACK), AWAY, back(AWAY));
const said = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...SAID).map((text) => Buffer.from(text, 'latin1')) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)) },
);
/** Mostly `undefined`: where the last bytes ended. */
const offset = fc.option(fc.integer({ min: 0, max: 50_000 }), { nil: undefined, freq: 8 });

interface Said {
  readonly do: 'record';
  readonly record: SourceRecord;
  /** Its place is where the last bytes of its stream ended. */
  readonly next: boolean;
}

interface Asked {
  readonly do: 'settled' | 'stop' | 'keep' | 'skip' | 'keepFrom';
  readonly at: number;
}

type Step = Said | Asked;

const record = (next: boolean, arbitrary: fc.Arbitrary<SourceRecord>): fc.Arbitrary<Step> =>
  arbitrary.map((each) => ({ do: 'record', record: each, next }));

const data = fc
  .record({
    ...{
      type: fc.constant('data' as const),
      time,
      stream,
      pid,
      bytes: said,
      fd: fc.integer({ min: 0, max: 6 }),
    },
    ...{ offset, fromReader: fc.boolean(), packetEnd: fc.boolean(), resumed: fc.boolean() },
  })
  .map(
    ({ offset: at, ...rest }): Step => ({
      do: 'record',
      record: { ...rest, offset: at ?? 0 },
      next: at === undefined,
    }),
  );

const others = [
  record(
    false,
    fc.record({
      ...{ type: fc.constant('stream' as const), time, stream, pair: fc.integer({ min: 0, max: 6 }) },
      pid: fc.constant(1),
      ...{ carrier: fc.constantFrom(...CARRIERS), inode: fc.integer({ min: 0, max: 2 }) },
      ...{ peerInode: fc.constant(0), device: fc.constant(9), joined: fc.boolean() },
      addresses: fc.option(addresses, { nil: undefined }),
      tls: fc.constantFrom(undefined, 'OpenSSL'),
    }),
  ),
  record(
    true,
    fc.record({
      ...{ type: fc.constant('gap' as const), time, stream, bytes: fc.integer({ min: 1, max: 30_000 }) },
      offset: fc.option(fc.integer({ min: 0, max: 50_000 }), { nil: undefined }),
      ...{ lines: fc.constantFrom(undefined, 2), endsLine: fc.constantFrom(undefined, true, false) },
      ...{ cause: fc.constantFrom(...CAUSES), mayArrive: fc.boolean(), fromReader: fc.boolean() },
    }),
  ),
  record(false, fc.record({ type: fc.constant('tie' as const), time, stream, addresses })),
  record(
    false,
    fc.record({
      ...{ type: fc.constant('endpoint' as const), time, stream, pid, fd: fc.integer({ min: 0, max: 6 }) },
      ...{ reader: fc.boolean(), comm: fc.constant('node') },
    }),
  ),
  record(false, fc.record({ type: fc.constant('eof' as const), time, stream })),
  record(false, fc.record({ type: fc.constant('exit' as const), time, pid })),
  record(
    false,
    fc.record({ type: fc.constant('fork' as const), time, pid, parent: pid, comm: fc.constant('f') }),
  ),
];

const steps = fc.array(
  fc.oneof({ weight: 20, arbitrary: data }, ...others.map((arbitrary) => ({ weight: 3, arbitrary })), {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'settled' as const,
        'stop' as const,
        'keep' as const,
        'skip' as const,
        'keepFrom' as const,
      ),
      at: fc.integer({ min: 0, max: 20_000 }),
    }),
  }),
  { maxLength: 60 },
);

function run(all: readonly Step[]) {
  const holder = { pid: 300, comm: 'outside', fd: 6, inScope: false };
  const tracked = tracking({ holders: () => [holder], maxMessage: 1000 });
  const { tracker, items } = tracked;
  const ends = new Map<number, number>();
  const ask = (asked: Asked['do'], at: number) => {
    const last = items.findLast((item) => item.kind === 'http');
    if (asked === 'settled') tracker.settled(at * MS);
    else if (asked === 'stop') tracker.stop(at % 7);
    else if (asked === 'keep') tracker.keep(at % 7);
    else if (asked === 'keepFrom') tracker.keepFrom([100, 200, 300][at % 3] ?? 0);
    else if (last) tracker.skipExchange(last.stream.id, last.exchange);
  };
  const say = (said: SourceRecord, next: boolean) => {
    if (said.type !== 'data' && said.type !== 'gap') {
      tracker.record(said);
      return;
    }
    const known = ends.get(said.stream) ?? 0;
    const at = next ? known : said.offset;
    ends.set(said.stream, (at ?? known) + (said.type === 'data' ? said.bytes.length : said.bytes));
    tracker.record(said.type === 'data' ? { ...said, offset: at ?? 0 } : { ...said, offset: at });
  };
  for (const step of all) {
    if (step.do === 'record') say(step.record, step.next);
    else ask(step.do, step.at);
  }
  tracker.finish(30_000 * MS);
  return tracked;
}

test('whatever records come in whatever order, nothing throws, time does not go back and each end is told once', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const { items } = run(all);
      let before = 0;
      const over = new Set<string>();
      for (const item of items) {
        assert.ok(item.time >= before, 'time goes back');
        before = item.time;
        if (item.kind !== 'http' || item.step.type !== 'end') continue;
        const end = `${item.exchange.id} ${item.side}`;
        assert.ok(!over.has(end), `${end} has two ends`);
        over.add(end);
      }
    }),
    { numRuns: 3000 },
  );
});

test('what is said to such a tracker is, now and then, understood: the test above sees more than refusals', () => {
  const said = new Set<string>();
  for (const all of fc.sample(steps, { numRuns: 500, seed: 1 }))
    for (const item of run(all).items) {
      said.add(item.kind);
      if (item.kind === 'frame' && item.http) said.add(item.http.form);
      if (item.kind === 'http') said.add(item.step.type);
    }
  const expected = ['frame', 'gap', 'http', 'end', 'body', 'sse', 'head'];
  assert.deepEqual(
    expected.filter((each) => !said.has(each)),
    [],
  );
});
