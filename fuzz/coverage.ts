// SPDX-License-Identifier: Apache-2.0
/** Which blocks of the decoders have been executed, by V8's own block coverage. */
import { type Profiler, Session } from 'node:inspector';

/** Of this thread. What is not watched from its first line on is not counted. */
export class Coverage {
  readonly #session = new Session();
  readonly #covers: readonly string[];
  /** By script: a byte for each character, 1 if it has been executed. */
  readonly #seen = new Map<string, Uint8Array>();
  /** Files of which a function has been called; to be imported is not enough. */
  readonly #called = new Set<string>();
  /** As it was before the last look that found something new. */
  #before = new Map<string, Uint8Array>();

  /** @param covers Files below `src/` that count. */
  constructor(covers: readonly string[]) {
    this.#covers = covers.map((file) => `/src/${file}`);
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Those of the files that count of which no function has been called. */
  get unreached(): string[] {
    return this.#covers.filter((file) => !this.#called.has(file)).map((file) => file.replace('/src/', ''));
  }

  /** Characters executed so far. */
  get size(): number {
    let size = 0;
    for (const seen of this.#seen.values()) for (const each of seen) size += each;
    return size;
  }

  /**
   * Looks at what has been executed since the last call.
   * @returns `fresh`: characters that had not been before; `steps`: how often a block was entered.
   */
  take(): { readonly fresh: number; readonly steps: number } {
    let fresh = 0;
    let steps = 0;
    const before = new Map([...this.#seen].map(([url, seen]) => [url, Uint8Array.from(seen)]));
    this.#session.post('Profiler.takePreciseCoverage', (_error, answer) => {
      for (const { url, functions } of answer?.result ?? []) {
        const file = this.#covers.find((each) => url.endsWith(each));
        if (file === undefined) continue;
        // The one that begins where the file does is the module itself.
        if (functions.some(({ ranges: [whole] }) => whole && whole.startOffset > 0 && whole.count > 0))
          this.#called.add(file);
        const ranges = functions.flatMap((each) => each.ranges);
        for (const { count } of ranges) steps += count;
        fresh += this.#paint(url, ranges);
      }
    });
    this.#before = fresh > 0 ? before : new Map();
    return { fresh, steps };
  }

  /** What the last look has found to be new counts as not executed, once. */
  forget(): void {
    for (const [url, before] of this.#before) {
      const seen = this.#seen.get(url);
      seen?.fill(0);
      seen?.set(before);
    }
    this.#before.clear();
  }

  /** Ranges are nested, those of functions too; what a range says holds but where one within it says else. */
  #paint(url: string, ranges: Profiler.CoverageRange[]): number {
    ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
    const seen = this.#seenOf(url, Math.max(0, ...ranges.map(({ endOffset }) => endOffset)));
    let fresh = 0;
    let at = 0;
    const open: Profiler.CoverageRange[] = [];
    const paint = (to: number) => {
      if (open.at(-1)?.count)
        for (let place = at; place < to; place++) {
          if (seen[place] === 1) continue;
          seen[place] = 1;
          fresh++;
        }
      at = Math.max(at, to);
    };
    const close = (before: number) => {
      for (let last = open.at(-1); last && last.endOffset <= before; last = open.at(-1)) {
        paint(last.endOffset);
        open.pop();
      }
    };
    for (const range of ranges) {
      close(range.startOffset);
      paint(range.startOffset);
      open.push(range);
    }
    close(Number.POSITIVE_INFINITY);
    return fresh;
  }

  #seenOf(url: string, length: number): Uint8Array {
    const seen = this.#seen.get(url) ?? new Uint8Array();
    if (seen.length >= length) return seen;
    const longer = new Uint8Array(length);
    longer.set(seen);
    this.#seen.set(url, longer);
    return longer;
  }
}
