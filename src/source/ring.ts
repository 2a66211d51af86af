// SPDX-License-Identifier: Apache-2.0
/**
 * The consumer's side of a BPF ring buffer, in place: records are read where the
 * kernel put them (kernel/bpf/ringbuf.c; the layout is ABI).
 */

const BUSY = 0x80000000;
const DISCARD = 0x40000000;
const HEADER = 8;

/** A ring as mapped: the positions and the data, which lies there twice so that no record is ever cut. */
export interface RingMemory {
  readonly consumer: ArrayBuffer;
  readonly producer: ArrayBuffer;
  readonly data: ArrayBuffer;
  /** Bytes, a power of two. */
  readonly size: number;
}

export class Ring {
  /** The data, twice. */
  readonly bytes: Buffer;
  readonly #lengths: Int32Array;
  readonly #consumer: BigInt64Array;
  readonly #producer: BigInt64Array;
  readonly #size: number;
  #position: number;

  constructor(memory: RingMemory) {
    this.bytes = Buffer.from(memory.data);
    this.#lengths = new Int32Array(memory.data);
    this.#consumer = new BigInt64Array(memory.consumer, 0, 1);
    this.#producer = new BigInt64Array(memory.producer, 0, 1);
    this.#size = memory.size;
    this.#position = Number(Atomics.load(this.#consumer, 0));
  }

  /** Where the kernel will write next. */
  produced(): number {
    return Number(Atomics.load(this.#producer, 0));
  }

  get position(): number {
    return this.#position;
  }

  /**
   * Index in `bytes` of the next committed record before `end`, or -1. Call
   * `advance` when done with it, and `release` now and then.
   */
  next(end: number): number {
    while (this.#position < end) {
      const at = this.#position % this.#size;
      const length = Atomics.load(this.#lengths, at >>> 2) >>> 0;
      if (length & BUSY) return -1;
      if (!(length & DISCARD)) return at + HEADER;
      this.advance();
    }
    return -1;
  }

  /** Steps over the record that `next` answered. */
  advance(): void {
    const at = this.#position % this.#size;
    const length = (Atomics.load(this.#lengths, at >>> 2) >>> 0) & ~(BUSY | DISCARD);
    this.#position += (length + HEADER + 7) & ~7;
  }

  /** Gives the kernel back the room of all records stepped over. */
  release(): void {
    Atomics.store(this.#consumer, 0, BigInt(this.#position));
  }
}
