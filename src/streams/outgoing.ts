// SPDX-License-Identifier: Apache-2.0
/** What leaves `streams/`, made when it goes: who is at the ends may only be known by then. */
import type { Payload } from '../http/connection.ts';
import type { Line } from '../protocols/lines.ts';
import { PAYLOAD_CHUNK } from '../source/layout.ts';
import type { Ends } from './ends.ts';
import type { Endpoint, Frame, HttpExchange, HttpStep, LossCause, StreamItem } from './frame.ts';
import { RACE_NS } from './merge.ts';
import type { ProcessTable } from './processes.ts';
import { ReleaseQueue } from './release.ts';
import type { End, Stream } from './stream.ts';

/** Bytes that are missing, and where. */
interface Missing {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: number;
  readonly offset: number;
  readonly bytes: number;
  readonly cause: LossCause;
}

export class Outgoing {
  readonly #queue = new ReleaseQueue();
  readonly #ends: Ends;
  readonly #processes: ProcessTable;
  readonly #deliver: (item: StreamItem, stream: Stream) => void;

  constructor(ends: Ends, processes: ProcessTable, deliver: (item: StreamItem, stream: Stream) => void) {
    this.#ends = ends;
    this.#processes = processes;
    this.#deliver = deliver;
  }

  /** How much waits. */
  get length(): number {
    return this.#queue.length;
  }

  /** Everything up to `time` has been seen: what may go goes. */
  pump(time: number): void {
    this.#queue.pump(time);
  }

  /** What comes after `time` waits until `ready` says yes. */
  wait(time: number, ready: (now: number) => boolean): void {
    this.#queue.push({ time, size: 0, ready, go: () => {} });
  }

  /** A line is complete, or will never be. `writer`: whose call has shown its end, if a writer's has. */
  line(stream: Stream, line: Line, time: number, writer: number | undefined): void {
    const last = line.offset + line.size - 1;
    const from = (pid: number | undefined) => (pid === undefined ? undefined : this.#processes.get(pid));
    const known = from(writer);
    if (line.content.type !== 'incomplete') stream.unframed = 0;
    stream.begun = true;
    const bothKnown = this.#ends.whenKnown(stream, line.content, time);
    const told = writer !== undefined || !willTell(stream, line.size);
    const ready = (now: number) =>
      (told || now - time > RACE_NS || stream.written?.by(last) !== undefined) && bothKnown(now);
    const { reader } = stream;
    this.#enqueue(stream, time, line.size, ready, (at) => ({
      kind: 'frame',
      time: at,
      stream,
      offset: line.offset,
      size: line.size,
      ...this.#attributed(stream, known ?? from(stream.written?.by(last)), reader, time),
      content: line.content,
    }));
  }

  /** HTTP carried a frame. */
  payload(stream: Stream, { offset, size, content, http }: Payload, time: number): void {
    const ready = this.#ends.whenKnown(stream, content, time, http);
    const { reader } = stream;
    this.#enqueue(stream, time, size, ready, (at) => ({
      kind: 'frame',
      time: at,
      stream,
      offset,
      size,
      ...this.#attributed(stream, undefined, reader, time),
      content,
      http,
    }));
  }

  step(stream: Stream, offset: number, exchange: HttpExchange, step: HttpStep['step'], time: number): void {
    this.#enqueue(stream, time, 0, always, (at) => ({
      kind: 'http',
      time: at,
      stream,
      offset,
      exchange,
      side: stream === exchange.requests ? 'request' : 'response',
      step,
      ...this.#both(stream, time),
    }));
  }

  /** `frames`: how many are missing, where that is known. */
  gap(stream: Stream, { time, offset, bytes, cause }: Missing, frames: number | undefined): void {
    this.#enqueue(stream, time, 0, always, (at) => ({
      kind: 'gap',
      time: at,
      stream,
      offset,
      bytes,
      frames,
      cause,
      ...this.#both(stream, time),
    }));
  }

  end(stream: Stream, time: number): void {
    this.#enqueue(stream, time, 0, always, (at) => ({ kind: 'end', time: at, stream }));
  }

  /** @param reader Who that was when the frame came. */
  #attributed(
    stream: Stream,
    writer: Endpoint | undefined,
    reader: End,
    time: number,
  ): Pick<Frame, 'from' | 'to' | 'unattributed'> {
    const from = writer ?? this.#ends.who(stream, 'writer', time);
    const to = this.#ends.whoWas(reader, time) ?? this.#ends.who(stream, 'reader', time);
    if ((from && to) || !this.#ends.mayTurnOut(stream)) return { from, to };
    return { from, to, unattributed: true };
  }

  #both(stream: Stream, time: number): { from: Endpoint | undefined; to: Endpoint | undefined } {
    return { from: this.#ends.who(stream, 'writer', time), to: this.#ends.who(stream, 'reader', time) };
  }

  #enqueue(
    stream: Stream,
    time: number,
    size: number,
    ready: (now: number) => boolean,
    item: (at: number) => StreamItem,
  ): void {
    // Order within a stream is exact, whichever processor stamped its record first.
    stream.lastOut = Math.max(stream.lastOut, time);
    this.#queue.push({ time: stream.lastOut, size, ready, go: (at) => this.#deliver(item(at), stream) });
  }
}

const always = () => true;

/** The reader has supplied a frame: will its writer's call, which is about to return, say that it is its own? */
function willTell({ carrier, writer }: Stream, size: number): boolean {
  return carrier !== 'tls' && writer.pid !== undefined && !writer.presumed && size < PAYLOAD_CHUNK;
}
