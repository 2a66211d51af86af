// SPDX-License-Identifier: Apache-2.0
/** One client with one server over HTTP, on however many connections. */
import type { Side } from '../protocols/http.ts';
import { type Answer, answered, Conversation, type Exchange, OPEN_MAX } from './conversation.ts';
import type { RpcId, Status } from './events.ts';
import { idKey } from './jsonrpc.ts';
import { Replay } from './replay.ts';

/** Resumed event streams remembered; the oldest are forgotten first. */
const RESUMED_MAX = 4096;

/** Of open requests with the same id so many are remembered as candidates for an answer from another exchange. */
const SAME_MAX = 16;

/** Open requests of one direction with the same id. */
interface SameId {
  count: number;
  /** The last ones, oldest first. */
  readonly recent: Exchange[];
}

/** The lane of one side of an HTTP exchange. `exchange`: its number within the capture. */
export function laneOf(exchange: number, side: Side): number {
  return exchange * 2 + (side === 'response' ? 1 : 0);
}

/** The other side of the same exchange. */
function opposite(lane: number): number {
  return lane % 2 ? lane - 1 : lane + 1;
}

export class HttpConversation extends Conversation {
  /** Events of event streams that have been seen. */
  readonly replay = new Replay();
  /**
   * Is it one client for certain, by a session or a WebSocket? Without, several may be behind one process or
   * address, all with the same ids.
   */
  exclusive: boolean;
  /** HTTP+SSE: the answers come on a connection of their own. */
  answersElsewhere = false;
  /** The bus has been told who is at its ends. */
  announced = false;
  /** All open requests, oldest first. */
  readonly #open = new Set<Exchange>();
  readonly #byLane = new Map<number, Map<string, Exchange>>();
  /** By direction and id. */
  readonly #byId = new Map<string, SameId>();
  /** Exchanges that go on with the event stream of an earlier one. */
  readonly #resumed = new Map<number, number>();

  constructor(connection: number, exclusive: boolean) {
    super(connection);
    this.exclusive = exclusive;
  }

  get open(): Iterable<Exchange> {
    return this.#open;
  }

  /** Exchange `later` goes on with the event stream of `earlier`. */
  resume(later: number, earlier: number): void {
    this.#resumed.set(later, this.origin(earlier));
    if (this.#resumed.size > RESUMED_MAX) deleteFirst(this.#resumed);
  }

  /** The exchange whose event stream this one goes on with, or itself. */
  origin(exchange: number): number {
    return this.#resumed.get(exchange) ?? exchange;
  }

  ask(exchange: Exchange): boolean {
    const id = idKey(exchange.id);
    const key = keyOf(exchange.lane, id);
    const before = this.#byLane.get(exchange.lane)?.get(id);
    const reused = before !== undefined || (this.exclusive && this.#byId.has(key));
    if (before) this.#close(before);
    this.#open.add(exchange);
    getOrMake(this.#byLane, exchange.lane, () => new Map<string, Exchange>()).set(id, exchange);
    const same = getOrMake(this.#byId, key, (): SameId => ({ count: 0, recent: [] }));
    same.count++;
    same.recent.push(exchange);
    if (same.recent.length > SAME_MAX) same.recent.shift();
    if (this.#open.size > OPEN_MAX) this.#closeOldest();
    return reused;
  }

  /** Is a request with this id open that a response on `lane` could answer? */
  expects(id: RpcId, lane: number): boolean {
    return this.#find(id, lane) !== undefined;
  }

  /**
   * A response in an HTTP response answers the request of the same exchange, or of the one whose event stream it
   * resumes; an error without an id, the only one there is. Other responses answer the request of that id from
   * the opposite direction: the last one in a session, and without a session only if there is no second one.
   */
  answer(id: RpcId | undefined, lane: number, time: number, outcome: Status): Answer {
    const found = id ? this.#find(id, lane) : this.#onlyOf(opposite(lane));
    if (found) this.#close(found);
    return answered(found, time, outcome);
  }

  cancel(id: RpcId, lane: number): boolean {
    const key = idKey(id);
    const found = this.#byLane.get(lane)?.get(key) ?? this.#candidate(keyOf(lane, key));
    if (!found || found.cancelled) return false;
    found.cancelled = true;
    return true;
  }

  /** Takes the open requests of a lane away: they will not be answered. */
  leave(lane: number): Exchange[] {
    const left = [...(this.#byLane.get(lane)?.values() ?? [])];
    for (const exchange of left) this.#close(exchange);
    return left;
  }

  #find(id: RpcId, lane: number): Exchange | undefined {
    const asked = opposite(lane);
    const key = idKey(id);
    const own = this.#byLane.get(asked)?.get(key);
    if (own) return own;
    const resumed = this.#resumed.get(Math.floor(lane / 2));
    const earlier =
      resumed === undefined ? undefined : this.#byLane.get(laneOf(resumed, 'request'))?.get(key);
    if (lane % 2 && earlier) return earlier;
    // Without a session, an HTTP response answers nothing that was not asked in its own exchange.
    return lane % 2 && !this.exclusive ? undefined : this.#candidate(keyOf(asked, key));
  }

  #candidate(key: string): Exchange | undefined {
    const same = this.#byId.get(key);
    return this.exclusive || same?.count === 1 ? same?.recent.at(-1) : undefined;
  }

  #onlyOf(lane: number): Exchange | undefined {
    const asked = lane % 2 ? undefined : this.#byLane.get(lane);
    return asked?.size === 1 ? asked.values().next().value : undefined;
  }

  #close(exchange: Exchange): void {
    const id = idKey(exchange.id);
    const key = keyOf(exchange.lane, id);
    this.#open.delete(exchange);
    const lane = this.#byLane.get(exchange.lane);
    lane?.delete(id);
    if (lane?.size === 0) this.#byLane.delete(exchange.lane);
    const same = this.#byId.get(key);
    if (!same) return;
    const place = same.recent.indexOf(exchange);
    if (place >= 0) same.recent.splice(place, 1);
    if (--same.count === 0) this.#byId.delete(key);
  }

  #closeOldest(): void {
    for (const oldest of this.#open) {
      this.#close(oldest);
      return;
    }
  }
}

function keyOf(lane: number, id: string): string {
  return `${lane % 2}${id}`;
}

function deleteFirst(map: Map<number, unknown>): void {
  for (const first of map.keys()) {
    map.delete(first);
    return;
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
