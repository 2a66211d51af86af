// SPDX-License-Identifier: Apache-2.0
/** All exchanges under way: which are wanted, on which streams, and which two are one. */
import type { Side } from '../protocols/http.ts';
import type { Frame, Gap, HttpExchange, HttpStep } from '../streams/frame.ts';
import { BothEnds } from './both-ends.ts';
import { HttpExchangeState } from './http-exchange.ts';
import { HttpStreams } from './http-streams.ts';
import type { StreamControl } from './stream-control.ts';

export class HttpExchanges {
  readonly #control: StreamControl;
  readonly #united: (single: HttpExchangeState) => void;
  /** Two exchanges have one state when they are the two ends of one. */
  readonly #states = new WeakMap<HttpExchange, HttpExchangeState>();
  readonly #streams = new HttpStreams();
  readonly #bothEnds: BothEnds;
  /** Messages seen at the other end of their connection before. */
  copies = 0;

  /** @param united What was thought of one end alone stands for nothing any more. */
  constructor(control: StreamControl, united: (single: HttpExchangeState) => void) {
    this.#control = control;
    this.#united = united;
    this.#bothEnds = new BothEnds((client, server) => control.encrypts(client, server));
  }

  /** Does this stream carry HTTP? */
  carries(stream: number): boolean {
    return this.#streams.has(stream);
  }

  /** This stream carries HTTP. @returns whether that is news. */
  begin(stream: number): boolean {
    return this.#streams.begin(stream);
  }

  /** @returns `undefined` if the exchange is not wanted, or this item has been seen at the other end already. */
  enter(item: Frame | HttpStep, exchange: HttpExchange, side: Side): HttpExchangeState | undefined {
    let state = this.#states.get(exchange);
    if (!state) {
      state = new HttpExchangeState(exchange);
      this.#states.set(exchange, state);
    }
    if (state.foreign) return undefined;
    state.learnEnds(side, item);
    const match = this.#bothEnds.match(state, exchange, side, item);
    if (match) {
      this.#unite(match.both, match.single);
      state = match.both;
    }
    this.#streams.use(item.stream.id, state);
    // By now both streams may be known.
    if (item.kind === 'http' && item.step.type === 'head')
      for (const stream of [exchange.requests, exchange.responses])
        if (stream) this.#streams.use(stream.id, state);
    if (!this.#bothEnds.isCopy(exchange, side, item)) return state;
    if (item.kind === 'frame') this.copies++;
    return undefined;
  }

  /** `single` is what the other end of `both` saw: they have one state from here on. */
  #unite(both: HttpExchangeState, single: HttpExchangeState): void {
    const { exchange } = single;
    both.secondEnd = exchange;
    both.client ??= single.client;
    both.server ??= single.server;
    this.#states.set(exchange, both);
    this.#streams.close(single);
    for (const stream of single.streams) this.#streams.use(stream, both);
    if (both.conversation?.nature === 'mcp') this.keep(both, exchange);
    this.#united(single);
  }

  /** The streams of this exchange are worth their bytes. */
  keep(state: HttpExchangeState, { requests, responses }: HttpExchange): void {
    for (const stream of [requests, responses]) {
      if (!stream || state.kept.has(stream.id)) continue;
      state.kept.add(stream.id);
      this.#control.keep(stream.id);
    }
  }

  /** The exchange is not wanted. `stream`: the one that told. */
  giveUp(state: HttpExchangeState, stream: number, exchange: HttpExchange): void {
    state.foreign = true;
    this.#streams.forget(state);
    this.#bothEnds.forget(state);
    this.#control.stopExchange?.(stream, exchange);
  }

  /** The exchange is over. `time`: CLOCK_MONOTONIC, nanoseconds. */
  close(state: HttpExchangeState, time: number): void {
    state.over = true;
    this.#streams.close(state);
    this.#bothEnds.over(state, time);
  }

  /** Bytes are lost. @returns the exchange that this concerns: the last one that was wanted. */
  lost({ stream }: Gap): HttpExchangeState | undefined {
    this.#bothEnds.lost(stream);
    return this.#streams.last(stream.id);
  }

  /** Keeps a gap until an exchange on its stream is shown. */
  hold(gap: Gap): void {
    this.#streams.hold(gap);
  }

  /** What was lost on the streams of this exchange before anything on them was shown. */
  takeGaps(state: HttpExchangeState): Gap[] {
    return [...state.streams].flatMap((stream) => this.#streams.takeGaps(stream));
  }

  /** No more comes on this stream. @returns the exchanges that get no response any more. */
  ended(stream: number): HttpExchangeState[] {
    return this.#streams.end(stream).filter(({ exchange, ends }) => {
      // The client may have ended its direction only.
      return !ends.response && (!exchange.responses || exchange.responses.id === stream);
    });
  }
}
