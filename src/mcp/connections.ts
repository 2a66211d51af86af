// SPDX-License-Identifier: Apache-2.0
/** Which two streams belong together: the two directions of one conversation. */
import { StreamConversation } from './conversation.ts';

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

export class Connections {
  readonly #whoNow: WhoNow;
  readonly #byStream = new Map<number, StreamConversation>();
  /** One direction seen, by "writer>reader"; in order of appearance. */
  readonly #halves = new Map<string, StreamConversation[]>();
  /** Under which of these names each half is filed. */
  readonly #filed = new Map<StreamConversation, string>();
  /** Halves of which an end was not known: a server may take seconds to read its first message. */
  readonly #vague = new Map<StreamConversation, Ends>();
  readonly #all = new Map<number, StreamConversation>();
  readonly #number: () => number;

  /** @param number The next connection's number: those of HTTP are counted along. */
  constructor(whoNow: WhoNow, number: () => number) {
    this.#whoNow = whoNow;
    this.#number = number;
  }

  /** All conversations, in order of appearance. */
  get all(): Iterable<StreamConversation> {
    return this.#all.values();
  }

  get(stream: number): StreamConversation | undefined {
    return this.#byStream.get(stream);
  }

  /**
   * The conversation of a stream, begun if need be. Two streams belong together when
   * they are the two directions of one socket, or run between the same two processes
   * in opposite directions. Of several such, the one that `expects` what the stream says.
   */
  of(ends: Ends, expects: (half: StreamConversation) => boolean = () => false): StreamConversation {
    const known = this.#byStream.get(ends.stream);
    if (known) return known;
    const found = this.#byStream.get(ends.pair) ?? this.#takeHalf(ends, expects);
    const conversation = found ?? new StreamConversation(this.#number());
    if (!found) {
      this.#all.set(conversation.connection, conversation);
      this.#addHalf(ends, conversation);
    }
    this.#byStream.set(ends.stream, conversation);
    conversation.streams.add(ends.stream);
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
    if (lone.streams.size > 1 || ends.from === undefined) return lone;
    this.#clarify();
    for (const [key, halves] of this.#halves) {
      if (!key.endsWith(`>${ends.from}`)) continue;
      const match = halves.find(
        (half) => half !== lone && half.streams.size === 1 && expects(half, ends.stream),
      );
      if (!match) continue;
      this.#unfile(match);
      this.#unfile(lone);
      this.#all.delete(lone.connection);
      match.streams.add(ends.stream);
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
    const over = [...conversation.streams].every((each) => !this.#byStream.has(each));
    if (!over) return undefined;
    this.#unfile(conversation);
    this.#all.delete(conversation.connection);
    return conversation;
  }

  #addHalf(ends: Ends, conversation: StreamConversation): void {
    const key = `${ends.from ?? '?'}>${ends.to ?? '?'}`;
    const halves = this.#halves.get(key);
    if (halves) halves.push(conversation);
    else this.#halves.set(key, [conversation]);
    this.#filed.set(conversation, key);
    if (ends.from === undefined || ends.to === undefined) this.#vague.set(conversation, ends);
  }

  /** Halves whose ends have become known since are filed under them. */
  #clarify(): void {
    for (const [conversation, ends] of this.#vague) {
      const { from, to } = this.#whoNow(ends.stream);
      if (from === undefined || to === undefined) continue;
      this.#unfile(conversation);
      if (conversation.streams.size === 1) this.#addHalf({ ...ends, from, to }, conversation);
    }
  }

  #takeHalf(ends: Ends, expects: (half: StreamConversation) => boolean): StreamConversation | undefined {
    if (ends.from === undefined || ends.to === undefined) return undefined;
    this.#clarify();
    // A half whose own socket has an opposite direction in use is whole already.
    const halves = this.#halves.get(`${ends.to}>${ends.from}`)?.filter((each) => each.streams.size === 1);
    const half = halves?.find(expects) ?? halves?.[0];
    if (half) this.#unfile(half);
    return half;
  }

  #unfile(conversation: StreamConversation): void {
    this.#vague.delete(conversation);
    const key = this.#filed.get(conversation);
    if (key === undefined) return;
    this.#filed.delete(conversation);
    const left = this.#halves.get(key)?.filter((each) => each !== conversation);
    if (left?.length) this.#halves.set(key, left);
    else this.#halves.delete(key);
  }
}
