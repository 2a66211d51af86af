// SPDX-License-Identifier: Apache-2.0
/**
 * A stream that several processes write to. Their calls may return in another order than their bytes went in; then the
 * positions by which the kernel programs count are not those of the bytes. So both ends hand over all that they moved.
 * As long as what they say agrees, positions count. Where it does not, and until as many bytes have been told as the
 * kernel programs have counted, what the other end has told already is known by its bytes.
 *
 * What is taken for known by mistake is told when the other end's call returns.
 */
import { endOf, Kept, type Run } from './kept.ts';
import type { Supplier } from './merge.ts';

/** A write of no more bytes is whole; of longer ones two writers' may mix in the pipe itself: pipe(7). */
const PIPE_BUF = 4096;
/** Bytes kept to compare, at most: what a pipe has room for that was not read yet, unless it was made larger … */
const UNREAD_MAX = 65536;
/** … and what the reader had before the writers' calls have returned. */
const UNCLAIMED_MAX = 4 * PIPE_BUF;
/** So long, and with so many bytes, another writer's wait for the end of a line of which the reader had the beginning. */
const WAIT_NS = 2e9;
const WAIT_MAX = 65536;
/** So long is waited for the rest of a line that was read in part. */
const BEGUN_NS = 200e6;
/** After so long, that more or less has been told than was counted stays as it is. */
const CROSSING_NS = 2e9;

const NEWLINE = 0x0a;

export interface SharedSink {
  bytes(bytes: Buffer, at: number, record: Supplier): void;
  /** So many bytes at this place, which the reader supplied, were written by the record's process. */
  confirmed(at: number, length: number, record: Supplier): void;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly record: Supplier;
}

export class SharedWriting {
  readonly #sink: SharedSink;
  /** Up to here, by the kernel programs' count, bytes are told, or known to be. */
  #position: number;
  /** Where what comes next will be told. */
  #end: number;
  /** What is between the two while nothing is crossed. */
  #shift = 0;
  /** CLOCK_MONOTONIC since when they differ by something else, nanoseconds; `undefined` while they do not. */
  #crossedSince: number | undefined;
  /** Up to here, by their count, has been read. */
  #readTo: number;
  /** Writers' that have not been seen to be read, a run a write. */
  readonly #unread: Kept;
  /** The reader's that no writer's call has claimed yet. */
  readonly #unclaimed: Kept;
  /** What was read last, the beginning of a line. */
  #begun: Waiting | undefined;
  /** Writers' that are not told yet: the line before them is incomplete. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;

  /**
   * @param position Up to here all is told.
   * @param ahead What the reader supplied of it that no writer has claimed.
   */
  constructor(sink: SharedSink, position: number, ahead: Run | undefined) {
    this.#sink = sink;
    this.#position = position;
    this.#end = position;
    this.#readTo = 0;
    this.#unread = new Kept(UNREAD_MAX, position, false);
    this.#unclaimed = new Kept(UNCLAIMED_MAX, ahead?.at ?? position, true);
    if (ahead) this.#unclaimed.add(ahead);
  }

  /** Up to here bytes have come. */
  get position(): number {
    return Math.max(this.#position, this.#readTo);
  }

  /** Does something wait to be told? */
  get waiting(): boolean {
    return this.#waiting.length > 0 || this.#begun !== undefined;
  }

  /** All that one call read. @param offset Its place by the kernel programs' count of what was read. */
  read(offset: number, bytes: Buffer, record: Supplier): void {
    if (offset !== this.#readTo) {
      this.#readBegun();
      // Reads that were not seen.
      if (offset > this.#readTo) this.#unread.takeBetween(0, offset + this.#shift);
    }
    this.#readTo = offset + bytes.length;
    const all = this.#begun ? Buffer.concat([this.#begun.bytes, bytes]) : bytes;
    // Whose the beginning of a line is shows when it is whole: several writes begin alike.
    const end = all.lastIndexOf(NEWLINE) + 1;
    const begun = all.length - end < PIPE_BUF ? all.subarray(end) : all.subarray(all.length);
    this.#begun = begun.length ? { bytes: Buffer.from(begun), record } : undefined;
    this.#readLines(this.#readTo - all.length, all.subarray(0, all.length - begun.length), record);
  }

  /** What one call wrote. @param offset Its place by the kernel programs' count of what was written. */
  written(offset: number, bytes: Buffer, record: Supplier): void {
    // The rest of a long write.
    if (offset > this.#position) this.#readBegun();
    const at = offset + this.#shift;
    const known = this.#count(offset, bytes);
    // Whoever wrote what the reader has had for long is not in sight.
    this.#unclaimed.forgetOlder(record.time - CROSSING_NS);
    if (!this.#crossed && (known === 0 || this.#isClaimed(at, bytes, known, record))) {
      if (known > 0) {
        this.#unclaimed.takeBetween(at, at + known);
        this.#sink.confirmed(at, known, record);
      }
      this.#tellWritten(bytes.subarray(known), record);
    } else this.#writtenAcross(bytes, known, record);
    this.#settle(record.time);
  }

  /** So many bytes come next that are lost. @returns where. */
  lost(bytes: number, time: number): number {
    this.#readBegun();
    const at = this.#end;
    this.#position += bytes;
    this.#end += bytes;
    this.#settle(time);
    return at;
  }

  /** Tells what has waited for too long at `time`. */
  expire(time: number): void {
    const first = this.#waiting[0];
    if (first && first.record.time + WAIT_NS < time) this.#tellWaiting();
    if (this.#begun && this.#begun.record.time + BEGUN_NS < time) this.#readBegun();
  }

  #readLines(offset: number, bytes: Buffer, record: Supplier): void {
    const at = offset + this.#shift;
    const known = this.#count(offset, bytes);
    if (!this.#crossed && this.#unread.agrees(at, bytes.subarray(0, known))) {
      this.#unread.takeBetween(at, at + known);
      this.#supplied(bytes.subarray(known), record);
    } else this.#readAcross(bytes, (this.#unread.runs[0]?.at ?? at + known) - at, record);
    this.#settle(record.time);
  }

  /** The line that was read in part is not waited for. */
  #readBegun(): void {
    if (!this.#begun) return;
    const { bytes, record } = this.#begun;
    this.#begun = undefined;
    this.#readLines(this.#readTo - bytes.length, bytes, record);
  }

  /** @returns how many of these bytes the kernel programs had counted before, of the other end. */
  #count(offset: number, { length }: Buffer): number {
    const known = Math.max(0, Math.min(this.#position - offset, length));
    this.#position = Math.max(this.#position, offset + length);
    return known;
  }

  /** Has more or less been told than was counted? */
  get #crossed(): boolean {
    return this.#crossedSince !== undefined;
  }

  #settle(time: number): void {
    if (this.#waiting.length > 0 && !this.#isInLine()) this.#tellWaiting();
    const surplus = this.#end + this.#waitingBytes - this.#position - this.#shift;
    if (surplus === 0) this.#crossedSince = undefined;
    else {
      this.#crossedSince ??= time;
      if (time - this.#crossedSince < CROSSING_NS || this.waiting) return;
      this.#shift += surplus;
      this.#crossedSince = undefined;
    }
  }

  // ---- by their bytes --------------------------------------------------------------

  /** @param unkept So many of the first bytes may be known, and are kept no more. */
  #readAcross(bytes: Buffer, unkept: number, record: Supplier): void {
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at);
      const line = lineOf(rest);
      const unread = this.#passUnread(rest);
      if (unread) at += unread;
      else if (line.length <= unkept) {
        unkept -= line.length;
        at += line.length;
      } else at += this.#tellWaitingIn(rest, record) || this.#supplied(line, record);
    }
  }

  /** Has the reader supplied the first `known` of these bytes, at their place? Of a write that is whole nothing is believed. */
  #isClaimed(at: number, bytes: Buffer, known: number, { batch }: Supplier): boolean {
    const comparable = batch || bytes.length > PIPE_BUF || this.#unclaimed.has(at);
    return comparable && this.#unclaimed.agrees(at, bytes.subarray(0, known));
  }

  #writtenAcross(bytes: Buffer, known: number, record: Supplier): void {
    if (this.#claimWhole(bytes, record, lineStartOf)) return;
    const begun = this.#claimBeginning(bytes, known, record);
    // Another writer's line has been read in part: its rest comes first. Unless this is that rest, of a long write.
    const waits = !begun && this.#isInLine() && (known > 0 || bytes.length <= PIPE_BUF);
    if (waits) this.#wait(Buffer.from(bytes), record);
    else this.#tellWritten(bytes.subarray(begun), record);
  }

  /** @returns how many bytes a writer's call has told. */
  #passUnread(rest: Buffer): number {
    const run = this.#unread.runs.find(({ bytes }) => startsWith(rest, bytes) || startsWith(bytes, rest));
    if (!run) return 0;
    const length = Math.min(rest.length, run.bytes.length);
    this.#unread.take(run, 0, length);
    return length;
  }

  /** Another writer's that has waited for its turn. @returns how many bytes it has. */
  #tellWaitingIn(rest: Buffer, record: Supplier): number {
    const index = this.#waiting.findIndex(({ bytes }) => startsWith(rest, bytes));
    const [waited] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (!waited) return 0;
    const { length } = waited.bytes;
    this.#waitingBytes -= length;
    this.#sink.confirmed(this.#tell(waited.bytes, record), length, waited.record);
    return length;
  }

  #claimWhole(bytes: Buffer, record: Supplier, placeIn: (text: Buffer, bytes: Buffer) => number): boolean {
    for (const run of this.#unclaimed.runs) {
      const from = placeIn(run.bytes, bytes);
      if (from < 0) continue;
      this.#sink.confirmed(this.#unclaimed.take(run, from, bytes.length), bytes.length, record);
      return true;
    }
    return false;
  }

  /** The reader has had the beginning of this write, which is the last that it had. @returns how much. */
  #claimBeginning(bytes: Buffer, known: number, record: Supplier): number {
    const run = this.#lastRead();
    if (!run) return 0;
    // A line's; what the kernel programs count; that, and what others wrote meanwhile.
    const line = run.bytes.length - 1 - run.bytes.lastIndexOf(NEWLINE);
    for (const length of [line, known, known + this.#waitingBytes]) {
      const from = run.bytes.length - length;
      if (length === 0 || length >= bytes.length || from < 0) continue;
      if (!run.bytes.subarray(from).equals(bytes.subarray(0, length))) continue;
      this.#sink.confirmed(this.#unclaimed.take(run, from, length), length, record);
      return length;
    }
    return 0;
  }

  // ---- what is told, and kept to compare ------------------------------------------------

  #tell(bytes: Buffer, record: Supplier): number {
    const at = this.#end;
    this.#end += bytes.length;
    this.#sink.bytes(bytes, at, record);
    return at;
  }

  /** Tells what the reader supplies. @returns its length. */
  #supplied(bytes: Buffer, record: Supplier): number {
    if (bytes.length) this.#unclaimed.add({ at: this.#tell(bytes, record), bytes, time: record.time });
    return bytes.length;
  }

  #tellWritten(bytes: Buffer, record: Supplier): void {
    if (bytes.length) this.#unread.add({ at: this.#tell(bytes, record), bytes, time: record.time });
  }

  /** What the reader supplied, where nothing has been told since. */
  #lastRead(): Run | undefined {
    const run = this.#unclaimed.runs.at(-1);
    return run && endOf(run) === this.#end ? run : undefined;
  }

  #isInLine(): boolean {
    const run = this.#lastRead();
    return run !== undefined && run.bytes.at(-1) !== NEWLINE;
  }

  #wait(bytes: Buffer, record: Supplier): void {
    this.#waiting.push({ bytes, record });
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > WAIT_MAX) this.#tellWaiting();
  }

  #tellWaiting(): void {
    this.#waitingBytes = 0;
    for (const { bytes, record } of this.#waiting.splice(0)) {
      // It may have been the rest of the line itself, and read meanwhile in pieces.
      if (!this.#claimWhole(bytes, record, (text) => text.indexOf(bytes))) this.#tellWritten(bytes, record);
    }
  }
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  const { length } = start;
  return length <= bytes.length && bytes.compare(start, 0, length, 0, length) === 0;
}

/** Where these bytes are found at the beginning of a line, or of all; -1: nowhere. */
function lineStartOf(text: Buffer, bytes: Buffer): number {
  let from = text.indexOf(bytes);
  while (from > 0 && text[from - 1] !== NEWLINE) from = text.indexOf(bytes, from + 1);
  return from;
}

/** Up to and with the first newline. */
function lineOf(bytes: Buffer): Buffer {
  const newline = bytes.indexOf(NEWLINE);
  return newline < 0 ? bytes : bytes.subarray(0, newline + 1);
}
