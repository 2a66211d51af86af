// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  CLIENT,
  INITIALIZE,
  MS,
  notification,
  request,
  result,
  SERVER,
  scene,
} from '../../test/support/http-scene.ts';
import type { Frame } from '../streams/frame.ts';
import { HOLD_NS, Outbox } from './outbox.ts';

/** An outbox, and the times of what it has told; a late one is negative. */
function filled() {
  const outbox = new Outbox();
  const told: number[] = [];
  const put = (time: number, size = 1) => outbox.put(time, size, (late) => told.push(late ? -time : time));
  return { outbox, told, put };
}

describe('an outbox', () => {
  test('tells at once while nothing is undecided', () => {
    const { told, put } = filled();
    put(1 * MS);
    put(2 * MS);
    assert.deepEqual(told, [1 * MS, 2 * MS]);
  });

  test('tells what was undecided in its place, if it is decided within 100 ms', () => {
    const { outbox, told, put } = filled();
    outbox.hold('a', 1 * MS);
    outbox.hold('b', 2 * MS);
    put(3 * MS);
    put(50 * MS);
    assert.equal(outbox.settled(60 * MS), true);
    outbox.release('a');
    for (const time of [1, 40]) put(time * MS);
    outbox.settled(70 * MS);
    // `b` is still undecided.
    assert.deepEqual(told, [1 * MS]);
    outbox.release('b');
    put(2 * MS);
    assert.equal(outbox.settled(80 * MS), false);
    assert.deepEqual(
      told,
      [1, 2, 3, 40, 50].map((time) => time * MS),
    );
  });

  test('waits no longer than that, and says what comes later to be late', () => {
    const { outbox, told, put } = filled();
    outbox.hold('a', 1 * MS);
    put(2 * MS);
    outbox.settled(100 * MS);
    assert.deepEqual(told, []);
    outbox.settled(1 * MS + HOLD_NS);
    assert.deepEqual(told, [2 * MS]);
    outbox.release('a');
    put(1 * MS);
    put(200 * MS);
    outbox.settled(200 * MS);
    assert.deepEqual(told, [2 * MS, -1 * MS, 200 * MS]);
  });

  test('waits only once for one that is undecided for long', () => {
    const { outbox, told, put } = filled();
    outbox.hold('a', 1 * MS);
    outbox.settled(500 * MS);
    outbox.hold('a', 1 * MS);
    put(501 * MS);
    assert.deepEqual(told, [501 * MS]);
  });

  test('holds 8 MiB at most', () => {
    const { outbox, told, put } = filled();
    outbox.settled(0);
    outbox.hold('a', 1);
    for (let time = 2; time < 20; time++) put(time, 1 << 20);
    outbox.settled(20);
    assert.deepEqual(told, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test('tells everything once, in time order but for what is late, and nothing more than 100 ms later than it could', () => {
    const action = fc.record({
      what: fc.constantFrom('put', 'park', 'decide'),
      key: fc.nat(3),
      wait: fc.constantFrom(0, 1, 20, 60),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const { outbox, told, put } = filled();
        const parked = new Map<number, number[]>();
        const all: number[] = [];
        let now = 1;
        for (const { what, key, wait } of actions) {
          now += wait * MS + 1;
          if (what === 'put') {
            all.push(now);
            put(now);
          } else if (what === 'park') {
            const times = parked.get(key);
            if (times) times.push(now);
            else {
              outbox.hold(key, now);
              parked.set(key, [now]);
            }
          } else {
            const times = parked.get(key) ?? [];
            outbox.release(key);
            parked.delete(key);
            for (const time of times) {
              all.push(time);
              put(time);
            }
          }
          outbox.settled(now);
          const due = all.filter((time) => now - time >= HOLD_NS);
          for (const time of due) assert.ok(told.includes(time) || told.includes(-time));
        }
        outbox.finish();
        assert.deepEqual(
          told.map(Math.abs).sort((a, b) => a - b),
          all.sort((a, b) => a - b),
        );
        let last = 0;
        for (const time of told) {
          if (time < 0) assert.ok(-time < last);
          else {
            assert.ok(time >= last);
            last = time;
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** An HTTP session goes on; streams 101 there and 102 back are another server's pipes, 103 its standard error. */
function beside() {
  const stderr = 103;
  const own = scene({
    ordered: true,
    control: {
      isStderr: (stream) => stream === stderr,
      writersOf: (stream) => (stream === stderr ? [SERVER.pid] : []),
    },
  });
  const { tcp, options } = own.session();
  const line = (stream: number, time: number, text: string): Frame => ({
    kind: 'frame',
    time,
    stream: { id: stream, carrier: 'pipe' },
    offset: 0,
    size: text.length,
    content: { type: 'text', text },
    ...(stream === 101 ? { from: CLIENT, to: SERVER } : { from: SERVER, to: CLIENT }),
  });
  const put = (stream: number, text: string | object) =>
    own.put(line(stream, own.tick(), typeof text === 'string' ? text : JSON.stringify(text)));
  const other = () => tcp.post(notification('notifications/initialized'), options);
  return { ...own, put, other, stderr };
}

describe('what a server says before it is known to be one', () => {
  test('stands in its place, if it is known soon', () => {
    const { put, other, stderr, events, wait } = beside();
    put(stderr, 'starting');
    put(102, { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'no JSON' } });
    other();
    put(stderr, 'listening');
    wait(50);
    other();
    put(101, INITIALIZE);
    other();
    const times = events.map(({ time }) => time);
    assert.equal(events.length, 7);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.ok(events.every((event, index) => !event.late && event.seq === (events[0]?.seq ?? 0) + index));
  });

  test('is late, and says so, when others have long been told', () => {
    const { put, other, stderr, events, wait } = beside();
    put(stderr, 'starting');
    other();
    wait(150);
    other();
    put(stderr, 'listening');
    put(101, INITIALIZE);
    const kinds = events.map((event) => `${event.kind}${event.late ? ' late' : ''}`);
    assert.deepEqual(kinds, ['message', 'message', 'stderr late', 'stderr', 'message']);
  });

  test('keeps nobody waiting for more than 100 ms, however much it says', () => {
    const { put, other, stderr, events } = beside();
    for (let line = 0; line < 1000; line++) {
      put(stderr, 'of no interest');
      if (line % 10 === 0) other();
      const waiting = Math.ceil(line / 10) + 1 - events.length;
      assert.ok(waiting <= 1 || line < 110, `${waiting} wait at line ${line}`);
    }
  });

  test('over HTTP, too, stands in its place', () => {
    const { connect, other, events } = beside();
    const early = connect({ server: { pid: 21, comm: 'other' } });
    early.post(request(1, 'ping')).respond(200, result(1));
    other();
    early.post(request(2, 'tools/list')).respond(200, result(2));
    const times = events.map(({ time }) => time);
    assert.equal(events.length, 5);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.ok(events.every(({ late }) => !late));
  });
});
