// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Ring } from './ring.ts';

const BUSY = 0x80000000;
const DISCARD = 0x40000000;

/** The kernel's side of a ring. What is mapped twice there is written twice here. */
class Producer {
  readonly ring: Ring;
  readonly size: number;
  readonly #consumer = new BigInt64Array(1);
  readonly #producer = new BigInt64Array(1);
  readonly #data: Buffer;
  #at: number;

  constructor(size: number, start = 0) {
    this.size = size;
    this.#at = start;
    this.#consumer[0] = BigInt(start);
    this.#producer[0] = BigInt(start);
    const data = new ArrayBuffer(2 * size);
    this.#data = Buffer.from(data);
    this.ring = new Ring({ consumer: this.#consumer.buffer, producer: this.#producer.buffer, data, size });
  }

  /** Where the consumer says it is. */
  get released(): number {
    return Number(this.#consumer[0]);
  }

  /** Like bpf_ringbuf_reserve. @returns the record's place, or `undefined` when there is no room. */
  reserve(length: number, flags = BUSY): number | undefined {
    const room = (length + 8 + 7) & ~7;
    if (this.#at + room - this.released > this.size) return undefined;
    const at = this.#at;
    this.#write32(at, (length | flags) >>> 0);
    this.#at += room;
    this.#producer[0] = BigInt(this.#at);
    return at;
  }

  /** Like bpf_ringbuf_submit or bpf_ringbuf_discard. */
  commit(at: number, length: number, flags = 0): void {
    this.#write32(at, (length | flags) >>> 0);
  }

  submit(payload: Buffer): boolean {
    const at = this.reserve(payload.length);
    if (at === undefined) return false;
    for (const [index, byte] of payload.entries()) this.#write8(at + 8 + index, byte);
    this.commit(at, payload.length);
    return true;
  }

  discard(length: number): void {
    const at = this.reserve(length);
    if (at !== undefined) this.commit(at, length, DISCARD);
  }

  #write8(at: number, byte: number): void {
    this.#data[at % this.size] = byte;
    this.#data[(at % this.size) + this.size] = byte;
  }

  #write32(at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    for (const [index, byte] of bytes.entries()) this.#write8(at + index, byte);
  }
}

/** What the consumer gets now; lengths are told by the first byte of the test's payloads. */
function consume(ring: Ring, end = ring.produced()): Buffer[] {
  const records: Buffer[] = [];
  for (let at = ring.next(end); at >= 0; at = ring.next(end)) {
    const length = ring.bytes.readUInt8(at);
    records.push(Buffer.from(ring.bytes.subarray(at, at + length)));
    ring.advance();
  }
  return records;
}

function payload(length: number, fill: number): Buffer {
  const bytes = Buffer.alloc(length, fill);
  bytes[0] = length;
  return bytes;
}

describe('a ring', () => {
  test('without records has nothing next', () => {
    const { ring } = new Producer(64);
    assert.equal(ring.next(ring.produced()), -1);
    assert.equal(ring.position, 0);
  });

  test('gives its records in the order in which their room was reserved', () => {
    const producer = new Producer(256);
    const records = [payload(1, 1), payload(8, 2), payload(9, 3)];
    for (const record of records) assert.ok(producer.submit(record));
    assert.deepEqual(consume(producer.ring), records);
    assert.equal(producer.ring.position, producer.ring.produced());
  });

  test('stops at a record that is still being written, and goes on once it is there', () => {
    const producer = new Producer(256);
    const at = producer.reserve(4);
    assert.equal(at, 0);
    assert.ok(producer.submit(payload(3, 7)));
    assert.deepEqual(consume(producer.ring), []);
    assert.equal(producer.ring.position, 0);
    producer.commit(0, 4, DISCARD);
    assert.deepEqual(consume(producer.ring), [payload(3, 7)]);
  });

  test('passes over records that were discarded', () => {
    const producer = new Producer(256);
    producer.discard(40);
    producer.submit(payload(5, 1));
    producer.discard(3);
    assert.deepEqual(consume(producer.ring), [payload(5, 1)]);
    assert.equal(producer.ring.position, producer.ring.produced());
  });

  test('does not go beyond the end it is given', () => {
    const producer = new Producer(256);
    producer.submit(payload(5, 1));
    const end = producer.ring.produced();
    producer.submit(payload(6, 2));
    assert.deepEqual(consume(producer.ring, end), [payload(5, 1)]);
    assert.deepEqual(consume(producer.ring), [payload(6, 2)]);
  });

  test('gives a record that lies across its end in one piece', () => {
    const producer = new Producer(64, 48);
    const record = Buffer.from([24, ...Array.from({ length: 23 }, (_, index) => 100 + index)]);
    assert.ok(producer.submit(record));
    assert.deepEqual(consume(producer.ring), [record]);
  });

  test('goes on where an earlier consumer stopped', () => {
    const producer = new Producer(64, 1_000_000 * 64 + 8);
    assert.equal(producer.ring.position, 64_000_008);
    producer.submit(payload(2, 9));
    assert.deepEqual(consume(producer.ring), [payload(2, 9)]);
  });

  test('gives room back only when told to', () => {
    const producer = new Producer(64);
    assert.ok(producer.submit(payload(48, 1)));
    consume(producer.ring);
    assert.equal(producer.submit(payload(48, 2)), false);
    producer.ring.release();
    assert.equal(producer.released, 56);
    assert.ok(producer.submit(payload(48, 3)));
    assert.deepEqual(consume(producer.ring), [payload(48, 3)]);
  });

  test('loses, repeats and changes nothing over many turns', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('submit' as const), length: fc.integer({ min: 1, max: 100 }) }),
      fc.record({ type: fc.constant('discard' as const), length: fc.integer({ min: 0, max: 100 }) }),
      fc.record({ type: fc.constant('consume' as const), length: fc.constant(0) }),
    );
    const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const producer = new Producer(256);
      const sent: Buffer[] = [];
      const got: Buffer[] = [];
      for (const [index, { type, length }] of steps.entries()) {
        if (type === 'submit' && producer.submit(payload(length, index))) sent.push(payload(length, index));
        if (type === 'discard') producer.discard(length);
        if (type !== 'consume') continue;
        got.push(...consume(producer.ring));
        producer.ring.release();
      }
      got.push(...consume(producer.ring));
      assert.deepEqual(got, sent);
    });
    fc.assert(property, { numRuns: 50 });
  });
});
