// SPDX-License-Identifier: Apache-2.0
/**
 * Who wrote which bytes of a stream, learnt after the bytes themselves: the reader's call had supplied them, and the
 * writer's has returned since. Several processes may write into one pipe.
 */

/** Ranges remembered; the oldest are forgotten first. A range is as long as one process writes. */
const RANGES_MAX = 256;

interface Range {
  readonly from: number;
  to: number;
  readonly pid: number;
}

export class Written {
  /** Mostly one: an empty array would make room for 17 with the first. */
  #ranges: Range[] | undefined;

  /** `pid` wrote the `length` bytes at `offset`. */
  add(offset: number, length: number, pid: number): void {
    const last = this.#ranges?.at(-1);
    const to = offset + length;
    if (last?.pid === pid && offset >= last.to) {
      // What lies between has told its writer itself.
      last.to = to;
      return;
    }
    const range = { from: offset, to, pid };
    if (this.#ranges) this.#ranges.push(range);
    else this.#ranges = [range];
    if (this.#ranges.length > RANGES_MAX) this.#ranges.shift();
  }

  /** Who wrote the byte at `position`, if that is known by now. */
  by(position: number): number | undefined {
    return this.#ranges?.findLast(({ from, to }) => from <= position && position < to)?.pid;
  }

  /** The kernel numbers the stream's bytes from 0 again. */
  clear(): void {
    this.#ranges = undefined;
  }
}
