// SPDX-License-Identifier: Apache-2.0

/** Bytes that one end of a stream has told and the other has not shown yet. */
export interface Run {
  /** Where they were told. */
  readonly at: number;
  readonly bytes: Buffer;
  /** CLOCK_MONOTONIC of the call, nanoseconds. */
  readonly time: number;
}

export function endOf({ at, bytes }: Run): number {
  return at + bytes.length;
}

/** Runs in the order in which they were told, the youngest `max` bytes of them. */
export class Kept {
  readonly #runs: Run[] = [];
  readonly #max: number;
  readonly #joins: boolean;
  #bytes = 0;
  /** What was told before here is kept no more. */
  #forgottenTo: number;

  /**
   * @param from What was told before this place is not known.
   * @param joins What adjoins becomes one run.
   */
  constructor(max: number, from: number, joins: boolean) {
    this.#max = max;
    this.#forgottenTo = from;
    this.#joins = joins;
  }

  get runs(): readonly Run[] {
    return this.#runs;
  }

  /** A copy is kept. */
  add({ at, bytes, time }: Run): void {
    const last = this.#runs.at(-1);
    if (this.#joins && last && endOf(last) === at) {
      this.#runs.pop();
      this.#runs.push({ at: last.at, bytes: Buffer.concat([last.bytes, bytes]), time });
    } else this.#runs.push({ at, bytes: Buffer.from(bytes), time });
    this.#bytes += bytes.length;
    // Of those that are not joined each is a whole, and stays or goes as one.
    for (let first = this.#runs[0]; first && this.#bytes > this.#max; first = this.#runs[0])
      this.#forget(
        first,
        this.#joins ? Math.min(first.bytes.length, this.#bytes - this.#max) : first.bytes.length,
      );
  }

  /** Takes bytes out of a run. @returns where they were told. */
  take(run: Run, from: number, length: number): number {
    const left = [
      { ...run, bytes: run.bytes.subarray(0, from) },
      { ...run, at: run.at + from + length, bytes: run.bytes.subarray(from + length) },
    ].filter(({ bytes }) => bytes.length > 0);
    this.#runs.splice(this.#runs.indexOf(run), 1, ...left);
    this.#bytes -= length;
    return run.at + from;
  }

  /** What was told by calls before `time` is kept no more. */
  forgetOlder(time: number): void {
    for (let first = this.#runs[0]; first && first.time < time; first = this.#runs[0])
      this.#forget(first, first.bytes.length);
  }

  /** Takes what was told between these two places. */
  takeBetween(start: number, end: number): void {
    for (const run of [...this.#runs]) {
      const from = Math.max(start, run.at);
      const to = Math.min(end, endOf(run));
      if (from < to) this.take(run, from - run.at, to - from);
    }
  }

  /** Is what was told at this place kept? */
  has(at: number): boolean {
    return this.#runs.some((run) => run.at <= at && at < endOf(run));
  }

  /** Are these the bytes that were told at this place? What is kept no more is believed. */
  agrees(at: number, bytes: Buffer): boolean {
    const from = Math.max(at, this.#forgottenTo);
    if (from >= at + bytes.length) return true;
    // Beyond its beginning something may be lost.
    return this.has(from) && this.#runs.every((run) => equalWhereBoth(run, at, bytes));
  }

  #forget(run: Run, length: number): void {
    this.#forgottenTo = this.take(run, 0, length) + length;
  }
}

function equalWhereBoth(run: Run, at: number, bytes: Buffer): boolean {
  const from = Math.max(at, run.at);
  const to = Math.min(at + bytes.length, endOf(run));
  return (
    from >= to || run.bytes.subarray(from - run.at, to - run.at).equals(bytes.subarray(from - at, to - at))
  );
}
