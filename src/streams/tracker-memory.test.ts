// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { AWAY, announceTcp, CLIENT, MS, ok, post, result, rpc, SERVER } from '../../test/support/tracking.ts';
import type { StreamItem } from './frame.ts';
import { Tracker } from './tracker.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Of these, how many does anything still refer to? */
async function alive(things: readonly WeakRef<object>[]): Promise<number> {
  await setImmediate();
  collect();
  return things.filter((thing) => thing.deref()).length;
}

/** A connection whose frames and exchanges nobody keeps but the tracker. */
function connection() {
  const seen = { exchanges: [] as WeakRef<object>[], contents: [] as WeakRef<object>[] };
  let last = 0;
  const deliver = (item: StreamItem) => {
    if (item.kind === 'frame') seen.contents.push(new WeakRef(item.content));
    if (item.kind !== 'http' || item.exchange.id === last) return;
    last = item.exchange.id;
    seen.exchanges.push(new WeakRef(item.exchange));
  };
  const tracker = new Tracker(
    { maxMessage: 1 << 20 },
    { holders: async () => [], process: async () => null, connection: () => {} },
    { stop: () => {}, resume: () => {} },
    deliver,
  );
  for (const { pid, comm } of [CLIENT, SERVER]) tracker.processes.named(pid, comm);
  const record = tracker.record.bind(tracker);
  announceTcp(
    {
      announce: (stream, more) =>
        record({
          ...{
            type: 'stream',
            time: 0,
            pid: CLIENT.pid,
            stream,
            carrier: 'tcp',
            inode: 0,
            peerInode: 0,
            device: 0,
          },
          ...{ pair: 0, joined: false, ...more },
        }),
    },
    1,
    AWAY,
  );
  const offsets = [0, 0, 0];
  const data = (stream: 1 | 2, text: string, time: number) => {
    const bytes = Buffer.from(text);
    const offset = offsets[stream] ?? 0;
    offsets[stream] = offset + bytes.length;
    for (const fromReader of [false, true]) {
      const pid = (stream === 1) === fromReader ? SERVER.pid : CLIENT.pid;
      record({
        ...{ type: 'data', time, stream, offset, bytes, pid },
        ...{ fd: 5, fromReader, packetEnd: false },
      });
    }
  };
  return { tracker, data, seen };
}

describe('an hour of one connection', () => {
  test('of exchanges one after another keeps nothing of those that are over', async () => {
    const { tracker, data, seen } = connection();
    const exchanges = 5000;
    for (let turn = 1; turn <= exchanges; turn++) {
      const time = turn * 700 * MS;
      data(1, post(rpc(turn)), time);
      data(2, ok(result(turn)), time + 1 * MS);
      tracker.settled(time + 100 * MS);
    }
    assert.equal(seen.exchanges.length, exchanges);
    assert.equal(seen.contents.length, 2 * exchanges);
    const left = [await alive(seen.exchanges), await alive(seen.contents)];
    assert.ok(Math.max(...left) < 10, `${left} are kept`);
    assert.equal(tracker.size, 2);
  });

  test('of one event stream keeps none of its events', async () => {
    const { tracker, data, seen } = connection();
    const events = 20_000;
    data(1, 'GET /mcp HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n', 1 * MS);
    data(
      2,
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      2 * MS,
    );
    for (let turn = 1; turn <= events; turn++) {
      const time = turn * 180 * MS;
      const event = `id: ${turn}\ndata: ${rpc(turn)}\n\n`;
      data(2, `${event.length.toString(16)}\r\n${event}\r\n`, time);
      if (turn % 10 === 0) tracker.settled(time + 100 * MS);
    }
    assert.equal(seen.contents.length, events);
    const left = await alive(seen.contents);
    assert.ok(left < 20, `${left} are kept`);
    assert.equal(await alive(seen.exchanges), 1, 'the tracker is still there');
    assert.equal(tracker.size, 2);
  });

  test('whose requests were never seen keeps nothing of its responses', async () => {
    const { tracker, data, seen } = connection();
    const responses = 5000;
    for (let turn = 1; turn <= responses; turn++) {
      const time = turn * 700 * MS;
      data(2, ok(result(turn)), time);
      tracker.settled(time + 100 * MS);
    }
    assert.equal(seen.exchanges.length, responses);
    const left = await alive(seen.exchanges);
    assert.ok(left < 10, `${left} are kept`);
    assert.equal(tracker.size, 1);
  });
});

test('connections that have ended are let go, but for the youngest', async () => {
  const tracker = new Tracker(
    { maxMessage: 1 << 20 },
    { holders: async () => [], process: async () => null, connection: () => {} },
    { stop: () => {}, resume: () => {} },
    () => {},
  );
  const base = { type: 'stream', time: 0, pid: CLIENT.pid, carrier: 'tcp', joined: false } as const;
  const where = { inode: 0, peerInode: 0, device: 0 };
  const streams: WeakRef<object>[] = [];
  for (let stream = 1; stream < 6000; stream += 2) {
    const source = { ...AWAY.source, port: 1024 + stream };
    const addresses = { source, destination: AWAY.destination };
    tracker.record({ ...base, ...where, stream, pair: 0, addresses });
    const back = { source: addresses.destination, destination: source };
    tracker.record({ ...base, ...where, stream: stream + 1, pair: stream, addresses: back });
    for (const id of [stream, stream + 1]) {
      streams.push(new WeakRef(tracker.get(id) as object));
      tracker.record({ type: 'eof', time: 1 * MS, stream: id });
    }
  }
  tracker.settled(10_000 * MS);
  assert.equal(tracker.size, 0);
  assert.ok((await alive(streams)) < 1200);
});
