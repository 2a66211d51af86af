// SPDX-License-Identifier: Apache-2.0
/**
 * Lets frames go in time order, and holds a frame back for a moment while nobody
 * knows who reads or wrote it: a server may read its first message a second after
 * it was written, and until then the kernel cannot say who that will be.
 */
/** How long one frame may keep all later ones waiting. */
export const HOLD_NS = 2e9;
/** Two processors' records may lie in the ring in the wrong order by less than this. */
const DISORDER_NS = 200e3;
/** Held frames are let go rather than held in more memory than this. */
const HOLD_BYTES = 32 << 20;

export interface Held {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: number;
  /** Bytes it keeps in memory. */
  readonly size: number;
  /** May it go, now that everything up to this time has been seen? Asked again until it says yes or its time is over. */
  readonly ready: (now: number) => boolean;
  /** Makes the frame final, with the time it goes under, and hands it on. */
  readonly go: (time: number) => void;
}

export class ReleaseQueue {
  #queue: Held[] = [];
  #bytes = 0;
  /** The time under which the last one went: what was delayed by a hole goes under no earlier one. */
  #last = 0;

  get length(): number {
    return this.#queue.length;
  }

  push(held: Held): void {
    this.#bytes += held.size;
    let index = this.#queue.length;
    while (index > 0 && (this.#queue[index - 1]?.time ?? 0) > held.time) index--;
    if (index === this.#queue.length) this.#queue.push(held);
    else this.#queue.splice(index, 0, held);
  }

  /** Releases what may go, when everything up to `time` has been seen. */
  pump(time: number): void {
    let count = 0;
    for (const held of this.#queue) {
      if (held.time > time - DISORDER_NS) break;
      const over = time - held.time > HOLD_NS || this.#bytes > HOLD_BYTES;
      if (!over && !held.ready(time)) break;
      this.#bytes -= held.size;
      count++;
      this.#last = Math.max(this.#last, held.time);
      held.go(this.#last);
    }
    if (count === this.#queue.length) this.#queue = [];
    else if (count) this.#queue.splice(0, count);
  }
}
