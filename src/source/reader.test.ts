// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DATA, FLAG, GAP, HEAD, RECORD, STREAM } from './layout.ts';
import { RingReader } from './reader.ts';
import type { SourceRecord } from './records.ts';
import { Ring } from './ring.ts';

const SIZE = 1 << 20;

/** A ring in ordinary memory, with the kernel's side of it. */
function memoryRing() {
  const consumer = new ArrayBuffer(8);
  const producer = new BigInt64Array(1);
  const data = new ArrayBuffer(2 * SIZE);
  const bytes = Buffer.from(data);
  const ring = new Ring({ consumer, producer: producer.buffer, data, size: SIZE });
  let at = 0;
  const push = (record: Buffer) => {
    bytes.writeUInt32LE(record.length, at);
    record.copy(bytes, at + 8);
    at += (record.length + 8 + 7) & ~7;
    producer[0] = BigInt(at);
  };
  return { ring, push, released: () => Number(new BigInt64Array(consumer)[0]) };
}

function record(type: number, time: number, stream: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(type, HEAD.type);
  bytes.writeBigUInt64LE(BigInt(time), HEAD.time);
  bytes.writeBigUInt64LE(BigInt(stream), HEAD.stream);
  return bytes;
}

const control = (time: number) => record(RECORD.stream, time, 1, STREAM.joined + 8);
const data = (time: number) => record(RECORD.data, time, 1, DATA.payload);
function gap(time: number): Buffer {
  const bytes = record(RECORD.gap, time, 1, GAP.cause + 4);
  bytes.writeUInt16LE(FLAG.placed, HEAD.flags);
  return bytes;
}

describe('the reader of the rings', () => {
  // Descriptors that can be polled, and never become readable.
  const folder = mkdtempSync(join(tmpdir(), 'mcpspy-'));
  let fd = -1;
  before(() => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    fd = openSync(join(folder, 'fifo'), constants.O_RDWR | constants.O_NONBLOCK);
  });
  after(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });

  /** @param handled Called with each record that is delivered. */
  function reader(handled: (record: SourceRecord) => void = () => {}) {
    const rings = { data: memoryRing(), gaps: memoryRing(), control: memoryRing() };
    const delivered: string[] = [];
    const settled: number[] = [];
    const asleep = new Uint32Array(2);
    /** After each drain by itself: was it busy? */
    const drains: boolean[] = [];
    const maps = {
      data: rings.data.ring,
      gaps: rings.gaps.ring,
      control: rings.control.ring,
      fds: [fd],
      verdicts: new Uint32Array(2),
      asleep,
    };
    const sink = {
      record: (each: SourceRecord) => {
        delivered.push(`${each.type} ${each.time}`);
        handled(each);
      },
      settled: (time: number) => settled.push(time) < 0,
    };
    const own = new RingReader(maps, sink, (busy) => drains.push(busy));
    return { ...rings, reader: own, delivered, settled, asleep, drains };
  }

  test('delivers what describes a stream before its bytes, whatever ring they lie in', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.data.push(data(20));
    rings.data.push(data(40));
    rings.control.push(control(10));
    rings.control.push(control(30));
    own.drain();
    assert.deepEqual(delivered, ['stream 10', 'data 20', 'stream 30', 'data 40']);
    own.finish();
  });

  test('delivers what the control ring had no room for from among the bytes, in its time', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.control.push(control(10));
    rings.data.push(data(20));
    rings.data.push(control(30));
    rings.data.push(data(40));
    rings.control.push(control(35));
    own.drain();
    assert.deepEqual(delivered, ['stream 10', 'data 20', 'stream 30', 'stream 35', 'data 40']);
    own.finish();
  });

  test('delivers a gap in its time, after the record that describes its stream', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.gaps.push(gap(15));
    rings.control.push(control(10));
    rings.data.push(data(20));
    own.drain();
    assert.deepEqual(delivered, ['stream 10', 'gap 15', 'data 20']);
    own.finish();
  });

  test('holds back what is younger than all bytes for one more drain: bytes of its time may still come', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.control.push(control(30));
    own.drain();
    assert.deepEqual(delivered, []);
    rings.data.push(data(20));
    own.drain();
    assert.deepEqual(delivered, ['data 20', 'stream 30']);
    own.finish();
  });

  test('says how far everything has been delivered', () => {
    const { reader: own, settled, ...rings } = reader();
    const begun = Number(process.hrtime.bigint());
    rings.data.push(data(20));
    own.drain();
    assert.ok((settled.at(-1) ?? 0) >= begun);
    own.finish();
  });

  test('says no more than what still waits: a gap that was told after the bytes behind it, long ago, explains them', () => {
    const { reader: own, settled, delivered, ...rings } = reader();
    const begun = Number(process.hrtime.bigint());
    rings.data.push(data(20));
    rings.gaps.push(gap(21));
    own.drain();
    assert.deepEqual([delivered, settled], [['data 20'], [21]]);
    own.drain();
    assert.deepEqual(delivered, ['data 20', 'gap 21']);
    assert.ok((settled.at(-1) ?? 0) >= begun);
    own.finish();
  });

  test('gives other work its turn after some thousand records, and then says no more than it knows', () => {
    const { reader: own, settled, delivered, ...rings } = reader();
    for (let time = 1; time <= 5000; time++) rings.data.push(data(time));
    assert.equal(own.drain(), 4096);
    assert.equal(settled.at(-1), 4096);
    assert.equal(own.drain(), 904);
    assert.equal(delivered.length, 5000);
    own.finish();
  });

  test('gives the room of what it has read back to the kernel', () => {
    const { reader: own, ...rings } = reader();
    rings.data.push(data(1));
    rings.gaps.push(gap(1));
    rings.control.push(control(1));
    own.drain();
    for (const { ring, released } of [rings.data, rings.gaps, rings.control])
      assert.equal(released(), ring.produced());
    own.finish();
  });

  test('has room for what describes streams while it is busy with their bytes', () => {
    let most = 0;
    const {
      reader: own,
      delivered,
      ...rings
    } = reader(({ type, time }) => {
      if (type !== 'data') return;
      rings.control.push(control(5000 + time));
      most = Math.max(most, rings.control.ring.produced() - rings.control.released());
    });
    for (let time = 1; time <= 4000; time++) rings.data.push(data(time));
    own.finish();
    assert.equal(delivered.length, 8000);
    assert.ok(most < rings.control.ring.produced() / 4, `${most} bytes lay in the ring`);
  });

  test('passes over records of a type it does not know', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.data.push(record(99, 1, 1, DATA.payload));
    rings.control.push(record(99, 1, 1, DATA.payload));
    rings.gaps.push(record(99, 1, 1, DATA.payload));
    rings.data.push(data(2));
    own.finish();
    assert.deepEqual(delivered, ['data 2']);
  });

  test('delivers at the end whatever is left', () => {
    const { reader: own, delivered, ...rings } = reader();
    rings.data.push(data(20));
    rings.control.push(control(30));
    rings.gaps.push(gap(40));
    own.finish();
    assert.deepEqual(delivered, ['data 20', 'stream 30', 'gap 40']);
  });

  test('asks to be woken when nothing has come for a while, and looks again by itself', async () => {
    const { reader: own, delivered, asleep, drains, ...rings } = reader();
    own.start();
    const deadline = Date.now() + 5000;
    while (!asleep[0] && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(asleep[0], 1);
    assert.ok(drains.length > 0 && !drains.includes(true), 'nothing was there');
    rings.data.push(data(20));
    while (!delivered.length && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(delivered, ['data 20']);
    assert.ok(drains.includes(true));
    own.finish();
  });
});
