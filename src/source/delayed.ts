// SPDX-License-Identifier: Apache-2.0
/** Records that wait for their turn, the first first. To take one costs the same however many wait behind it. */
export class Delayed<T extends { readonly time: number }> {
  #records: (T | undefined)[] = [];
  /** What is before here has been taken. */
  #first = 0;

  get length(): number {
    return this.#records.length - this.#first;
  }

  push(record: T): void {
    this.#records.push(record);
  }

  /** Puts them in the order of their times; those of the same time keep theirs. */
  sort(): void {
    this.#drop();
    (this.#records as T[]).sort((a, b) => a.time - b.time);
  }

  /** The first, which goes on waiting. */
  get first(): T | undefined {
    return this.#records[this.#first];
  }

  take(): T | undefined {
    const record = this.first;
    if (!record) return undefined;
    this.#records[this.#first++] = undefined;
    // Moved all at once when more have gone than are left, so that each is moved once, on average.
    if (this.#first * 2 >= this.#records.length) this.#drop();
    return record;
  }

  #drop(): void {
    this.#records = this.#first === this.#records.length ? [] : this.#records.slice(this.#first);
    this.#first = 0;
  }
}
