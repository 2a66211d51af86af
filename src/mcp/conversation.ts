// SPDX-License-Identifier: Apache-2.0
/** All exchanges of one client with one server, and what is known of the two. */

import type { Endpoint } from '../streams/frame.ts';
import { keepYoungest } from '../youngest.ts';
import type { Party, RpcId, Status } from './events.ts';
import { idKey } from './jsonrpc.ts';

/** Open requests kept per conversation: a peer that never answers must not take all memory. */
export const OPEN_MAX = 65536;

/** A request and what became of it. */
export interface Exchange {
  readonly id: RpcId;
  readonly method: string;
  readonly target: string | undefined;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: number;
  /** What carried the request: the number of a stream, or that of one side of an HTTP exchange. */
  readonly lane: number;
  cancelled: boolean;
}

/** How a response relates to what was asked. */
export interface Answer {
  readonly exchange: Exchange | undefined;
  readonly status: Status;
  readonly durationMs: number | undefined;
}

/** Is this connection MCP? `foreign`: JSON-RPC of another protocol. */
export type Nature = 'undecided' | 'mcp' | 'foreign';

export abstract class Conversation {
  readonly connection: number;
  nature: Nature = 'undecided';
  /** The process that asks for tools; known once a message could only have come from one side. */
  client: Endpoint | undefined;
  server: Endpoint | undefined;
  clientInfo: Party | undefined;
  serverInfo: Party | undefined;
  protocolVersion: string | undefined;
  /** Of HTTP: the session, masked. */
  sessionId: string | undefined;
  messages = 0;

  constructor(connection: number) {
    this.connection = connection;
  }

  /** Requests that nobody has answered. */
  abstract get open(): Iterable<Exchange>;

  /** @returns whether a request with this id was still open in this direction. */
  abstract ask(exchange: Exchange): boolean;

  /** The response on `lane` closes the request that came from the opposite direction. */
  abstract answer(id: RpcId | undefined, lane: number, time: number, outcome: Status): Answer;

  /**
   * `notifications/cancelled` on `lane` takes back a request of the same direction.
   * @returns whether one was open and not cancelled before.
   */
  abstract cancel(id: RpcId, lane: number): boolean;
}

/** What a response that closes this request says of it. */
export function answered(exchange: Exchange | undefined, time: number, outcome: Status): Answer {
  if (!exchange) return { exchange, status: 'orphan', durationMs: undefined };
  const status = exchange.cancelled ? 'late' : outcome;
  return { exchange, status, durationMs: (time - exchange.time) / 1e6 };
}

/** Conversations of which one direction has been seen, all between the same two processes, in order of appearance. */
export interface Halves {
  readonly name: string;
  readonly all: Set<StreamConversation>;
}

/** So many open requests are looked through one by one: a map takes more memory than they do, and there are mostly few. */
const FEW = 4;
/** Of most conversations. Never changed. */
const NONE: readonly Exchange[] = [];

/** A conversation over pipes or sockets: each of its streams is a lane, and answers come on another one. */
export class StreamConversation extends Conversation {
  /** The streams it runs over: one, until the opposite direction is known. */
  streams: readonly number[] = [];
  /** With which others it waits for its opposite direction. */
  half: Halves | undefined;
  /** Oldest first; when there are many, by stream and id: each direction numbers its own requests. */
  #open: readonly Exchange[] | Map<string, Exchange> = NONE;

  get open(): Iterable<Exchange> {
    return this.#open instanceof Map ? this.#open.values() : this.#open;
  }

  ask(exchange: Exchange): boolean {
    const before = this.#get(exchange.id, exchange.lane);
    if (this.#open instanceof Map) {
      this.#open.set(keyOf(exchange), exchange);
      keepYoungest(this.#open, OPEN_MAX);
    } else if (before) this.#open = this.#open.with(this.#open.indexOf(before), exchange);
    // Not by spreading, which would make room for 17.
    else if (this.#open.length < FEW) this.#open = this.#open.concat(exchange);
    else this.#open = new Map(this.#open.concat(exchange).map((each) => [keyOf(each), each]));
    return before !== undefined;
  }

  /** Is a request with this id open that did not travel on `stream`? */
  expects(id: RpcId, stream: number): boolean {
    return this.#find(id, stream) !== undefined;
  }

  answer(id: RpcId | undefined, lane: number, time: number, outcome: Status): Answer {
    const found = id && this.#find(id, lane);
    if (found) this.#close(found);
    return answered(found, time, outcome);
  }

  cancel(id: RpcId, lane: number): boolean {
    const exchange = this.#get(id, lane);
    if (!exchange || exchange.cancelled) return false;
    exchange.cancelled = true;
    return true;
  }

  #close(exchange: Exchange): void {
    const open = this.#open;
    if (open instanceof Map) {
      open.delete(keyOf(exchange));
      if (open.size === 0) this.#open = NONE;
    } else this.#open = open.length === 1 ? NONE : open.filter((each) => each !== exchange);
  }

  #get(id: RpcId, lane: number): Exchange | undefined {
    const open = this.#open;
    if (open instanceof Map) return open.get(keyOf({ id, lane }));
    if (open.length === 0) return undefined;
    const key = idKey(id);
    return open.find((each) => each.lane === lane && idKey(each.id) === key);
  }

  #find(id: RpcId, lane: number): Exchange | undefined {
    for (const other of this.streams) {
      const exchange = other === lane ? undefined : this.#get(id, other);
      if (exchange) return exchange;
    }
    return undefined;
  }
}

function keyOf({ lane, id }: Pick<Exchange, 'lane' | 'id'>): string {
  return `${lane} ${idKey(id)}`;
}
