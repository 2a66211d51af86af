// SPDX-License-Identifier: Apache-2.0
/** MCP over HTTP: Streamable HTTP with and without sessions, HTTP+SSE, and WebSockets. Decides what is looked at. */
import { asksForWebSocket } from '../protocols/http.ts';
import type { Frame, Gap, HttpFrame, HttpStep, StreamEnd } from '../streams/frame.ts';
import type { Repeats } from './events.ts';
import { parse } from './frame-content.ts';
import { asksForEvents, type HttpExchangeState, holdsJson } from './http-exchange.ts';
import { HttpExchanges } from './http-exchanges.ts';
import { HttpMessages } from './http-messages.ts';
import type { Reporter } from './reporter.ts';
import type { StreamControl } from './stream-control.ts';

/** Events without JSON after which an event stream that has shown nothing of MCP is given up. */
const STRAYS_MAX = 1024;

type Event = Extract<HttpStep['step'], { type: 'event' }>;
type End = Extract<HttpStep['step'], { type: 'end' }>;

export class HttpAnalyzer {
  readonly #exchanges: HttpExchanges;
  readonly #messages: HttpMessages;

  /** @param number The next connection's number. */
  constructor(reporter: Reporter, control: StreamControl, allJsonRpc: boolean, number: () => number) {
    this.#exchanges = new HttpExchanges(control, (single) => this.#messages.forget(single));
    this.#messages = new HttpMessages(reporter, this.#exchanges, allJsonRpc, number);
  }

  get repeats(): Repeats {
    return { replayed: this.#messages.replayed, bothEnds: this.#exchanges.copies };
  }

  /** Does this stream carry HTTP? */
  carries(stream: number): boolean {
    return this.#exchanges.carries(stream);
  }

  /** This stream carries HTTP. @returns whether that is news. */
  begin(stream: number): boolean {
    return this.#exchanges.begin(stream);
  }

  frame(frame: Frame, http: HttpFrame): void {
    const { exchange, side } = http;
    const state = this.#exchanges.enter(frame, exchange, side);
    if (!state) return;
    const carried = { ...frame, ...state.endsOf(side, frame), http };
    const parsed = parse(frame);
    if (parsed?.type === 'messages') this.#messages.messages(carried, state, parsed);
    else if (this.#messages.isAtMcp(state)) this.#messages.notRpc(carried, state, parsed);
    else {
      // Beside an `endpoint` event, events with names of their own may stand for anything.
      if (http.eventName !== undefined && state.conversation) return;
      const whole = frame.content.type !== 'oversize' && frame.content.type !== 'incomplete';
      const answersRpc = side === 'response' && state.messages.request > 0;
      if (whole && !answersRpc) this.#exchanges.giveUp(state, frame.stream.id, exchange);
      else this.#messages.notRpc(carried, state, parsed);
    }
  }

  step(step: HttpStep): void {
    const { side, exchange } = step;
    const state = this.#exchanges.enter(step, exchange, side);
    if (!state) return;
    const place = { ...step, ...state.endsOf(side, step) };
    switch (step.step.type) {
      case 'event':
        this.#event(place, state, step.step);
        return;
      case 'end':
        this.#end(place, state, step.step);
        return;
      case 'head':
        if (side === 'request') this.#requestHead(place, state);
        else this.#responseHead(place, state);
    }
  }

  gap(gap: Gap): void {
    const state = this.#exchanges.lost(gap);
    if (!state || !this.#messages.gap(gap, state)) this.#exchanges.hold(gap);
  }

  /** What is under way on a stream that ends will not go on. */
  ended({ stream, time }: StreamEnd): void {
    for (const state of this.#exchanges.ended(stream.id)) {
      const { exchange, offset } = state;
      const carrier = exchange.responses ?? exchange.requests ?? stream;
      const closed = { how: 'closed', size: 0, body: undefined } as const;
      state.ends.request ??= closed;
      const step = { type: 'end', frames: 0, ...closed } as const;
      const place = { time, stream: carrier, offset, ...state.endsOf('response') };
      this.#end({ kind: 'http', ...place, side: 'response', exchange, step }, state, step);
    }
  }

  #requestHead({ exchange, stream, time, offset }: HttpStep, state: HttpExchangeState): void {
    const { method } = state;
    if (state.began === undefined) state.offset = offset;
    state.began ??= time;
    if (this.#messages.isAtMcp(state)) this.#exchanges.keep(state, exchange);
    else if (asksForWebSocket(state.request)) return;
    else if (method !== undefined && method !== 'GET' && (method !== 'POST' || !holdsJson(state.request)))
      this.#exchanges.giveUp(state, stream.id, exchange);
  }

  #responseHead({ exchange, stream }: HttpStep, state: HttpExchangeState): void {
    this.#messages.responded(state);
    if (this.#messages.isAtMcp(state)) {
      this.#exchanges.keep(state, exchange);
      return;
    }
    if (state.method === 'POST' || state.isEventStream || state.isWebSocket) return;
    // What began before the capture may be the answer to a POST; and who asks for events may be refused in JSON-RPC.
    if ((state.method === 'GET' && !asksForEvents(state.request)) || !holdsJson(state.response))
      this.#exchanges.giveUp(state, stream.id, exchange);
  }

  /** An event without JSON. */
  #event(step: HttpStep, state: HttpExchangeState, { name, data, id }: Event): void {
    if (name === 'endpoint') {
      this.#messages.endpoint(state, data);
      return;
    }
    if (this.#messages.isAtMcp(state)) {
      if (id !== undefined) this.#messages.eventId(state, id);
      if (data !== '' && (name === 'message' || name === ''))
        this.#messages.notJson(step, state, 'sse', data, Buffer.byteLength(data));
    } else if (!state.conversation && ++state.strays > STRAYS_MAX)
      this.#exchanges.giveUp(state, step.stream.id, step.exchange);
  }

  #end(step: HttpStep, state: HttpExchangeState, { how, size, frames, body }: End): void {
    const { side, exchange, stream } = step;
    // Both ends see it end.
    if (state.ends[side]) return;
    state.ends[side] = { how, size, body };
    const bare = how === 'complete' && frames === 0 && state.messages.request === 0;
    if (side === 'request' && state.method === 'POST' && bare) {
      if (!this.#messages.isAtMcp(state)) {
        this.#exchanges.giveUp(state, stream.id, exchange);
        return;
      }
      if (size > 0) this.#messages.notJson(step, state, 'body', body, size);
    }
    if (!state.isOver || state.over) return;
    this.#exchanges.close(state, step.time);
    this.#messages.over(step, state);
  }
}
