// SPDX-License-Identifier: Apache-2.0
import { type HeaderField, HpackDecoder } from './hpack.ts';
import { GatheredBytes } from './http1-gathered.ts';
import { FLAG, FRAME, type FrameHead, HEAD_LENGTH } from './http2-frame-head.ts';

/** A header block: HEADERS or PUSH_PROMISE with its CONTINUATIONs. */
export interface HeaderBlock {
  /** Of the first frame. */
  readonly head: FrameHead;
  /** If something of the block is lost or it is too large, those that came before that. */
  readonly fields: readonly HeaderField[];
  /** Some are missing. */
  readonly cut: boolean;
  /** Place of the byte behind it, or of the first byte lost if its end is among these. */
  readonly end: number;
}

/** Bytes of a block that are decoded; with a larger one its table entries are lost. */
const BLOCK_MAX = 512 << 10;

/**
 * Puts the header blocks of one direction together (RFC 9113, section 4.3) and decodes them. Memory: one block of
 * 512 KiB beside the dynamic table.
 */
export class HeaderBlocks {
  readonly #hpack: HpackDecoder;
  readonly #take: (block: HeaderBlock) => void;
  readonly #gathered = new GatheredBytes();
  /** Of the block whose continuations are still to come. */
  #head: FrameHead | undefined;
  /** What comes of it does not follow what was gathered. */
  #damaged = false;

  /**
   * @param joined Blocks may have come before the first.
   * @param take Takes each block as soon as its end has come or is known to be lost. Must not call this.
   */
  constructor(joined: boolean, take: (block: HeaderBlock) => void) {
    this.#hpack = new HpackDecoder(joined);
    this.#take = take;
  }

  /**
   * @param head Of HEADERS, PUSH_PROMISE or CONTINUATION.
   * @param payload Read during the call only. Shorter than the head says where what follows is missing.
   */
  frame(head: FrameHead, payload: Buffer): void {
    if (head.type !== FRAME.continuation) {
      // A block that was not ended cannot be followed by another: something of it is missing.
      if (this.#head) this.lose(head.offset - HEAD_LENGTH);
      this.#head = head;
      this.#damaged = false;
    } else if (this.#head?.stream !== head.stream) {
      this.lose(head.offset - HEAD_LENGTH);
      return;
    }
    const fragment = fragmentOf(head, payload);
    const whole = (head.flags & FLAG.endHeaders) !== 0;
    const complete = fragment !== undefined && payload.length === head.length;
    // A block of one frame need not be copied.
    if (whole && complete && !this.#damaged && this.#gathered.length === 0) {
      this.#end(fragment, head.offset + head.length);
      return;
    }
    if (fragment && !this.#damaged) {
      const room = BLOCK_MAX - this.#gathered.length;
      if (fragment.length > room) this.#damaged = true;
      this.#gathered.add(fragment, 0, Math.min(fragment.length, room));
    }
    if (!complete) this.#damaged = true;
    if (whole) this.#end(this.#gathered.take(), head.offset + head.length);
  }

  /** From this place on, blocks and the end of the one that has begun may be lost. */
  lose(offset: number): void {
    this.#damaged = true;
    this.#end(this.#gathered.take(), offset);
    this.#hpack.lose();
  }

  #end(block: Buffer, end: number): void {
    const head = this.#head;
    if (!head) return;
    this.#head = undefined;
    const { fields, cut } = this.#hpack.decode(block);
    // What is missing may have put anything into the table.
    if (this.#damaged) this.#hpack.lose();
    this.#take({ head, fields, cut: cut || this.#damaged, end });
  }
}

/**
 * What belongs to the header block (sections 6.2, 6.6 and 6.10), as far as it is there; `undefined` if the frame's
 * form is wrong.
 */
function fragmentOf({ type, flags, length }: FrameHead, payload: Buffer): Buffer | undefined {
  if (type === FRAME.continuation) return payload;
  const padded = (flags & FLAG.padded) !== 0;
  const priority = type === FRAME.headers && (flags & FLAG.priority) !== 0;
  const from = (padded ? 1 : 0) + (priority ? 5 : 0) + (type === FRAME.pushPromise ? 4 : 0);
  const to = length - (padded ? (payload[0] ?? 0) : 0);
  return from <= to ? payload.subarray(from, to) : undefined;
}
