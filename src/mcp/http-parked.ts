// SPDX-License-Identifier: Apache-2.0
/** What exchanges carried while nobody knows yet whether their conversation is MCP. */
import type { Frame, Gap, HttpFrame, HttpStep } from '../streams/frame.ts';
import type { HttpConversation } from './http-conversation.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import { ALL_PARKED_BYTES, gapInsteadOf, PARKED_BYTES } from './parked.ts';

/** Items of one conversation. */
const ITEMS_MAX = 2048;
/** What an item takes beside its payload, about. */
const OVERHEAD = 512;

/** A frame that HTTP carried. */
export type CarriedFrame = Frame & { readonly http: HttpFrame };

export interface ParkedItem {
  readonly state: HttpExchangeState;
  /** A gap stands for what was kept no longer. */
  readonly item: CarriedFrame | HttpStep | Gap;
}

interface OfConversation {
  items: ParkedItem[];
  bytes: number;
  room: number;
}

export class ParkedExchanges {
  /** Oldest first. */
  readonly #byConversation = new Map<HttpConversation, OfConversation>();
  #bytes = 0;

  /** @returns whether the conversation is still within its allowance. */
  add(conversation: HttpConversation, state: HttpExchangeState, item: ParkedItem['item']): boolean {
    let parked = this.#byConversation.get(conversation);
    if (!parked) {
      parked = { items: [], bytes: 0, room: 0 };
      this.#byConversation.set(conversation, parked);
    }
    const size = item.kind === 'frame' ? item.size : 0;
    parked.items.push({ state, item });
    parked.bytes += size;
    parked.room += size + OVERHEAD;
    this.#bytes += size + OVERHEAD;
    const within = parked.bytes <= PARKED_BYTES && parked.items.length <= ITEMS_MAX;
    for (const [oldest, { items }] of this.#byConversation) {
      if (this.#bytes <= ALL_PARKED_BYTES) break;
      if (items.every((each) => each.item.kind === 'gap')) this.take(oldest);
      else this.forgo(oldest);
    }
    return within;
  }

  has(conversation: HttpConversation): boolean {
    return this.#byConversation.has(conversation);
  }

  /** What one of its exchanges carried is not wanted. */
  drop(conversation: HttpConversation, state: HttpExchangeState): void {
    const parked = this.#byConversation.get(conversation);
    if (!parked) return;
    const sizes = (items: readonly ParkedItem[]) =>
      items.reduce((sum, { item }) => sum + (item.kind === 'frame' ? item.size : 0), 0);
    const dropped = parked.items.filter((each) => each.state === state);
    parked.items = parked.items.filter((each) => each.state !== state);
    const bytes = sizes(dropped);
    parked.bytes -= bytes;
    parked.room -= bytes + dropped.length * OVERHEAD;
    this.#bytes -= bytes + dropped.length * OVERHEAD;
  }

  /**
   * Keeps of a conversation only how much there was on each stream: should it show itself later, those are gaps.
   * @returns what is kept no longer.
   */
  forgo(conversation: HttpConversation): ParkedItem[] {
    const forgone = this.take(conversation);
    const byStream = Map.groupBy(forgone, ({ item }) => item.stream.id);
    const items = [...byStream.values()].flatMap((ofStream) => {
      const gap = gapInsteadOf(ofStream.map(({ item }) => item));
      return gap && ofStream[0] ? [{ state: ofStream[0].state, item: gap }] : [];
    });
    if (items.length === 0) return forgone;
    const room = items.length * OVERHEAD;
    this.#byConversation.set(conversation, { items, bytes: 0, room });
    this.#bytes += room;
    return forgone;
  }

  /** Everything of a conversation, in time order; it is parked no longer. */
  take(conversation: HttpConversation): ParkedItem[] {
    const parked = this.#byConversation.get(conversation);
    if (!parked) return [];
    this.#byConversation.delete(conversation);
    this.#bytes -= parked.room;
    return parked.items.sort((a, b) => a.item.time - b.item.time);
  }
}
