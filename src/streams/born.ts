// SPDX-License-Identifier: Apache-2.0
/** Streams made in scope an end of which no call has shown: when the sensor is asked who holds them. */
import type { Stream } from './stream.ts';

/** So long the ends of what was made in scope have to show themselves before everybody's descriptors are looked at. */
export const BORN_MS = 100;

export class Born {
  readonly #ask: (stream: Stream) => void;
  readonly #clock: () => number;
  /** With the time from which on it is asked, milliseconds; the first first. */
  readonly #queue: { readonly stream: Stream; readonly at: number }[] = [];
  /** One for all: thousands may be born at once. */
  #timer: NodeJS.Timeout | undefined;

  constructor(ask: (stream: Stream) => void, clock: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#clock = clock;
  }

  add(stream: Stream): void {
    this.#queue.push({ stream, at: this.#clock() + BORN_MS });
    this.#wait(BORN_MS);
  }

  #wait(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, ms).unref();
  }

  #look(): void {
    const now = this.#clock();
    const later = this.#queue.findIndex(({ at }) => at > now);
    for (const { stream } of this.#queue.splice(0, later < 0 ? this.#queue.length : later)) {
      if (stream.ended || (stream.writer.pid !== undefined && stream.reader.pid !== undefined))
        stream.answered = true;
      else this.#ask(stream);
    }
    const [next] = this.#queue;
    if (next) this.#wait(next.at - now);
  }
}
