// SPDX-License-Identifier: Apache-2.0
/** What HTTP runs over: the exchanges that are under way on each stream, and what was lost of it. */

import type { Gap } from '../streams/frame.ts';
import { keepYoungest } from '../youngest.ts';
import type { HttpExchangeState } from './http-exchange.ts';

/** Streams remembered; the oldest are forgotten first. */
const STREAMS_MAX = 65536;
/** Gaps kept of a stream while nobody knows what it carries. */
const GAPS_MAX = 64;

interface Carried {
  /** Has anything come on it, or is it only known to belong to an exchange? */
  begun: boolean;
  readonly open: Set<HttpExchangeState>;
  last: HttpExchangeState | undefined;
  gaps: Gap[];
}

export class HttpStreams {
  readonly #streams = new Map<number, Carried>();

  has(stream: number): boolean {
    return this.#streams.get(stream)?.begun ?? false;
  }

  /** It carries HTTP. @returns whether that is news. */
  begin(stream: number): boolean {
    const carried = this.#carried(stream);
    const news = !carried.begun;
    carried.begun = true;
    return news;
  }

  /** The exchange has something to do on the stream. */
  use(stream: number, state: HttpExchangeState): void {
    const carried = this.#carried(stream);
    carried.last = state;
    state.streams.add(stream);
    if (!state.over) carried.open.add(state);
  }

  #carried(stream: number): Carried {
    const known = this.#streams.get(stream);
    if (known) return known;
    const carried = { begun: false, open: new Set<HttpExchangeState>(), last: undefined, gaps: [] };
    this.#streams.set(stream, carried);
    keepYoungest(this.#streams, STREAMS_MAX);
    return carried;
  }

  /** The last exchange that was wanted. */
  last(stream: number): HttpExchangeState | undefined {
    return this.#streams.get(stream)?.last;
  }

  /** Keeps a gap until an exchange on this stream is wanted. */
  hold(gap: Gap): void {
    const gaps = this.#streams.get(gap.stream.id)?.gaps;
    gaps?.push(gap);
    if (gaps && gaps.length > GAPS_MAX) gaps.shift();
  }

  takeGaps(stream: number): Gap[] {
    const carried = this.#streams.get(stream);
    if (!carried?.gaps.length) return [];
    const { gaps } = carried;
    carried.gaps = [];
    return gaps;
  }

  /** The exchange is over. */
  close(state: HttpExchangeState): void {
    for (const stream of state.streams) this.#streams.get(stream)?.open.delete(state);
  }

  /** The exchange was none of ours, and so was what was lost of it. */
  forget(state: HttpExchangeState): void {
    for (const stream of state.streams) {
      const carried = this.#streams.get(stream);
      if (!carried) continue;
      carried.open.delete(state);
      if (carried.open.size === 0) carried.gaps = [];
    }
  }

  /** The stream has ended. @returns the exchanges that were under way on it. */
  end(stream: number): HttpExchangeState[] {
    const open = [...(this.#streams.get(stream)?.open ?? [])];
    this.#streams.delete(stream);
    return open;
  }
}
