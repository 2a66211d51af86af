// SPDX-License-Identifier: Apache-2.0
/** Which conversation an HTTP exchange belongs to: by session and server, else by client and server. */
import type { RpcId } from './events.ts';
import { HttpConversation, laneOf } from './http-conversation.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import type { Mask } from './mask.ts';
import { pathAndQuery, pathOf, sessionInQuery } from './mask.ts';
import { clientKey, type ServerIdentity, sameServer, serverOf } from './server-identity.ts';

/** Conversations remembered; those that had nothing to say for longest are forgotten first. */
export const CONVERSATIONS_MAX = 16384;
/** Of one client, so many sessions are asked whether a response is theirs. */
const ASKED_MAX = 64;

/** A conversation and how it is found again. */
interface Known {
  readonly conversation: HttpConversation;
  server: ServerIdentity;
  readonly names: Set<string>;
  /**
   * Begun by an `initialize` that opened no session: `open` ones hold all of the client's that follow, a `failed` one
   * the next attempt.
   */
  handshake: 'open' | 'failed' | undefined;
  /** HTTP+SSE whose event stream has not been seen beginning, with its client. */
  streamless: string | undefined;
}

export class HttpSessions {
  readonly #number: () => number;
  readonly #mask: Mask;
  /** Oldest use first. */
  readonly #all = new Map<HttpConversation, Known>();
  /** The same name may be used by several servers. */
  readonly #byName = new Map<string, Known[]>();
  readonly #streamless = new Map<string, Set<Known>>();

  /** @param number The next connection's number. */
  constructor(number: () => number, mask: Mask) {
    this.#number = number;
    this.#mask = mask;
  }

  /** The conversation of an exchange, begun if need be; it stays the exchange's. */
  of(state: HttpExchangeState): HttpConversation {
    const conversation = state.conversation ?? this.#find(state);
    state.conversation = conversation;
    const known = this.#all.get(conversation);
    if (known) this.#touch(known, serverOf(state));
    return conversation;
  }

  /** An `endpoint` event: what is posted to this URI, relative to that of the stream, belongs to the stream. */
  endpoint(state: HttpExchangeState, uri: string): void {
    const { authority, target } = state.request ?? {};
    const base = `http://${authority ?? 'unknown'}${target === undefined ? '/' : pathAndQuery(target)}`;
    const url = URL.parse(uri, base);
    if (!url) return;
    const path = `${url.pathname}${url.search}`;
    const name = nameOfTarget(path);
    const server = serverOf(state);
    const known = this.#lookUp(name, server) ?? this.#begin(server, true);
    this.#name(known, name);
    this.#showSession(known, sessionInQuery(path));
    this.#streamFound(known);
    known.conversation.answersElsewhere = true;
    state.conversation = known.conversation;
  }

  /** The conversation of the same client and server outside of sessions, if there is one. */
  sessionless(state: HttpExchangeState): HttpConversation | undefined {
    return this.#lookUp(pairName(state), serverOf(state))?.conversation;
  }

  /** The same of exchanges whose requests are older than the capture. */
  headless(state: HttpExchangeState): HttpConversation | undefined {
    return this.#lookUp(`pair ${clientKey(state)} `, serverOf(state))?.conversation;
  }

  /** The head of the response to an `initialize`: it opens a session or does not. */
  opened(state: HttpExchangeState): void {
    const { conversation, response } = state;
    if (!conversation) return;
    const known = this.#all.get(conversation) ?? this.#add(conversation, serverOf(state));
    const session = response?.headers.get('mcp-session-id');
    if (session !== undefined) {
      this.#unname(known, 'pair ');
      known.handshake = undefined;
      conversation.exclusive = true;
      this.#name(known, `session ${session}`);
      this.#showSession(known, session);
    } else if (known.names.size === 0) {
      known.handshake = (response?.status ?? 200) < 300 ? 'open' : 'failed';
      this.#name(known, pairName(state));
    }
  }

  /**
   * The one conversation of the same client and server that waits for this answer, where it comes on an event stream
   * of HTTP+SSE that began before the capture.
   */
  expecting(state: HttpExchangeState, id: RpcId): HttpConversation | undefined {
    const server = serverOf(state);
    const lane = laneOf(state.id, 'response');
    const candidates = [...(this.#streamless.get(clientKey(state)) ?? [])].slice(-ASKED_MAX);
    const found = candidates.filter(
      (each) => sameServer(each.server, server) && each.conversation.expects(id, lane),
    );
    const [only] = found;
    if (!only || found.length > 1) return undefined;
    this.#streamFound(only);
    return only.conversation;
  }

  #find(state: HttpExchangeState): HttpConversation {
    const server = serverOf(state);
    if (state.isWebSocket) return this.#begin(server, true).conversation;
    const session = state.session;
    const target = state.request?.target;
    if (session !== undefined) return this.#session(session, server).conversation;
    const inQuery = target === undefined ? undefined : sessionInQuery(target);
    if (inQuery !== undefined) return this.#legacy(inQuery, server, state);
    const posted = target === undefined ? undefined : this.#lookUp(nameOfTarget(target), server);
    if (posted) return posted.conversation;
    const name = pairName(state);
    const known = this.#lookUp(name, server);
    // An initialize may open a session: until the response says so, it is a conversation of its own.
    if (state.opening && !known?.handshake) return new HttpConversation(this.#number(), false);
    if (known) {
      // Other clients of the same process may try again, too.
      if (state.opening && known.handshake === 'failed') this.#unname(known, 'pair ');
      return known.conversation;
    }
    const begun = this.#begin(server, false);
    this.#name(begun, name);
    return begun.conversation;
  }

  #session(session: string, server: ServerIdentity): Known {
    const name = `session ${session}`;
    const known = this.#lookUp(name, server);
    if (known) return known;
    const begun = this.#begin(server, true);
    this.#name(begun, name);
    this.#showSession(begun, session);
    return begun;
  }

  #legacy(session: string, server: ServerIdentity, state: HttpExchangeState): HttpConversation {
    const before = this.#lookUp(`session ${session}`, server);
    if (before) return before.conversation;
    const known = this.#session(session, server);
    known.conversation.answersElsewhere = true;
    known.streamless = clientKey(state);
    const waiting = this.#streamless.get(known.streamless);
    if (waiting) waiting.add(known);
    else this.#streamless.set(known.streamless, new Set([known]));
    return known.conversation;
  }

  #lookUp(name: string, server: ServerIdentity): Known | undefined {
    return this.#byName.get(name)?.findLast((each) => sameServer(each.server, server));
  }

  #begin(server: ServerIdentity, exclusive: boolean): Known {
    return this.#add(new HttpConversation(this.#number(), exclusive), server);
  }

  #add(conversation: HttpConversation, server: ServerIdentity): Known {
    const names = new Set<string>();
    const known: Known = { conversation, server, names, handshake: undefined, streamless: undefined };
    this.#all.set(conversation, known);
    if (this.#all.size > CONVERSATIONS_MAX) this.#forgetOldest();
    return known;
  }

  #forgetOldest(): void {
    for (const [conversation, known] of this.#all) {
      this.#all.delete(conversation);
      this.#unname(known);
      this.#streamFound(known);
      return;
    }
  }

  #name(known: Known, name: string): void {
    if (known.names.has(name)) return;
    known.names.add(name);
    const same = this.#byName.get(name);
    if (same) same.push(known);
    else this.#byName.set(name, [known]);
  }

  #unname(known: Known, kind = ''): void {
    for (const name of known.names) {
      if (!name.startsWith(kind)) continue;
      known.names.delete(name);
      const left = this.#byName.get(name)?.filter((each) => each !== known);
      if (left?.length) this.#byName.set(name, left);
      else this.#byName.delete(name);
    }
  }

  #streamFound(known: Known): void {
    if (known.streamless === undefined) return;
    const waiting = this.#streamless.get(known.streamless);
    waiting?.delete(known);
    if (waiting?.size === 0) this.#streamless.delete(known.streamless);
    known.streamless = undefined;
  }

  #showSession(known: Known, session: string | undefined): void {
    if (session !== undefined) known.conversation.sessionId = this.#mask.session(session);
  }

  /** It is used: what has become known of its server completes what was. */
  #touch(known: Known, { pid, address, authority, client }: ServerIdentity): void {
    this.#all.delete(known.conversation);
    this.#all.set(known.conversation, known);
    const { server } = known;
    if (server.pid !== undefined && server.address !== undefined && server.client !== undefined) return;
    known.server = {
      pid: server.pid ?? pid,
      address: server.address ?? address,
      authority: server.authority ?? authority,
      client: server.client ?? client,
    };
  }
}

/** What is posted to this target belongs together: by the session in it, else by all of it. */
function nameOfTarget(target: string): string {
  const session = sessionInQuery(target);
  return session === undefined ? `endpoint ${pathAndQuery(target)}` : `session ${session}`;
}

/** One client with what is one server to it: a server may have several under different paths. */
function pairName(state: HttpExchangeState): string {
  const { target } = state.request ?? {};
  return `pair ${clientKey(state)} ${target === undefined ? '' : pathOf(target)}`;
}
