// SPDX-License-Identifier: Apache-2.0
/**
 * The same connection seen twice: TLS is read at the client's end and at the server's, which gives two exchanges
 * where there was one. Both ends decode the same clear text, so the heads of an exchange have the same places at
 * either. Where one end was joined in the middle, or its connection is not known (yet), what the exchange says tells.
 */
import type { Side } from '../protocols/http.ts';
import type { Frame, HttpExchange, HttpStep, StreamRef } from '../streams/frame.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import {
  carrierOf,
  contentOf,
  countAlike,
  isCoded,
  isEncrypted,
  isFresh,
  isIdle,
  isMessage,
  isVague,
  mayBeOne,
  mayMeet,
  oppositeEnd,
  otherNames,
  ownNames,
  placeNames,
  printOf,
  type Sighting,
  wholeEnd,
  withContent,
} from './sighting.ts';
import { Told } from './told.ts';

/** Exchanges that may yet be seen at the other end; those seen first are forgotten first. */
const WAITING_MAX = 16384;
/** The same of those that are over. */
const OVER_MAX = 2048;
/** So long after it was over at one end, an exchange may begin at the other: calls return late. Nanoseconds. */
const LATE_NS = 5e9;
/** Messages by which a response without its request may be known as one that the other end tells. */
const TRIES = 64;
/** Ends remembered that have been followed from their first byte on; the oldest are forgotten first. */
const WHOLE_MAX = 4096;
/** Exchanges looked at of those that go by the same name. */
const LOOKED_AT = 256;

export class BothEnds {
  readonly #encrypts: (client: number, server: number) => boolean;
  readonly #sightings = new WeakMap<HttpExchange, Sighting>();
  /** Seen at one end only, by all that the other one might be known by. */
  readonly #byName = new Map<string, Set<Sighting>>();
  /** The same, those that are under way. */
  readonly #waiting = new Set<Sighting>();
  /** When those were over that are, oldest first. */
  readonly #over = new Map<Sighting, number>();
  /** Losses of each stream. */
  readonly #losses = new WeakMap<StreamRef, number>();

  /** Ends that have been followed from their first byte on, with their streams. */
  readonly #whole = new Map<string, HttpExchange>();

  /** @param encrypts Is there a connection between these processes that carries TLS? */
  constructor(encrypts: (client: number, server: number) => boolean) {
    this.#encrypts = encrypts;
  }

  /**
   * Is the other end of this exchange known, now that `item` has been seen at this one?
   * @returns what stands for both from here on, and what was thought of one end alone.
   */
  match(
    state: HttpExchangeState,
    exchange: HttpExchange,
    side: Side,
    item: Frame | HttpStep,
  ): { readonly both: HttpExchangeState; readonly single: HttpExchangeState } | undefined {
    if (!isEncrypted(exchange)) return undefined;
    const sighting = this.#sightingOf(exchange, state);
    this.#noteWhole(sighting);
    if (sighting.matched) return undefined;
    this.#expire(item.time);
    const found = this.#findOther(sighting, side, item);
    if (!found) {
      this.#file(sighting);
      return undefined;
    }
    for (const each of [found, sighting]) {
      this.#remove(each);
      each.matched = true;
    }
    // A response without its request, of which nothing has been shown, is nothing beside one with it.
    const [both, single] = isIdle(found) && !isIdle(sighting) ? [sighting, found] : [found, sighting];
    for (const each of ['request', 'response'] as const) {
      if (!isIdle(single)) both.told[each].join(single.told[each]);
      if (countAlike(found, sighting)) both.told[each].align();
    }
    single.told = both.told;
    return isIdle(single) || isFresh(single) ? { both: both.state, single: single.state } : undefined;
  }

  /** Has the other end told this message already? */
  isCopy(exchange: HttpExchange, side: Side, item: Frame | HttpStep): boolean {
    const sighting = this.#sightings.get(exchange);
    if (!sighting || !isMessage(item)) return false;
    const before = sighting.count[side]++;
    // The other end will tell it, or has: with all its headers.
    if (isVague(sighting) && this.#isToldWhole(sighting)) return true;
    return sighting.told[side].isCopy({
      exchange: exchange.id,
      // In what is compressed, the places of messages depend on how it was cut.
      place: isCoded(exchange, side) ? before : item.offset,
      losses: this.#losses.get(item.stream) ?? 0,
      whole: item.kind === 'http' || item.content.type !== 'incomplete',
      remembered: side === 'request' || sighting.matched || mayMeet(sighting),
      print: () => printOf(item),
    });
  }

  /** Bytes of this stream are lost: what comes next does not adjoin what came before. */
  lost(stream: StreamRef): void {
    this.#losses.set(stream, (this.#losses.get(stream) ?? 0) + 1);
  }

  /** The exchange is over. @param time CLOCK_MONOTONIC, nanoseconds. */
  over({ exchange }: HttpExchangeState, time: number): void {
    const sighting = this.#sightings.get(exchange);
    if (!sighting || !this.#waiting.delete(sighting)) return;
    this.#over.set(sighting, time);
    this.#expire(time);
  }

  /** The exchange is not wanted. */
  forget({ exchange }: HttpExchangeState): void {
    const sighting = this.#sightings.get(exchange);
    if (sighting) this.#remove(sighting);
  }

  #noteWhole(sighting: Sighting): void {
    const end = wholeEnd(sighting);
    if (end === undefined || this.#whole.has(end)) return;
    this.#whole.set(end, sighting.exchange);
    const oldest = this.#whole.size > WHOLE_MAX ? first(this.#whole.keys()) : undefined;
    if (oldest !== undefined) this.#whole.delete(oldest);
  }

  /** Does the other end know all from the first byte on, without a loss? */
  #isToldWhole(sighting: Sighting): boolean {
    const end = oppositeEnd(sighting);
    const whole = end === undefined ? undefined : this.#whole.get(end);
    return (
      whole !== undefined &&
      [whole.requests, whole.responses].every((stream) => !stream || !this.#losses.has(stream))
    );
  }

  #sightingOf(exchange: HttpExchange, state: HttpExchangeState): Sighting {
    let sighting = this.#sightings.get(exchange);
    if (!sighting) {
      sighting = {
        exchange,
        state,
        told: { request: new Told(), response: new Told() },
        matched: false,
        heads: {},
        content: undefined,
        count: { request: 0, response: 0 },
        names: new Set(),
      };
      this.#sightings.set(exchange, sighting);
    }
    return sighting;
  }

  #findOther(sighting: Sighting, side: Side, item: Frame | HttpStep): Sighting | undefined {
    if (item.kind === 'http' && item.step.type === 'head') {
      sighting.heads[side] = item.offset;
      const found = this.#find(placeNames(sighting), sighting);
      if (found) return found;
    }
    const sought = otherNames(sighting);
    if (side === 'request') {
      if (sighting.content !== undefined) return undefined;
      const content = contentOf(sighting, item);
      sighting.content = content;
      return content === undefined ? undefined : this.#find(withContent(sought, content), sighting);
    }
    if (!isMessage(item) || sighting.count.response >= TRIES) return undefined;
    const { request } = sighting.exchange;
    let print: string | undefined;
    return this.#find(sought, sighting, (other) => {
      if (request && other.exchange.request) return false;
      print ??= printOf(item);
      return other.told.response.hasAlone(print);
    });
  }

  #find(
    names: readonly string[],
    sighting: Sighting,
    test: (other: Sighting) => boolean = () => true,
  ): Sighting | undefined {
    for (const name of names) {
      let left = LOOKED_AT;
      for (const other of this.#byName.get(name) ?? []) {
        if (left-- === 0) break;
        if (other === sighting || !mayBeOne(other, sighting) || !test(other)) continue;
        if (this.#areConnected(other, sighting)) return other;
      }
    }
    return undefined;
  }

  /** Where neither end knows its connection, there has to be one that it can be. */
  #areConnected(a: Sighting, b: Sighting): boolean {
    if (carrierOf(a) !== undefined || carrierOf(b) !== undefined) return true;
    const client = a.state.client ?? b.state.client;
    const server = a.state.server ?? b.state.server;
    return client !== undefined && server !== undefined && this.#encrypts(client.pid, server.pid);
  }

  #file(sighting: Sighting): void {
    if (!this.#waiting.has(sighting) && !this.#over.has(sighting)) {
      this.#waiting.add(sighting);
      const oldest = this.#waiting.size > WAITING_MAX ? first(this.#waiting) : undefined;
      if (oldest) this.#remove(oldest);
    }
    const own = ownNames(sighting);
    const { content } = sighting;
    const said = content === undefined ? [] : withContent(own, content);
    for (const name of [...placeNames(sighting), ...own, ...said]) {
      if (sighting.names.has(name)) continue;
      sighting.names.add(name);
      const same = this.#byName.get(name);
      if (same) same.add(sighting);
      else this.#byName.set(name, new Set([sighting]));
    }
  }

  #remove(sighting: Sighting): void {
    this.#waiting.delete(sighting);
    this.#over.delete(sighting);
    for (const name of sighting.names) {
      const same = this.#byName.get(name);
      same?.delete(sighting);
      if (same?.size === 0) this.#byName.delete(name);
    }
    sighting.names.clear();
  }

  /** Forgets what has long been over. */
  #expire(time: number): void {
    for (const [sighting, over] of this.#over) {
      if (time - over < LATE_NS && this.#over.size <= OVER_MAX) return;
      this.#remove(sighting);
    }
  }
}

function first<T>(all: Iterable<T>): T | undefined {
  for (const each of all) return each;
  return undefined;
}
