// SPDX-License-Identifier: Apache-2.0
/** Which streams there are: by the kernel's number and by what carries them; and which of them are over. */
import type { StreamRecord } from '../source/records.ts';
import { Aside } from './aside.ts';
import { ByObject } from './by-object.ts';
import { Descriptors } from './descriptors.ts';
import type { Address } from './frame.ts';
import type { ProcessTable } from './processes.ts';
import type { Sockets } from './sockets.ts';
import type { Stream } from './stream.ts';

/** Ended streams are put aside this long after their last bytes. */
const FORGET_NS = 5e9;
const SWEEP_NS = 1e9;
/** How often it is looked who has closed what without a word. */
const CLOSED_NS = 5e9;

/** What becomes of streams that are over. */
export interface Over {
  /** Nobody can go on with it any more. */
  end(stream: Stream, time: number): void;
  /** It is in the table no longer. */
  forgotten(stream: Stream): void;
}

export class StreamTable {
  readonly #streams = new Map<number, Stream>();
  readonly #byObject = new ByObject();
  /** Ended, abandoned or never used. */
  readonly #aside = new Aside();
  readonly #processes: ProcessTable;
  readonly #sockets: Sockets;
  readonly #over: Over;
  #swept = 0;
  /** When descriptors were compared last, and whether any stream has begun since. */
  #compared = 0;
  #begun = false;

  constructor(processes: ProcessTable, sockets: Sockets, over: Over) {
    this.#processes = processes;
    this.#sockets = sockets;
    this.#over = over;
  }

  get size(): number {
    return this.#streams.size;
  }

  get(id: number): Stream | undefined {
    return this.#streams.get(id);
  }

  values(): Iterable<Stream> {
    return this.#streams.values();
  }

  /** The TCP stream between two addresses. */
  between(source: Address, destination: Address): Stream | undefined {
    return this.#byObject.between(source, destination);
  }

  add(stream: Stream): void {
    this.#begun = true;
    this.#streams.set(stream.id, stream);
    this.#byObject.add(stream);
  }

  /** One that is known, or one that had been put aside and goes on. */
  resumed(id: number): Stream | undefined {
    const known = this.#streams.get(id);
    if (known) return known;
    const stream = this.#aside.take(id);
    if (!stream) return undefined;
    // Where it was numbered anew others still know it by its first number.
    for (const each of [id, stream.id]) {
      this.#aside.take(each);
      this.#streams.set(each, stream);
    }
    this.#byObject.add(stream);
    return stream;
  }

  /** What the record calls the opposite direction of the same socket; it may be something else by now. */
  named({ pair }: StreamRecord): Stream | undefined {
    return this.#streams.get(pair) ?? this.#aside.get(pair);
  }

  /** The kernel had forgotten an idle stream, and follows it under a new number: to us it goes on. */
  renumbered(record: StreamRecord): Stream | undefined {
    const stream = record.joined ? this.#byObject.same(record) : undefined;
    if (!stream || stream.ended) return undefined;
    this.#begun = true;
    stream.kernelId = record.stream;
    this.#streams.set(record.stream, stream);
    return stream;
  }

  /** Puts aside what is over, unless that has been done a moment before. */
  sweep(time: number): void {
    if (time - this.#swept <= SWEEP_NS) return;
    this.#swept = time;
    const descriptors = this.#descriptors(time);
    // Not in a loop, which would make an array for each, again and again while nothing happens.
    this.#streams.forEach((stream, id) => {
      if (this.#isToBeForgotten(stream, time, descriptors)) this.#forget(id, stream);
    });
  }

  /** Has it ended, now if not before, or never been used? */
  #isToBeForgotten(stream: Stream, time: number, descriptors: Descriptors | undefined): boolean {
    if (time - stream.lastTime < FORGET_NS) return false;
    const used =
      stream.writer.pid !== undefined ||
      stream.reader.pid !== undefined ||
      stream.merge.position > 0 ||
      stream.merge.waiting;
    if (used && !stream.ended && !this.#abandoned(stream, descriptors)) return false;
    if (used) this.#over.end(stream, time);
    return true;
  }

  #forget(id: number, stream: Stream): void {
    this.#streams.delete(id);
    this.#over.forgotten(stream);
    this.#byObject.delete(stream);
    const over = this.#isOver(stream);
    this.#aside.put(id, stream, over);
    if (!over) return;
    for (const each of this.#sockets.both(stream))
      if (this.#aside.get(each.id)) this.#aside.put(each.id, each, true);
  }

  /** Only where one has begun since the last time can a descriptor have become another stream's. */
  #descriptors(time: number): Descriptors | undefined {
    if (!this.#begun || time - this.#compared < CLOSED_NS) return undefined;
    this.#compared = time;
    this.#begun = false;
    return new Descriptors(this.#streams.values(), this.#aside.all());
  }

  /** Has the connection ended that it is a direction of? One that was never used ends with the other. */
  #isOver(stream: Stream): boolean {
    if (stream.carrier !== 'tcp' && stream.carrier !== 'tls' && stream.carrier !== 'unix') return false;
    return stream.ended || this.#sockets.both(stream).some((each) => each !== stream && each.ended);
  }

  /** Are those gone who could go on with it? Of a recognised stream, both: one may wait for the other to be started again. */
  #abandoned(stream: Stream, descriptors: Descriptors | undefined): boolean {
    const { carrier, writer, formerWriters, reader, kept } = stream;
    const noWriter =
      writer.pid !== undefined &&
      (formerWriters?.size
        ? this.#gone(writer.pid) && [...formerWriters].every((pid) => this.#gone(pid))
        : this.#gone(writer.pid) || descriptors?.closed(stream, 'writer') === true);
    const noReader =
      reader.pid !== undefined && (this.#gone(reader.pid) || descriptors?.closed(stream, 'reader') === true);
    // Of TLS one end is all there is.
    return kept && carrier !== 'tls'
      ? noWriter && (noReader || reader.pid === undefined)
      : noWriter || noReader;
  }

  #gone(pid: number): boolean {
    return this.#processes.hasEnded(pid) || !this.#processes.get(pid);
  }
}
