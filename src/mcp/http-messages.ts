// SPDX-License-Identifier: Apache-2.0
/** From an exchange's messages to events: whose they are, whether they are MCP, what they answer. */
import type { Side } from '../protocols/http.ts';
import type { Frame, Gap, HttpExchange, HttpFrame, HttpStep } from '../streams/frame.ts';
import type { HttpInfo } from './events.ts';
import { provesMcp } from './evidence.ts';
import { type Messages, parse, textOf } from './frame-content.ts';
import { checkHeaders, versionIn } from './header-check.ts';
import { type HttpConversation, laneOf } from './http-conversation.ts';
import { HttpEndpoints } from './http-endpoints.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import type { HttpExchanges } from './http-exchanges.ts';
import { HttpInfos } from './http-info.ts';
import { outcomeOf } from './http-outcome.ts';
import { type CarriedFrame, ParkedExchanges, type ParkedItem } from './http-parked.ts';
import { HttpSessions } from './http-sessions.ts';
import type { ParsedFrame, RpcMessage } from './jsonrpc.ts';
import { Mask } from './mask.ts';
import { pair } from './pairing.ts';
import { eachElement, type Place, type Reporter } from './reporter.ts';
import { introduce } from './roles.ts';
import { maskRepeated } from './secrets.ts';

/** Characters kept of a body that is shown with its exchange. */
const BODY_MAX = 1024;

export class HttpMessages {
  readonly #reporter: Reporter;
  readonly #exchanges: HttpExchanges;
  readonly #allJsonRpc: boolean;
  readonly #sessions: HttpSessions;
  readonly #infos: HttpInfos;
  readonly #mask = new Mask();
  readonly #endpoints = new HttpEndpoints();
  readonly #parked = new ParkedExchanges();
  /** Events that a resumed stream brought again. */
  replayed = 0;

  /** @param number The next connection's number. */
  constructor(reporter: Reporter, exchanges: HttpExchanges, allJsonRpc: boolean, number: () => number) {
    this.#reporter = reporter;
    this.#exchanges = exchanges;
    this.#allJsonRpc = allJsonRpc;
    this.#sessions = new HttpSessions(number, this.#mask);
    this.#infos = new HttpInfos(this.#mask);
  }

  /** Is it MCP for other reasons than what its messages say? */
  isAtMcp(state: HttpExchangeState): boolean {
    return state.conversation?.nature === 'mcp' || state.hasMcpHeaders || this.#endpoints.has(state);
  }

  // ---- what an exchange carries -------------------------------------------------

  /** A frame of JSON-RPC. */
  messages(frame: CarriedFrame, state: HttpExchangeState, parsed: Messages): void {
    const { messages } = parsed;
    const { side, exchange } = frame.http;
    state.messages[side] += messages.length;
    if (side === 'request') {
      state.version ??= messages[0] && versionIn(messages[0]);
      state.opening ||= messages.some(({ method }) => method === 'initialize');
    }
    const conversation = this.#conversation(state, side === 'response' ? messages : undefined);
    const known = conversation.nature === 'mcp';
    if (!known && (messages.some(provesMcp) || this.isAtMcp(state))) {
      // What came before a session was opened belongs to no session.
      const before = state.opening ? this.#sessions.sessionless(state) : undefined;
      if (before && before.nature === 'undecided') this.#recognise(before);
      if (before !== conversation) this.#recognise(conversation);
    }
    if (conversation.nature === 'mcp' || this.#allJsonRpc) this.#show(frame, state, conversation, parsed);
    else if (conversation.nature === 'foreign') this.#exchanges.giveUp(state, frame.stream.id, exchange);
    else this.#park(conversation, state, frame);
  }

  /** A frame of anything else. `parsed`: why it is not JSON-RPC. */
  notRpc(frame: CarriedFrame, state: HttpExchangeState, parsed: ParsedFrame | undefined): void {
    const conversation = this.#conversation(state);
    if (this.isAtMcp(state)) this.#showNotRpc(frame, state, conversation, parsed);
    else this.#park(conversation, state, frame);
  }

  /** A text that is no JSON, where MCP is spoken. `size`: bytes on the wire. */
  notJson(
    step: HttpStep,
    state: HttpExchangeState,
    form: HttpFrame['form'],
    raw: string | undefined,
    size: number,
  ): void {
    const conversation = this.#conversation(state);
    this.#meet(state, conversation, step.exchange, step.time);
    const info = this.#info(step, state, { exchange: step.exchange, side: step.side, form }, conversation);
    this.#reporter.invalid(step, conversation, 'not JSON', raw, size, info);
  }

  /** `endpoint` of HTTP+SSE: the URI to post to. */
  endpoint(state: HttpExchangeState, uri: string): void {
    this.#sessions.endpoint(state, uri);
  }

  /** An id to resume from, without a message. */
  eventId(state: HttpExchangeState, id: string): void {
    const conversation = this.#conversation(state);
    conversation.replay.note(id, conversation.origin(state.id));
  }

  /** The head of the response: it may open a session, and be the first to say that this is MCP. */
  responded(state: HttpExchangeState): void {
    if (state.opening) this.#sessions.opened(state);
    const { conversation } = state;
    if (!conversation || conversation.nature === 'mcp' || state.messages.request === 0) return;
    if (this.isAtMcp(state)) this.#recognise(conversation);
  }

  /** The exchange is over. */
  over(step: HttpStep, state: HttpExchangeState): void {
    if (this.isAtMcp(state)) this.#conclude(step, state);
    else if (state.conversation && state.messages.request > 0) this.#park(state.conversation, state, step);
  }

  /** @returns whether it was shown. */
  gap(gap: Gap, state: HttpExchangeState): boolean {
    const { conversation, exchange } = state;
    if (conversation?.nature !== 'mcp') return false;
    const side: Side = gap.stream.id === exchange.requests?.id ? 'request' : 'response';
    const place = { ...gap, ...state.endsOf(side, gap) };
    const info = this.#info(place, state, { exchange, side, form: 'body' }, conversation);
    this.#reporter.gap(place, conversation, info);
    return true;
  }

  /** What was kept back of this exchange is told by the other end of its connection. */
  forget(state: HttpExchangeState): void {
    if (state.conversation) this.#parked.drop(state.conversation, state);
  }

  // ---- recognition -----------------------------------------------------------------

  /** @param answers What the response says, by which HTTP+SSE that began before the capture is told. */
  #conversation(state: HttpExchangeState, answers?: readonly RpcMessage[]): HttpConversation {
    if (state.conversation) return this.#sessions.of(state);
    if (answers && state.method !== 'POST' && state.session === undefined) {
      const id = answers.find((message) => message.type === 'response' && message.id)?.id;
      state.conversation = id && this.#sessions.expecting(state, id);
    }
    const conversation = this.#sessions.of(state);
    const { lastEventId } = state;
    const origin = lastEventId === undefined ? undefined : conversation.replay.originOf(lastEventId);
    if (origin !== undefined && origin !== state.id) conversation.resume(state.id, origin);
    return conversation;
  }

  /** It has shown itself to be MCP: what was kept back of it comes first. */
  #recognise(conversation: HttpConversation): void {
    conversation.nature = 'mcp';
    for (const { state, item } of this.#unpark(conversation)) {
      if (item.kind === 'http') {
        this.#conclude({ ...item, ...state.endsOf(item.side, item) }, state);
        continue;
      }
      if (item.kind === 'gap') {
        this.gap(item, state);
        continue;
      }
      const frame = { ...item, ...state.endsOf(item.http.side, item) };
      const parsed = parse(frame);
      if (parsed?.type === 'messages') this.#show(frame, state, conversation, parsed);
      else this.#showNotRpc(frame, state, conversation, parsed);
    }
  }

  #park(conversation: HttpConversation, state: HttpExchangeState, item: CarriedFrame | HttpStep): void {
    if (!this.#parked.has(conversation)) this.#reporter.hold(conversation, item.time);
    if (this.#parked.add(conversation, state, item)) return;
    conversation.nature = 'foreign';
    this.#reporter.release(conversation);
    const states = new Set(this.#parked.forgo(conversation).map((each) => each.state));
    for (const each of states) {
      const [stream = item.stream.id] = each === state ? [] : each.streams;
      if (!each.over) this.#exchanges.giveUp(each, stream, each === state ? exchangeOf(item) : each.exchange);
    }
  }

  #unpark(conversation: HttpConversation): ParkedItem[] {
    if (this.#parked.has(conversation)) this.#reporter.release(conversation);
    return this.#parked.take(conversation);
  }

  /** On an event stream that is older than the capture a server may have asked, and in which session is not known. */
  #asked(conversation: HttpConversation, state: HttpExchangeState, message: RpcMessage): HttpConversation {
    const lane = laneOf(state.id, 'request');
    const { id, type } = message;
    if (type !== 'response' || !id || conversation.expects(id, lane)) return conversation;
    const headless = this.#sessions.headless(state);
    return headless?.expects(id, lane) ? headless : conversation;
  }

  // ---- events --------------------------------------------------------------------

  #show(
    frame: CarriedFrame,
    state: HttpExchangeState,
    conversation: HttpConversation,
    parsed: Messages,
  ): void {
    const { http, time } = frame;
    if (this.#isReplayed(frame, state, conversation)) return;
    if (conversation.nature === 'mcp') this.#meet(state, conversation, http.exchange, time);
    const lane = laneOf(state.id, http.side);
    const head = http.side === 'request' && http.form === 'body' ? http.exchange.request : undefined;
    eachElement(
      parsed,
      (message, batch) => {
        const outcome = pair(conversation, message, lane, time, this.#asked(conversation, state, message));
        if (introduce(conversation, message, outcome.method)) this.#reporter.announce(conversation, time);
        const differences = head && !batch ? checkHeaders(head.headers, message) : [];
        const warnings = differences.length ? [...outcome.warnings, ...differences] : outcome.warnings;
        const info = this.#info(frame, state, http, conversation);
        this.#reporter.message(
          frame,
          frame.size,
          conversation,
          message,
          { ...outcome, warnings },
          batch,
          info,
        );
      },
      (reason, raw) => {
        const info = this.#info(frame, state, http, conversation);
        this.#reporter.invalid(frame, conversation, reason, raw, Buffer.byteLength(raw), info);
      },
    );
  }

  #showNotRpc(
    frame: CarriedFrame,
    state: HttpExchangeState,
    conversation: HttpConversation,
    parsed: ParsedFrame | undefined,
  ): void {
    const { exchange, side, form, eventName } = frame.http;
    // An event with a name of its own is none of MCP's.
    if (eventName !== undefined) return;
    // An error's body, or a page that a GET finds where others post: shown with the exchange, if at all.
    const { status = 200 } = exchange.response ?? {};
    if (side === 'response' && form === 'body' && (state.method !== 'POST' || status >= 300)) {
      state.body ??= textOf(frame)?.slice(0, BODY_MAX);
      return;
    }
    if (conversation.nature !== 'mcp') this.#recognise(conversation);
    this.#meet(state, conversation, exchange, frame.time);
    const text = textOf(frame);
    const http = this.#info(frame, state, frame.http, conversation);
    this.#reporter.notRpc(frame, conversation, parsed, http, text && maskRepeated(text, state, this.#mask));
  }

  #conclude(step: HttpStep, state: HttpExchangeState): void {
    const conversation = this.#conversation(state);
    const outcome = outcomeOf(state, conversation);
    const end = state.ends.response;
    if (!outcome || !end) return;
    const { exchange, time } = step;
    if (conversation.nature !== 'mcp') this.#recognise(conversation);
    // Headers of MCP come with other things, too, as the discovery of who authorises.
    this.#begin(state, exchange);
    const { left } = outcome;
    const info = this.#info(step, state, { exchange, side: 'response', form: 'body' }, conversation);
    const body = end.body ?? state.body;
    this.#reporter.http(step, conversation, info, {
      end: end.how,
      durationMs: state.began === undefined ? undefined : (time - state.began) / 1e6,
      size: end.size,
      body: body && maskRepeated(body, state, this.#mask),
      ...(left.length ? { left } : {}),
    });
  }

  /** MCP is spoken here: now it is known where, and between whom. */
  #meet(
    state: HttpExchangeState,
    conversation: HttpConversation,
    exchange: HttpExchange,
    time: number,
  ): void {
    if (!state.shown) this.#endpoints.add(state);
    const { client, server } = conversation;
    conversation.client ??= state.client;
    conversation.server ??= state.server;
    const news = client !== conversation.client || server !== conversation.server;
    if (news || !conversation.announced) this.#reporter.announce(conversation, time);
    conversation.announced = true;
    this.#begin(state, exchange);
  }

  /** Something of this exchange is shown: what was lost before on its streams is shown with it. */
  #begin(state: HttpExchangeState, exchange: HttpExchange): void {
    this.#exchanges.keep(state, exchange);
    if (state.shown) return;
    state.shown = true;
    for (const gap of this.#exchanges.takeGaps(state)) this.gap(gap, state);
  }

  /** An event that a resumed stream brings again? */
  #isReplayed(frame: Frame & { http: HttpFrame }, state: HttpExchangeState, own: HttpConversation): boolean {
    const { content, http } = frame;
    if (http.form !== 'sse' || http.eventId === undefined || content.type !== 'text') return false;
    const text = content.bytes ?? content.text;
    const repeated = own.replay.isRepeated(
      http.eventId,
      text,
      state.id,
      own.origin(state.id),
      state.mayReplay,
    );
    if (repeated) this.replayed++;
    return repeated;
  }

  #info(
    place: Place,
    state: HttpExchangeState,
    http: Omit<HttpFrame, 'eventName'>,
    conversation: HttpConversation,
  ): HttpInfo {
    return this.#infos.of(place, state.id, http, conversation);
  }
}

function exchangeOf(item: CarriedFrame | HttpStep): HttpExchange {
  return item.kind === 'http' ? item.exchange : item.http.exchange;
}
