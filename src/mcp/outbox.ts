// SPDX-License-Identifier: Apache-2.0
/**
 * Puts what is told into time order. While it is not known whether something is MCP, what came after it waits for a
 * moment: mostly it shows itself at once, and is then told in its place. What shows itself later is told late.
 */

/** How long output waits for one that is undecided: not longer than a person at a display notices. Nanoseconds. */
export const HOLD_NS = 100e6;
/** Bytes that wait at most, about; more are told rather than held. */
const BYTES_MAX = 8 << 20;
/** What an event takes beside its payload, about. */
const OVERHEAD = 1024;
/** How many may be undecided at the same time; the oldest are waited for. */
const HOLDS_MAX = 4096;

interface Waiting {
  readonly time: number;
  readonly size: number;
  readonly tell: (late: boolean) => void;
}

export class Outbox {
  /** In time order. */
  #queue: Waiting[] = [];
  #bytes = 0;
  /** What is undecided, with the time of its first item, oldest first. */
  readonly #holds = new Map<unknown, number>();
  /** One of them has been decided, and what was kept back of it is coming: in which order is not known yet. */
  #gathering = false;
  /** Everything up to here has been seen. */
  #now = Number.NEGATIVE_INFINITY;
  /** The youngest that has been told. */
  #told = Number.NEGATIVE_INFINITY;

  /**
   * @param time CLOCK_MONOTONIC, nanoseconds.
   * @param size Bytes that it keeps in memory, about.
   * @param tell Told that it is late, it comes after something younger.
   */
  put(time: number, size: number, tell: (late: boolean) => void): void {
    if (!this.#gathering && this.#queue.length === 0 && this.#holds.size === 0) {
      this.#tell({ time, size, tell });
      return;
    }
    let index = this.#queue.length;
    while (index > 0 && (this.#queue[index - 1]?.time ?? 0) > time) index--;
    if (index === this.#queue.length) this.#queue.push({ time, size, tell });
    else this.#queue.splice(index, 0, { time, size, tell });
    this.#bytes += size + OVERHEAD;
  }

  /** `key` is undecided; its first item is of `time`. What is younger waits for a moment. */
  hold(key: unknown, time: number): void {
    if (time + HOLD_NS > this.#now && this.#holds.size < HOLDS_MAX && !this.#holds.has(key))
      this.#holds.set(key, time);
  }

  /** It is decided. What was kept back of it may be put until `settled` is called. */
  release(key: unknown): void {
    this.#holds.delete(key);
    this.#gathering = true;
  }

  /**
   * Everything up to `time` has been put.
   * @returns whether something still waits.
   */
  settled(time: number): boolean {
    this.#now = time;
    this.#gathering = false;
    for (const [key, since] of this.#holds) {
      if (time - since < HOLD_NS) break;
      this.#holds.delete(key);
    }
    const [until = Number.POSITIVE_INFINITY] = this.#holds.values();
    let count = 0;
    for (const waiting of this.#queue) {
      if (waiting.time >= until && this.#bytes <= BYTES_MAX) break;
      this.#bytes -= waiting.size + OVERHEAD;
      count++;
      this.#tell(waiting);
    }
    if (count === this.#queue.length) this.#queue = [];
    else if (count) this.#queue.splice(0, count);
    return this.#queue.length > 0;
  }

  /** Nothing waits any longer. */
  finish(): void {
    this.#holds.clear();
    this.settled(this.#now);
  }

  #tell({ time, tell }: Waiting): void {
    const late = time < this.#told;
    if (!late) this.#told = time;
    tell(late);
  }
}
