// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Input } from './input.ts';
import { Random } from './random.ts';

/** Cuts the bytes of one call into pieces. All but the first do not begin a call. `first`: bytes that stay together. */
export type Cutter = (bytes: Buffer, first?: number) => readonly Buffer[];

/** A decoder to be fuzzed. */
export interface Target {
  readonly name: string;
  /** Valid input, from real traffic where there is some. */
  seeds(): readonly Input[];
  /** What the format is made of. */
  readonly tokens: readonly (string | Buffer)[];
  /** Bytes of the largest input; 1024 unless said otherwise. */
  readonly maxSize?: number;
  /** Executed blocks allowed for each byte of an input, and for an input without one. */
  readonly steps: { readonly perByte: number; readonly base: number };
  /**
   * Feeds the decoder, and holds it to what it promises.
   * @returns what came out, in a form that must not depend on how the calls were cut.
   * @throws what a failed promise is.
   */
  run(input: Input, cut: Cutter): string | Promise<string>;
  /** Is what came out of two runs the same? Without it, if it is equal. */
  same?(one: string, other: string): boolean;
}

/** Leaves the calls as they are. */
export const uncut: Cutter = (bytes) => [bytes];

/** Cuts by a number that repeats it. */
export function cutter(seed: number): Cutter {
  const random = new Random(seed);
  // Byte by byte, in small pieces, or here and there.
  const size = random.pick([1, 2, 3, 7, 20, 100, 1000]);
  return (bytes, first = 0) => {
    if (bytes.length === 0) return [bytes];
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = Math.max(at === 0 ? first : 1, 1 + random.below(size));
      pieces.push(bytes.subarray(at, at + length));
      at += length;
    }
    return pieces;
  };
}

/** A copy that may be overwritten after a call, as the ring is: what was not copied shows. */
export function lent(bytes: Buffer, use: (bytes: Buffer) => void): void {
  const copy = Buffer.from(bytes);
  use(copy);
  copy.fill(0xee);
}

/** What came out, in order; pieces with the same label in a row are one. */
export class Trace {
  readonly #lines: string[] = [];
  #label: string | undefined;

  say(line: string): void {
    this.#lines.push(line);
    this.#label = undefined;
  }

  add(label: string, bytes: Buffer): void {
    if (this.#label !== label) this.#lines.push(label);
    this.#label = label;
    this.#lines[this.#lines.length - 1] += bytes.toString('latin1');
  }

  toString(): string {
    return this.#lines.join('\n');
  }
}

/** Long text by its length and digest: enough to compare. */
export function brief(text: string): string {
  if (text.length <= 200) return text;
  return `${text.length}:${createHash('sha1').update(text).digest('hex')}`;
}
