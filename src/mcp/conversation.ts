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

/** A conversation over pipes or sockets: each of its streams is a lane, and answers come on another one. */
export class StreamConversation extends Conversation {
  /** The streams it runs over: one, until the opposite direction is known. */
  streams: readonly number[] = [];
  /** By stream and id: each direction numbers its own requests. `undefined` while none is open, as mostly. */
  #open: Map<string, Exchange> | undefined;

  get open(): Iterable<Exchange> {
    return this.#open?.values() ?? [];
  }

  ask(exchange: Exchange): boolean {
    const key = keyOf(exchange.lane, exchange.id);
    this.#open ??= new Map();
    const reused = this.#open.has(key);
    this.#open.set(key, exchange);
    keepYoungest(this.#open, OPEN_MAX);
    return reused;
  }

  /** Is a request with this id open that did not travel on `stream`? */
  expects(id: RpcId, stream: number): boolean {
    return this.#find(id, stream) !== undefined;
  }

  answer(id: RpcId | undefined, lane: number, time: number, outcome: Status): Answer {
    const found = id && this.#find(id, lane);
    if (found) this.#close(found[0]);
    return answered(found?.[1], time, outcome);
  }

  cancel(id: RpcId, lane: number): boolean {
    const exchange = this.#open?.get(keyOf(lane, id));
    if (!exchange || exchange.cancelled) return false;
    exchange.cancelled = true;
    return true;
  }

  #close(key: string): void {
    this.#open?.delete(key);
    if (this.#open?.size === 0) this.#open = undefined;
  }

  #find(id: RpcId, stream: number): [string, Exchange] | undefined {
    for (const other of this.streams) {
      if (other === stream) continue;
      const key = keyOf(other, id);
      const exchange = this.#open?.get(key);
      if (exchange) return [key, exchange];
    }
    return undefined;
  }
}

function keyOf(stream: number, id: RpcId): string {
  return `${stream} ${idKey(id)}`;
}
