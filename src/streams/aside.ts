// SPDX-License-Identifier: Apache-2.0
/** Streams that have ended or were never used, the youngest of them, in case that they go on. */
import { keepYoungest } from '../youngest.ts';
import type { Stream } from './stream.ts';

/** Those that can: a FIFO has one writer after another, a pipe may be used late. */
const OPEN_KEPT = 2048;
/** Of a connection that is over nothing but a straggler can come. */
const OVER_KEPT = 512;

export class Aside {
  /** By id, the oldest first. */
  readonly #open = new Map<number, Stream>();
  readonly #over = new Map<number, Stream>();

  /** @param over It belongs to a connection that has ended. */
  put(id: number, stream: Stream, over: boolean): void {
    this.take(id);
    const [streams, kept] = over ? [this.#over, OVER_KEPT] : [this.#open, OPEN_KEPT];
    streams.set(id, stream);
    keepYoungest(streams, kept);
  }

  /** One that can go on. */
  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  /** It goes on: it is aside no longer. */
  take(id: number): Stream | undefined {
    const stream = this.#open.get(id) ?? this.#over.get(id);
    this.#open.delete(id);
    this.#over.delete(id);
    return stream;
  }

  *all(): Iterable<Stream> {
    yield* this.#open.values();
    yield* this.#over.values();
  }
}
