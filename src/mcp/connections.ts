// SPDX-License-Identifier: Apache-2.0
/** Which two streams belong together: the two directions of one conversation. */
import { keepYoungest } from '../youngest.ts';
import { type Halves, StreamConversation } from './conversation.ts';

/** What pairing needs to know of a stream. */
export interface Ends {
  readonly stream: number;
  /** The opposite direction of the same socket, or 0. */
  readonly pair: number;
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/** Who is known at the ends of a stream by now. */
export type WhoNow = (stream: number) => Pick<Ends, 'from' | 'to'>;

/** Halves that are looked at again with each new stream: for longer than some seconds none should be among them. */
const VAGUE_MAX = 256;

export class Connections {
  readonly #whoNow: WhoNow;
  readonly #byStream = new Map<number, StreamConversation>();
  /** One direction seen, by "writer>reader". */
  readonly #halves = new Map<string, Halves>();
  /** Halves of which an end was not known: a server may take seconds to read its first message. */
  readonly #vague = new Map<StreamConversation, Ends>();
  readonly #number: () => number;

  /** @param number The next connection's number: those of HTTP are counted along. */
  constructor(whoNow: WhoNow, number: () => number) {
    this.#whoNow = whoNow;
    this.#number = number;
  }

  /** All conversations, in order of appearance. */
  get all(): Iterable<StreamConversation> {
    return new Set(this.#byStream.values());
  }

  get(stream: number): StreamConversation | undefined {
    return this.#byStream.get(stream);
  }

  /**
   * The conversation of a stream, begun if need be. Two streams belong together when
   * they are the two directions of one socket, or run between the same two processes
   * in opposite directions. Of several such, the one that `expects` what the stream says, if it answers anything.
   */
  of(ends: Ends, expects?: (half: StreamConversation) => boolean): StreamConversation {
    const known = this.#byStream.get(ends.stream);
    if (known) return known;
    const opposite = this.#byStream.get(ends.pair);
    if (opposite) this.#unfile(opposite);
    const found = opposite ?? this.#takeHalf(ends, expects);
    const conversation = found ?? new StreamConversation(this.#number());
    if (!found) {
      this.#addHalf(ends, conversation);
    }
    this.#byStream.set(ends.stream, conversation);
    conversation.streams = conversation.streams.concat(ends.stream);
    return conversation;
  }

  /**
   * In a shell pipeline the process that asks is not the one that hears the answer. So a
   * lone stream whose response answers what the writing process was asked on another lone
   * stream belongs to that one.
   */
  joinByAnswer(
    lone: StreamConversation,
    ends: Ends,
    expects: (half: StreamConversation, streamOfRequest: number) => boolean,
  ): StreamConversation {
    if (lone.streams.length > 1 || ends.from === undefined) return lone;
    this.#clarify();
    for (const [name, { all }] of this.#halves) {
      if (!name.endsWith(`>${ends.from}`)) continue;
      const match = [...all].find((half) => half !== lone && expects(half, ends.stream));
      if (!match) continue;
      this.#unfile(match);
      this.#unfile(lone);
      match.streams = match.streams.concat(ends.stream);
      this.#byStream.set(ends.stream, match);
      return match;
    }
    return lone;
  }

  /** A stream ended: its conversation is over when its last stream is. @returns whether it is over. */
  end(stream: number): StreamConversation | undefined {
    const conversation = this.#byStream.get(stream);
    if (!conversation) return undefined;
    this.#byStream.delete(stream);
    const over = conversation.streams.every((each) => !this.#byStream.has(each));
    if (!over) return undefined;
    this.#unfile(conversation);
    return conversation;
  }

  #addHalf(ends: Ends, conversation: StreamConversation): void {
    const name = `${ends.from ?? '?'}>${ends.to ?? '?'}`;
    let halves = this.#halves.get(name);
    if (!halves) {
      halves = { name, all: new Set() };
      this.#halves.set(name, halves);
    }
    halves.all.add(conversation);
    conversation.half = halves;
    if (ends.from !== undefined && ends.to !== undefined) return;
    this.#vague.set(conversation, ends);
    keepYoungest(this.#vague, VAGUE_MAX);
  }

  /** Halves whose ends have become known since are filed under them. */
  #clarify(): void {
    for (const [conversation, ends] of this.#vague) {
      const { from, to } = this.#whoNow(ends.stream);
      if (from === undefined || to === undefined) continue;
      this.#unfile(conversation);
      if (conversation.streams.length === 1) this.#addHalf({ ...ends, from, to }, conversation);
    }
  }

  #takeHalf(
    ends: Ends,
    expects: ((half: StreamConversation) => boolean) | undefined,
  ): StreamConversation | undefined {
    if (ends.from === undefined || ends.to === undefined) return undefined;
    this.#clarify();
    const all = this.#halves.get(`${ends.to}>${ends.from}`)?.all;
    if (!all) return undefined;
    const [first] = all;
    const half = (expects && [...all].find(expects)) ?? first;
    if (half) this.#unfile(half);
    return half;
  }

  #unfile(conversation: StreamConversation): void {
    this.#vague.delete(conversation);
    const { half } = conversation;
    if (!half) return;
    conversation.half = undefined;
    half.all.delete(conversation);
    if (half.all.size === 0) this.#halves.delete(half.name);
  }
}
