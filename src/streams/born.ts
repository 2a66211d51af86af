// SPDX-License-Identifier: Apache-2.0
/** Streams made in scope an end of which no call has shown: when, and how many at once, the sensor is asked who holds them. */
import { HOLD_NS } from './release.ts';
import type { Stream } from './stream.ts';

/** So long the ends of what was made in scope have to show themselves before everybody's descriptors are looked at. */
export const BORN_MS = 100;
/** For each the sensor reads everybody's descriptors, of which there may be 100,000: so many keep it busy, and no longer than that. */
const OPEN_MAX = 2;
/** Then the frames that waited for the answer have gone. */
const LATE_MS = HOLD_NS / 1e6;

export class Born {
  readonly #ask: (stream: Stream) => Promise<void>;
  readonly #clock: () => number;
  /** With the time from which on it is asked, milliseconds; the first first. */
  readonly #queue: { readonly stream: Stream; readonly at: number }[] = [];
  /** One for all: thousands may be born at once. */
  #timer: NodeJS.Timeout | undefined;
  /** Questions without an answer yet. */
  #open = 0;

  /** @param ask Resolves when the sensor has answered. */
  constructor(ask: (stream: Stream) => Promise<void>, clock: () => number = () => performance.now()) {
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
    let done = 0;
    for (const { stream, at } of this.#queue) {
      if (at > now) break;
      if (stream.ended || (stream.writer.pid !== undefined && stream.reader.pid !== undefined))
        stream.answered = true;
      // Its next frame asks again.
      else if (now - at > LATE_MS) stream.asked = false;
      else if (this.#open < OPEN_MAX) this.#begin(stream);
      else break;
      done++;
    }
    this.#queue.splice(0, done);
    const [next] = this.#queue;
    if (next && this.#open < OPEN_MAX) this.#wait(Math.max(0, next.at - now));
  }

  #begin(stream: Stream): void {
    this.#open++;
    void this.#ask(stream).finally(() => {
      this.#open--;
      this.#look();
    });
  }
}
