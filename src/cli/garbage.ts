// SPDX-License-Identifier: Apache-2.0
/**
 * Gives memory back when nothing is going on. V8 collects garbage when it needs room, so after a burst it keeps as much
 * of it as there is of what lives, for hours: all that passed through within its last doubling.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So long nothing must have come: what comes during a collection waits for its end, for up to half a second. */
const QUIET_MS = 1000;
/** So much the heap must have grown since the last one, in bytes and as a part of what it was: else there is little to gain. */
const GROWN_BYTES = 8 << 20;
const GROWN_PART = 0.25;

/** What it needs to know of the world, and does to it. */
export interface Heap {
  /** Milliseconds. */
  now(): number;
  /** Bytes in use, garbage included. */
  used(): number;
  /** Collects, and moves what is left together so that pages become free. */
  collect(): void;
}

export class Garbage {
  readonly #heap: Heap;
  #quietSince: number;
  /** Has it been looked at since it is quiet? */
  #looked = false;
  /** Bytes in use after the last collection, or at the beginning. */
  #before: number;

  constructor(heap: Heap = ownHeap) {
    this.#heap = heap;
    this.#quietSince = heap.now();
    this.#before = heap.used();
  }

  /**
   * To be called again and again. @returns whether it has collected.
   * @param busy Has anything come since the last time, or does something still wait?
   */
  look(busy: boolean): boolean {
    if (busy) {
      this.#quietSince = this.#heap.now();
      this.#looked = false;
      return false;
    }
    if (this.#looked || this.#heap.now() - this.#quietSince < QUIET_MS) return false;
    this.#looked = true;
    const grown = this.#heap.used() - this.#before;
    if (grown < GROWN_BYTES || grown < this.#before * GROWN_PART) return false;
    this.#heap.collect();
    this.#before = this.#heap.used();
    return true;
  }
}

/** V8's own function for it, which new contexts have once the flag is set: no user's Node need be started with it. */
type Collector = (options: { type: 'major'; flavor: 'last-resort' }) => void;
let collector: Collector | undefined;

function exposed(): Collector {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collector;
}

/** This process's. */
export const ownHeap: Heap = {
  now: () => performance.now(),
  used: () => getHeapStatistics().used_heap_size,
  collect: () => {
    collector ??= exposed();
    // Another flavor leaves the pages as they are, half of each garbage.
    collector({ type: 'major', flavor: 'last-resort' });
  },
};
