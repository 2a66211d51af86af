// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DataRecord } from '../source/records.ts';
import { Merge } from './merge.ts';

/** PAYLOAD_CHUNK in bpf/record.h, and what a pipe holds: pipe(7). */
const CHUNK = 65536;
const CAPACITY = 65536;

/** What is left to do of a call that has moved its bytes: its program counts them, and then hands them over. */
type Rest = (() => void)[];

/**
 * bpf/moved.h for processes that write one after the other, each when the one before has returned, and one reader. Each
 * call's program takes its time: it counts, and later hands over. Nothing keeps the reader from being ahead.
 */
class Turns {
  readonly #give: (record: DataRecord) => void;
  readonly #messages: readonly Buffer[];
  readonly #piece: number;
  #pipe = Buffer.alloc(0);
  #turn = 0;
  #put = 0;
  #written = 0;
  #read = 0;
  #owned = 0;
  #committed = 0;
  #time = 0;
  #shared = false;
  #writerRest: Rest = [];
  #readerRest: Rest = [];

  constructor(messages: readonly Buffer[], piece: number, give: (record: DataRecord) => void) {
    this.#messages = messages;
    this.#piece = piece;
    this.#give = give;
  }

  get over(): boolean {
    return (
      this.#turn >= this.#messages.length &&
      !this.#pipe.length &&
      !this.#writerRest.length &&
      !this.#readerRest.length
    );
  }

  writer(): void {
    const rest = this.#writerRest.shift();
    if (rest) {
      rest();
      return;
    }
    const message = this.#messages[this.#turn];
    const room = CAPACITY - this.#pipe.length;
    if (!message || room === 0) return;
    const bytes = message.subarray(this.#put, this.#put + room);
    this.#pipe = Buffer.concat([this.#pipe, bytes]);
    this.#put += bytes.length;
    if (this.#put === message.length) this.#writerRest.push(() => this.#countWritten(message));
  }

  #countWritten(message: Buffer): void {
    const pid = 1 + this.#turn;
    if (this.#turn > 0) this.#shared = true;
    const start = this.#written;
    const to = start + message.length;
    const owned = Math.max(this.#owned, start);
    this.#written = to;
    this.#owned = Math.max(this.#owned, to);
    const from = message.length > CHUNK ? Math.min(owned, to) : start;
    this.#handOver(this.#writerRest, from, message.subarray(from - start), { pid, fd: 1, fromReader: false });
    this.#writerRest.push(() => {
      this.#committed = to;
      this.#turn++;
      this.#put = 0;
    });
  }

  reader(): void {
    const rest = this.#readerRest.shift();
    if (rest) {
      rest();
      return;
    }
    const bytes = this.#pipe.subarray(0, this.#piece);
    if (!bytes.length) return;
    this.#pipe = this.#pipe.subarray(bytes.length);
    this.#readerRest.push(() => this.#countRead(bytes));
  }

  #countRead(bytes: Buffer): void {
    const start = this.#read;
    const to = start + bytes.length;
    this.#read = to;
    const owned = Math.min(Math.max(this.#owned, start), to);
    // A writer that has counted and does not get done is not waited for.
    const from = this.#shared || (owned > start && this.#committed < owned) ? start : owned;
    this.#owned = Math.max(this.#owned, to);
    this.#handOver(this.#readerRest, from, bytes.subarray(from - start), {
      pid: 99,
      fd: 0,
      fromReader: true,
    });
  }

  #handOver(
    rest: Rest,
    offset: number,
    bytes: Buffer,
    who: Pick<DataRecord, 'pid' | 'fd' | 'fromReader'>,
  ): void {
    const base = { type: 'data', stream: 1, packetEnd: false, shared: this.#shared, ...who } as const;
    for (let at = 0; at < bytes.length; at += CHUNK)
      rest.push(() => {
        this.#time += 1000;
        const piece = bytes.subarray(at, at + CHUNK);
        this.#give({ ...base, time: this.#time, offset: offset + at, bytes: piece });
      });
  }
}

test('of processes that take turns each message is told once and whole, however the two ends’ programs are put off', () => {
  const message = (size: number, id: number) =>
    Buffer.concat([Buffer.from(`{"id":${id},"`), Buffer.alloc(size, 'x'), Buffer.from('"}\n')]);
  const property = fc.property(
    fc.array(fc.oneof(fc.nat(200), fc.nat(9000), fc.nat(300_000)), { maxLength: 10 }),
    fc.constantFrom(1000, 4096, 10_000, 65_536, 200_000),
    fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 200 }),
    (sizes, piece, moves) => {
      const out: Buffer[] = [];
      const merge = new Merge({
        bytes: (_, bytes) => out.push(Buffer.from(bytes)),
        lost: () => assert.fail('nothing is lost'),
        confirmed: () => {},
      });
      const messages = sizes.map(message);
      const turns = new Turns(messages, piece, (record) => merge.data(record));
      for (let step = 0; !turns.over; step++) {
        const move = moves[step % moves.length] ?? 0;
        for (let each = 0; each < move; each++) turns.writer();
        for (let each = 0; each > move; each--) turns.reader();
        if (step > moves.length * 50) {
          turns.writer();
          turns.reader();
        }
      }
      merge.end(Number.POSITIVE_INFINITY);
      const [told, sent] = [Buffer.concat(out), Buffer.concat(messages)];
      if (!told.equals(sent)) {
        const lines = (text: Buffer) =>
          text
            .toString()
            .split('\n')
            .map((line) => `${line.slice(0, 12)}…${line.length}`);
        assert.deepEqual(lines(told), lines(sent));
      }
    },
  );
  fc.assert(property, { numRuns: 300 });
});
