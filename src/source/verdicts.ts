// SPDX-License-Identifier: Apache-2.0
/** The kernel's ear: a mapped table in which a slot holds the id of a stream that is not wanted (bpf/state.h). */
import type { StopUntil, Verdicts } from '../streams/tracker.ts';

/** Words of a slot, `struct verdict`: the stream's id, then for how long. */
const STRIDE = 2;

/** `enum verdict_term`. */
const TERM = { always: 0, http1Head: 1 } as const;

export class VerdictTable implements Verdicts {
  readonly #words: Uint32Array;
  readonly #slots: number;

  constructor(words: Uint32Array) {
    this.#words = words;
    this.#slots = words.length / STRIDE;
  }

  stop(stream: number, until: StopUntil): void {
    const at = (stream % this.#slots) * STRIDE;
    Atomics.store(this.#words, at + 1, until === 'http1-head' ? TERM.http1Head : TERM.always);
    Atomics.store(this.#words, at, stream % 4294967296);
  }

  resume(stream: number): void {
    const at = (stream % this.#slots) * STRIDE;
    if (Atomics.load(this.#words, at) === stream % 4294967296) Atomics.store(this.#words, at, 0);
  }
}
