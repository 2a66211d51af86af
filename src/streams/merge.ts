// SPDX-License-Identifier: Apache-2.0
/**
 * Puts the bytes of one stream in order, each once.
 *
 * The kernel programs copy a byte at whichever end's call returns first, so the
 * same bytes may be supplied by the reader before the writer's call returns. Bytes
 * that the reader supplied are remembered until the writer confirms them: equal
 * bytes are dropped, different ones are another writer's: see SharedWriting.
 */
import type { DataRecord, GapRecord } from '../source/records.ts';
import type { LossCause } from './frame.ts';
import { SharedWriting } from './shared-writing.ts';

/**
 * The bytes a reader supplied ahead that we keep to compare, at most. Writes up to PIPE_BUF are
 * whole (pipe(7)); of longer ones two writers may mix in the pipe itself.
 */
const AHEAD_MAX = 4096;
/** A writer's call returns no later than this after its reader's, when the two race: its thread may have to wait for a processor. */
export const RACE_NS = 50e6;
/** How long a hole may stay open for bytes in flight on another processor. */
const IN_FLIGHT_NS = 200e6;

/** Most streams never have a hole: they share this, which is never changed. */
const NONE: Early[] = [];
const NO_PATIENCE = { reader: 0, writer: 0 };

/** What comes out of the stream `of`, in order. One sink serves all: there are many streams. */
export interface MergeSink<T> {
  /** `record` says who supplied the bytes and when. They are valid only during the call. */
  bytes(of: T, bytes: Buffer, offset: number, record: Supplier): void;
  lost(of: T, hole: Hole): void;
  /** `length` bytes at `offset` that the reader had supplied are `record`'s: its writer's call has returned. */
  confirmed(of: T, offset: number, length: number, record: Supplier): void;
}

export type Supplier = Pick<DataRecord, 'time' | 'pid' | 'fd' | 'fromReader' | 'packetEnd' | 'batch'>;

export interface Hole {
  readonly time: number;
  readonly offset: number;
  readonly bytes: number;
  readonly lines: number | undefined;
  /** Is the last of them a newline? `undefined` when that is not known. */
  readonly endsLine: boolean | undefined;
  readonly cause: LossCause;
}

/** A gap whose place is known. */
type PlacedGap = GapRecord & { readonly offset: number };

type Early = { readonly at: number; readonly since: number } & (
  | { readonly data: DataRecord }
  | { readonly gap: PlacedGap }
);

/** Losses whose places are not known: they explain holes that nothing else explains. */
interface Unplaced {
  readonly bytes: number;
  readonly lines: number | undefined;
  readonly cause: LossCause;
}

/** What a reader supplied, and the position behind it. */
interface Ahead {
  /** A character for each byte: a buffer takes 200 bytes beside what it holds, and its writer may never be seen. */
  readonly latin1: string;
  readonly end: number;
}

/** How many bytes a reader supplied in all, and when the last of them. */
interface Supplied {
  bytes: number;
  last: number;
}

/** There is one for each stream, and most do nothing: what few need is made with the first use. */
export class Merge<T> {
  readonly #sink: MergeSink<T>;
  /** The stream; to be set before the first record. */
  of!: T;
  #position = 0;
  /** Once several processes have written. */
  #shared: SharedWriting | undefined;
  /** Supplied by the reader, not confirmed yet. */
  #ahead: Ahead | undefined;
  /** The last hole, with those that it adjoins. */
  #lost: { readonly start: number; readonly end: number } | undefined;
  /** Beyond a hole, by position. */
  #early = NONE;
  #unplaced: Unplaced | undefined;
  #skipping = false;
  /** Joined in the middle, and no writer's call has been seen yet. */
  #joining: Supplied | undefined;

  /** @param joined The stream may have carried bytes before it was followed. */
  constructor(sink: MergeSink<T>, joined = false) {
    this.#sink = sink;
    this.#joining = joined ? { bytes: 0, last: 0 } : undefined;
  }

  /** Where the next byte is expected. */
  get position(): number {
    return this.#position;
  }

  /** Does something wait for a hole to close? */
  get waiting(): boolean {
    return this.#early.length > 0 || this.#shared?.waiting === true;
  }

  /** From here on bytes are missing on purpose, until `data` is called again. */
  skip(): void {
    this.#skipping = true;
    this.#unplaced = undefined;
    this.#early = NONE;
    this.#ahead = undefined;
    this.#shared = undefined;
  }

  /**
   * The kernel numbers this stream's bytes from 0 again; nothing more will come under the old numbers.
   * @param joined As at the beginning.
   */
  restart(joined: boolean): void {
    this.expire(Number.POSITIVE_INFINITY);
    this.#position = 0;
    this.#joining = joined ? { bytes: 0, last: 0 } : undefined;
    this.#ahead = undefined;
    this.#lost = undefined;
    this.#shared = undefined;
  }

  data(record: DataRecord): void {
    if (this.#early.length) this.#drainEarly();
    if (this.#skipping) {
      this.#skipping = false;
      if (record.offset > this.#position) {
        this.#lose(record.time, record.offset - this.#position, undefined, undefined, 'stopped');
      }
    }
    if (record.offset > this.#position) {
      this.#hold(record.offset, {
        at: record.offset,
        since: record.time,
        data: { ...record, bytes: Buffer.from(record.bytes) },
      });
      this.#drainEarly();
      return;
    }
    if (this.#joining && !record.fromReader && this.#isRepeated(record)) {
      this.#position = record.offset + record.bytes.length;
      return;
    }
    this.#accept(record);
    if (this.#early.length) this.#drainEarly();
  }

  /**
   * On a joined stream the kernel cannot tell by position whether the reader has already supplied what the
   * first writer's call brings, its call having returned first: the bytes and the moment tell.
   */
  #isRepeated({ bytes, time }: DataRecord): boolean {
    const supplied = this.#joining;
    this.#joining = undefined;
    const ahead = this.#ahead?.latin1;
    if (!ahead || !supplied || supplied.bytes < bytes.length || time - supplied.last > RACE_NS) return false;
    const compared = Math.min(ahead.length, bytes.length);
    return ahead.endsWith(bytes.toString('latin1', bytes.length - compared));
  }

  gap(record: GapRecord): void {
    if (this.#skipping) return;
    if (isPlaced(record)) {
      // Told when the next bytes come or when it has waited long enough: losses in a row are one gap.
      this.#holdGap(record);
      return;
    }
    const { bytes, lines, cause } = record;
    const before = this.#unplaced;
    const known = lines !== undefined && (!before || before.lines !== undefined);
    this.#unplaced = {
      bytes: bytes + (before?.bytes ?? 0),
      lines: known ? lines + (before?.lines ?? 0) : undefined,
      cause,
    };
  }

  /**
   * Gives up on holes that have been open for too long at `time`.
   * @param patience How long one end may take for what the other moved unseen, nanoseconds.
   */
  expire(time: number, patience: { readonly reader: number; readonly writer: number } = NO_PATIENCE): void {
    this.#shared?.expire(time);
    for (;;) {
      const index = this.#early.findIndex((early) => !this.#mayCome(early, time, patience));
      const first = this.#early[index];
      if (!first || first.since + IN_FLIGHT_NS >= time) return;
      if ('gap' in first && first.at <= this.#position) {
        this.#early.splice(index, 1);
        this.#pass(first.gap);
      } else if (index === 0) this.#loseUnexplained(first.since, first.at - this.#position);
      else return;
      this.#drainEarly();
    }
  }

  /** Is this the hole at the position, and one that the other end may still fill? */
  #mayCome(
    early: Early,
    time: number,
    patience: { readonly reader: number; readonly writer: number },
  ): boolean {
    if (!('gap' in early) || !early.gap.mayArrive) return false;
    if (early.since + (early.gap.fromReader ? patience.writer : patience.reader) < time) return false;
    return early.at <= this.#position && endOf(early.gap) > this.#position;
  }

  /** No more will come: all holes are final, and what is lost at an unknown place was lost at the end. */
  end(time: number): void {
    this.expire(Number.POSITIVE_INFINITY);
    const left = this.#unplaced;
    this.#unplaced = undefined;
    if (left) this.#lose(time, left.bytes, left.lines, true, left.cause);
  }

  #loseUnexplained(time: number, bytes: number): void {
    const known = this.#unplaced;
    if (!known || known.bytes < bytes) {
      this.#lose(time, bytes, undefined, undefined, 'unknown');
      return;
    }
    const rest = known.bytes - bytes;
    // All newlines are told with the first hole: their sum stays exact.
    this.#unplaced = rest
      ? { ...known, bytes: rest, lines: known.lines === undefined ? undefined : 0 }
      : undefined;
    // Whether each of these holes ends a line is not known.
    this.#lose(time, bytes, known.lines, undefined, known.cause);
  }

  #accept(record: DataRecord): void {
    const { bytes, offset } = record;
    const known = Math.max(0, Math.min(this.#position - offset, bytes.length));
    if (record.shared) this.#share(record.time);
    // Threads of one process are not seen to be several writers until their calls cross.
    else if (known > 0 && !record.fromReader && !this.#isInPlace(record, known)) this.#share(record.time);
    if (this.#shared) {
      if (record.fromReader) this.#shared.read(offset, bytes, record);
      else this.#shared.written(offset, bytes, record);
      this.#position = this.#shared.position;
      return;
    }
    if (known > 0 && !record.fromReader) this.#confirm(offset, known, record);
    if (known < bytes.length) this.#emit(known > 0 ? bytes.subarray(known) : bytes, this.#position, record);
  }

  /** @param time Of the record that has shown it. */
  #share(time: number): void {
    if (this.#shared) return;
    const sink = {
      bytes: (bytes: Buffer, at: number, record: Supplier) => this.#sink.bytes(this.of, bytes, at, record),
      confirmed: (at: number, length: number, record: Supplier) =>
        this.#sink.confirmed(this.of, at, length, record),
    };
    const ahead = this.#ahead && {
      at: startOf(this.#ahead),
      bytes: Buffer.from(this.#ahead.latin1, 'latin1'),
      time,
    };
    this.#shared = new SharedWriting(sink, this.#position, ahead);
    this.#ahead = undefined;
  }

  #emit(bytes: Buffer, offset: number, record: DataRecord): void {
    this.#position = offset + bytes.length;
    if (record.fromReader) {
      this.#remember(bytes);
      if (this.#joining) {
        this.#joining.last = record.time;
        this.#joining.bytes += bytes.length;
      }
    } else if (this.#ahead) this.#ahead = undefined;
    this.#sink.bytes(this.of, bytes, offset, record);
  }

  /** Bytes that end at the position. */
  #remember(bytes: Buffer): void {
    const end = this.#position;
    const before = this.#ahead?.end === end - bytes.length ? this.#ahead.latin1 : '';
    const tail = bytes.toString('latin1', Math.max(0, bytes.length - AHEAD_MAX));
    this.#ahead = { latin1: (before + tail).slice(-AHEAD_MAX), end };
  }

  /**
   * Are the first `known` of these bytes what the reader supplied at their place? What cannot be compared is
   * believed to be, where one writer alone may have written it: no more than its call has moved can have been read.
   */
  #isInPlace({ bytes, offset, batch }: DataRecord, known: number): boolean {
    if (!this.#ahead) return true;
    const start = startOf(this.#ahead);
    const from = Math.max(offset, start);
    const to = Math.min(offset + known, this.#ahead.end);
    if (this.#wasLost(offset, offset + known)) return true;
    if (!batch && from > offset && to < this.#ahead.end) return false;
    return (
      from >= to ||
      this.#ahead.latin1.slice(from - start, to - start) ===
        bytes.toString('latin1', from - offset, to - offset)
    );
  }

  /** Given up already, and the call comes that would have brought it. */
  #wasLost(start: number, end: number): boolean {
    return this.#lost !== undefined && this.#lost.start <= start && end <= this.#lost.end;
  }

  #confirm(offset: number, length: number, record: DataRecord): void {
    if (this.#ahead) {
      const { latin1, end } = this.#ahead;
      const rest = latin1.slice(Math.max(0, offset + length - startOf(this.#ahead)));
      this.#ahead = rest ? { latin1: rest, end } : undefined;
    }
    this.#sink.confirmed(this.of, offset, length, record);
  }

  #hold(at: number, early: Early): void {
    let index = this.#early.length;
    while (index > 0 && (this.#early[index - 1]?.at ?? 0) > at) index--;
    if (this.#early === NONE) this.#early = [];
    this.#early.splice(index, 0, early);
  }

  #holdGap(gap: PlacedGap): void {
    const last = this.#early.at(-1);
    const before = last && 'gap' in last ? last.gap : undefined;
    const adjoins =
      before &&
      endOf(before) === gap.offset &&
      before.cause === gap.cause &&
      before.mayArrive === gap.mayArrive &&
      before.fromReader === gap.fromReader;
    if (!adjoins) {
      this.#hold(gap.offset, { at: gap.offset, since: gap.time, gap });
      return;
    }
    const lines =
      before.lines === undefined || gap.lines === undefined ? undefined : before.lines + gap.lines;
    const whole = { ...before, bytes: before.bytes + gap.bytes, lines, endsLine: gap.endsLine };
    this.#early[this.#early.length - 1] = { at: whole.offset, since: gap.time, gap: whole };
  }

  #drainEarly(): void {
    for (let index = 0; index < this.#early.length; ) {
      const early = this.#early[index];
      if (!early) return;
      if (early.at > this.#position) return;
      if ('data' in early) {
        this.#early.splice(index, 1);
        this.#accept(early.data);
      } else if (!early.gap.mayArrive || endOf(early.gap) <= this.#position) {
        this.#early.splice(index, 1);
        this.#pass(early.gap);
      } else index++;
    }
  }

  /** Steps over what a gap says is lost. */
  #pass(gap: PlacedGap): void {
    const { time, lines, endsLine, cause } = gap;
    const bytes = endOf(gap) - this.#position;
    if (bytes <= 0) return;
    // When some of it has come after all, the newlines in the rest are not known.
    this.#lose(time, bytes, bytes === gap.bytes ? lines : undefined, endsLine, cause);
  }

  #lose(
    time: number,
    bytes: number,
    lines: number | undefined,
    endsLine: boolean | undefined,
    cause: LossCause,
  ): void {
    const offset = this.#shared?.lost(bytes, time) ?? this.#position;
    const start = this.#lost?.end === this.#position ? this.#lost.start : this.#position;
    this.#lost = { start, end: this.#position + bytes };
    this.#position += bytes;
    this.#ahead = undefined;
    this.#sink.lost(this.of, { time, offset, bytes, lines, endsLine, cause });
  }
}

function isPlaced(record: GapRecord): record is PlacedGap {
  return record.offset !== undefined;
}

function startOf({ latin1, end }: Ahead): number {
  return end - latin1.length;
}

function endOf(gap: PlacedGap): number {
  return gap.offset + gap.bytes;
}
