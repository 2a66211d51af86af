// SPDX-License-Identifier: Apache-2.0
/**
 * A stream that several processes write to. Their calls may return in another order than their bytes went in, so
 * the position by which the kernel programs count says little: both ends hand over all that they moved, and what the
 * other end has told already is known by its bytes.
 *
 * What is taken for known by mistake is told when the other end's call returns.
 */
import type { Supplier } from './merge.ts';

/** A write of no more bytes is whole; of longer ones two writers' may mix in the pipe itself: pipe(7). */
const PIPE_BUF = 4096;
/** Bytes of each end kept to compare, at most. */
const KEPT_MAX = 4 * PIPE_BUF;
/** So long, and with so many bytes, another writer's wait for the end of a line of which the reader had the beginning. */
const WAIT_NS = 2e9;
const WAIT_MAX = 65536;

const NEWLINE = 0x0a;

export interface SharedSink {
  bytes(bytes: Buffer, at: number, record: Supplier): void;
  /** So many bytes at this place, which the reader supplied, were written by the record's process. */
  confirmed(at: number, length: number, record: Supplier): void;
}

/** Supplied by the reader, and claimed by no writer's call yet. */
interface Run {
  at: number;
  bytes: Buffer;
}

interface Waiting {
  readonly bytes: Buffer;
  readonly record: Supplier;
}

export class SharedWriting {
  readonly #sink: SharedSink;
  /** Told of writers, and not seen to be read; oldest first. */
  readonly #unread: Buffer[] = [];
  #unreadBytes = 0;
  /** Bytes of the same kind that are not kept: the reader still brings them. */
  #unkept = 0;
  /** Up to here, in the kernel's count, all have been read; or told, before the first read was seen. */
  #readTo: number;
  #seenReading = false;
  readonly #unclaimed: Run[] = [];
  #unclaimedBytes = 0;
  /** The same, not kept. */
  #forgotten = 0;
  #end: number;
  /** Not told yet: the line before them is incomplete. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;

  /**
   * @param position Up to here all is told.
   * @param ahead What the reader supplied of it that no writer has claimed.
   */
  constructor(sink: SharedSink, position: number, ahead: Run | undefined) {
    this.#sink = sink;
    this.#readTo = position;
    this.#end = position;
    if (ahead) this.#remember(ahead);
  }

  /** Where what comes next will be told. */
  get end(): number {
    return this.#end;
  }

  /** Do writes wait to be told? */
  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** All that one call read. @param offset Its place in the kernel's count of what was read. */
  read(offset: number, bytes: Buffer, record: Supplier): void {
    this.#missed(offset);
    this.#readTo = Math.max(this.#readTo, offset + bytes.length);
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.subarray(at);
      at += this.#passUnread(rest) || this.#passUnkept(rest) || this.#tellRead(rest, record);
    }
    this.#release();
  }

  /** What one call wrote. @param known So many of its bytes have been read before it returned, by the kernel's count. */
  written(bytes: Buffer, known: number, record: Supplier): void {
    if (!this.#claimWhole(bytes, record, lineStartOf) && !this.#believe(bytes, known)) {
      const begun = this.#claimBeginning(bytes, known, record);
      // Another writer's line has been read in part: its rest comes first. Unless this is that rest, of a long write.
      const waits = !begun && this.#isInLine() && (known > 0 || bytes.length <= PIPE_BUF);
      if (waits) this.#wait(Buffer.from(bytes), record);
      else this.#tellWritten(bytes.subarray(begun), record);
    }
    this.#release();
  }

  /** So many bytes come next that are lost. Where it was the writer's call that lost them, they may still be read. */
  lost(bytes: number): void {
    this.#unkept += bytes;
    this.#end += bytes;
  }

  /** Tells what has waited for too long at `time`. */
  expire(time: number): void {
    const first = this.#waiting[0];
    if (first && first.record.time + WAIT_NS < time) this.#tellWaiting();
  }

  /** Reads before this place that were not seen: what was told first is what they read. */
  #missed(offset: number): void {
    if (!this.#seenReading) this.#unkept += Math.max(0, this.#readTo - offset);
    this.#seenReading = true;
    let bytes = Math.max(0, offset - this.#readTo);
    const unkept = Math.min(bytes, this.#unkept);
    this.#unkept -= unkept;
    bytes -= unkept;
    while (bytes > 0 && this.#unread.length > 0) bytes -= this.#dropUnread(0, bytes);
  }

  /** @returns how many bytes a writer's call has told. */
  #passUnread(rest: Buffer): number {
    const index = this.#unread.findIndex((each) => startsWith(rest, each) || startsWith(each, rest));
    return index < 0 ? 0 : this.#dropUnread(index, rest.length);
  }

  #passUnkept(rest: Buffer): number {
    const { length } = lineOf(rest);
    if (length > this.#unkept) return 0;
    this.#unkept -= length;
    return length;
  }

  /** What no writer has told: another writer's that has waited for it, or the rest of the line. */
  #tellRead(rest: Buffer, record: Supplier): number {
    const index = this.#waiting.findIndex(({ bytes }) => startsWith(rest, bytes));
    const [waited] = index < 0 ? [] : this.#waiting.splice(index, 1);
    const bytes = waited?.bytes ?? lineOf(rest);
    const at = this.#tell(bytes, record);
    if (waited) {
      this.#waitingBytes -= bytes.length;
      this.#sink.confirmed(at, bytes.length, waited.record);
    } else this.#remember({ at, bytes });
    return bytes.length;
  }

  #tell(bytes: Buffer, record: Supplier): number {
    const at = this.#end;
    this.#end += bytes.length;
    this.#sink.bytes(bytes, at, record);
    return at;
  }

  #remember({ at, bytes }: Run): void {
    const last = this.#unclaimed.at(-1);
    if (last && last.at + last.bytes.length === at) last.bytes = Buffer.concat([last.bytes, bytes]);
    else this.#unclaimed.push({ at, bytes: Buffer.from(bytes) });
    this.#unclaimedBytes += bytes.length;
    for (
      let first = this.#unclaimed[0];
      first && this.#unclaimedBytes > KEPT_MAX;
      first = this.#unclaimed[0]
    ) {
      const surplus = Math.min(first.bytes.length, this.#unclaimedBytes - KEPT_MAX);
      this.#claim(first, 0, surplus);
      this.#forgotten += surplus;
    }
  }

  /** Takes bytes out of a run. @returns where they were told. */
  #claim(run: Run, from: number, length: number): number {
    const before = run.bytes.subarray(0, from);
    const behind = run.bytes.subarray(from + length);
    const left: Run[] = [];
    if (before.length) left.push({ at: run.at, bytes: before });
    if (behind.length) left.push({ at: run.at + from + length, bytes: behind });
    this.#unclaimed.splice(this.#unclaimed.indexOf(run), 1, ...left);
    this.#unclaimedBytes -= length;
    return run.at + from;
  }

  /** What the reader had longer ago than we remember is taken at its word. */
  #believe(bytes: Buffer, known: number): boolean {
    if (known < bytes.length || this.#forgotten < known) return false;
    this.#forgotten -= known;
    return true;
  }

  #claimWhole(bytes: Buffer, record: Supplier, placeIn: (text: Buffer, bytes: Buffer) => number): boolean {
    for (const run of this.#unclaimed) {
      const from = placeIn(run.bytes, bytes);
      if (from < 0) continue;
      this.#sink.confirmed(this.#claim(run, from, bytes.length), bytes.length, record);
      return true;
    }
    return false;
  }

  /** The reader has had the beginning of this write, which is the last that it had. @returns how much. */
  #claimBeginning(bytes: Buffer, known: number, record: Supplier): number {
    const run = this.#lastRead();
    if (!run) return 0;
    // A line's; what the kernel counts; that, and what others wrote meanwhile.
    const line = run.bytes.length - 1 - run.bytes.lastIndexOf(NEWLINE);
    for (const length of [line, known, known + this.#waitingBytes]) {
      const from = run.bytes.length - length;
      if (length === 0 || length >= bytes.length || from < 0) continue;
      if (!run.bytes.subarray(from).equals(bytes.subarray(0, length))) continue;
      this.#sink.confirmed(this.#claim(run, from, length), length, record);
      return length;
    }
    return 0;
  }

  /** What the reader supplied, where nothing has been told since. */
  #lastRead(): Run | undefined {
    const run = this.#unclaimed.at(-1);
    return run && run.at + run.bytes.length === this.#end ? run : undefined;
  }

  #isInLine(): boolean {
    const run = this.#lastRead();
    return run !== undefined && run.bytes.at(-1) !== NEWLINE;
  }

  #tellWritten(bytes: Buffer, record: Supplier): void {
    if (!bytes.length) return;
    this.#tell(bytes, record);
    this.#unread.push(Buffer.from(bytes));
    this.#unreadBytes += bytes.length;
    while (this.#unreadBytes > KEPT_MAX) this.#unkept += this.#dropUnread(0, this.#unreadBytes);
  }

  /** @returns how many bytes of the first `length` of this write there were. */
  #dropUnread(index: number, length: number): number {
    const bytes = this.#unread[index] ?? NOTHING;
    const dropped = Math.min(length, bytes.length);
    if (dropped < bytes.length) this.#unread[index] = bytes.subarray(dropped);
    else this.#unread.splice(index, 1);
    this.#unreadBytes -= dropped;
    return dropped;
  }

  #wait(bytes: Buffer, record: Supplier): void {
    this.#waiting.push({ bytes, record });
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > WAIT_MAX) this.#tellWaiting();
  }

  /** The line is complete: what waited for its end is told. */
  #release(): void {
    if (this.#waiting.length > 0 && !this.#isInLine()) this.#tellWaiting();
  }

  #tellWaiting(): void {
    this.#waitingBytes = 0;
    for (const { bytes, record } of this.#waiting.splice(0)) {
      // It may have been the rest of the line itself, and read meanwhile in pieces.
      if (!this.#claimWhole(bytes, record, (text) => text.indexOf(bytes))) this.#tellWritten(bytes, record);
    }
  }
}

const NOTHING = Buffer.alloc(0);

function startsWith(bytes: Buffer, start: Buffer): boolean {
  return start.length <= bytes.length && bytes.subarray(0, start.length).equals(start);
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
