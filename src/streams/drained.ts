// SPDX-License-Identifier: Apache-2.0
/**
 * A reader of a stream that was joined in the middle leaves its bytes to the writer, and the two count from different
 * bytes. Whenever the reader has had all that went in, their counts are equally far apart, unless a writer's call has
 * not returned yet: then it is about to tell what the reader has had, and what comes after that has to wait.
 */
import type { Merge } from './merge.ts';

/** So long a call may take to return from where its bytes went in: its processor may have been taken away. */
const RETURN_NS = 200e6;

export class Drained {
  readonly #merge: Merge<unknown>;
  /** How far the writer's count is ahead of the reader's. */
  #lead = Number.NEGATIVE_INFINITY;
  /** What the reader has had, by the writer's count, and since when. */
  #until = 0;
  #time = 0;

  constructor(merge: Merge<unknown>) {
    this.#merge = merge;
  }

  /** @returns May what came after this go? `undefined` when nothing has to wait. */
  read(position: number, time: number): ((now: number) => boolean) | undefined {
    const lead = this.#merge.position - position;
    if (lead >= this.#lead) {
      this.#lead = lead;
      return undefined;
    }
    const until = position + this.#lead;
    if (this.#merge.position >= this.#until) this.#time = time;
    this.#until = until;
    return (now) => {
      if (this.#merge.position >= until) return true;
      if (now - time <= RETURN_NS) return false;
      // It is not to come: what they count is no longer what it was.
      this.#lead = Number.NEGATIVE_INFINITY;
      this.#until = 0;
      return true;
    };
  }

  /** Bytes that a writer's call tells of at `time` went in before the reader had them. */
  wentIn(time: number): number {
    return this.#merge.position < this.#until ? Math.min(time, this.#time) : time;
  }
}
