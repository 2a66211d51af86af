// SPDX-License-Identifier: Apache-2.0

/** Bytes that are copied because more have to come before they mean something. The caller keeps their number small. */
export class GatheredBytes {
  #buffer: Buffer | undefined;
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** A view of all of them, valid until the next call of another method. */
  get bytes(): Buffer {
    return this.#buffer?.subarray(0, this.#length) ?? Buffer.alloc(0);
  }

  /** Copies `bytes[from]` to before `bytes[to]`. Time is linear in what is added, over all calls. */
  add(bytes: Buffer, from: number, to: number): void {
    const length = this.#length + to - from;
    if (!this.#buffer || this.#buffer.length < length) {
      // Not from the shared pool: what is small here would pin it.
      const larger = Buffer.allocUnsafeSlow(Math.max(512, 2 * length));
      this.#buffer?.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    bytes.copy(this.#buffer, this.#length, from, to);
    this.#length = length;
  }

  /** Hands them out and is empty again. */
  take(): Buffer {
    const { bytes } = this;
    this.clear();
    return bytes;
  }

  clear(): void {
    this.#buffer = undefined;
    this.#length = 0;
  }
}
