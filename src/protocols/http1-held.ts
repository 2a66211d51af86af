// SPDX-License-Identifier: Apache-2.0
import { GatheredBytes } from './http1-gathered.ts';

/** Bytes held at once. */
export const HELD_MAX = 64 << 10;

/** What is held, and how much behind it is not. */
export interface Held {
  readonly bytes: Buffer;
  readonly offset: number;
  /** Bytes behind those that were lost or found no room. */
  readonly lost: number;
  readonly lostOffset: number;
}

/**
 * What a client sends behind a request that asks for another protocol, until the response says whose bytes these
 * are. What does not fit, and all that follows it or a gap, is lost.
 */
export class HeldBytes {
  readonly #bytes = new GatheredBytes();
  #offset = 0;
  #lost = 0;
  #lostOffset = 0;

  /** @param from Index of the first byte to hold. @param offset Place of `bytes[0]`. */
  add(bytes: Buffer, from: number, offset: number): void {
    const room = this.#lost > 0 ? 0 : HELD_MAX - this.#bytes.length;
    const to = Math.min(bytes.length, from + room);
    if (this.#bytes.length === 0) this.#offset = offset + from;
    if (to > from) this.#bytes.add(bytes, from, to);
    if (to < bytes.length) this.lose(offset + to, bytes.length - to);
  }

  /** Bytes are missing here. */
  lose(offset: number, bytes: number): void {
    if (this.#lost === 0) this.#lostOffset = offset;
    this.#lost += bytes;
  }

  /** Hands out all of it and is empty again. */
  take(): Held {
    const held = {
      bytes: this.#bytes.take(),
      offset: this.#offset,
      lost: this.#lost,
      lostOffset: this.#lostOffset,
    };
    this.#lost = 0;
    return held;
  }
}
