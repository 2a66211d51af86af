// SPDX-License-Identifier: Apache-2.0
/**
 * The frames of one direction of HTTP/2 (RFC 9113, sections 4 and 6). Bytes in, frames out: DATA piece by piece
 * as it comes, the few other types that we read as a whole, the rest not at all.
 */
import type { Side } from './http.ts';
import { GatheredBytes } from './http1-gathered.ts';
import {
  beginsFrames,
  FLAG,
  FRAME,
  type FrameHead,
  frameHead,
  HEAD_LENGTH,
  isPossible,
  PLAUSIBLE_LENGTH,
} from './http2-frame-head.ts';

/** Takes frames, in order. Must not throw and must not call the reader. */
export interface FrameSink {
  /** A piece of a DATA frame, without padding, at least one byte. Valid only during the call. */
  data(head: FrameHead, bytes: Buffer, offset: number): void;
  /** Bytes of a DATA frame are lost; 0: their number is not known. */
  dataLost(head: FrameHead, offset: number, bytes: number): void;
  /** A DATA frame is over. `offset`: place of the byte behind it. */
  dataEnd(head: FrameHead, offset: number): void;
  /**
   * A frame of HEADERS, PUSH_PROMISE, CONTINUATION, RST_STREAM or GOAWAY. `payload` is valid only during the call. It
   * is shorter than the head says where something is lost, or it is too large: then it is what came before that.
   */
  whole(head: FrameHead, payload: Buffer): void;
  /** From `offset` on, frames may be lost, and all is until a call begins with one. */
  lost(offset: number): void;
}

export interface FrameReaderOptions {
  readonly side: Side;
  /** Did the capture begin in the middle of this direction? */
  readonly joined: boolean;
}

/** Types that are read as a whole. */
const WHOLE: readonly number[] = [
  FRAME.headers,
  FRAME.rstStream,
  FRAME.pushPromise,
  FRAME.goAway,
  FRAME.continuation,
];
/** Bytes of the longest: SETTINGS_MAX_FRAME_SIZE is 16 KiB unless a peer allows more. */
const WHOLE_MAX = 256 << 10;
/** What a client says first (section 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Padding of a DATA frame before the byte that tells. */
const UNTOLD = -1;

/**
 * Bytes that no frame of this side can begin with, as well as a gap that is not inside a frame, make it lose its
 * way. It is found again where a call begins with what looks like frames. Memory: one frame of 256 KiB at most.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #side: Side;
  readonly #headBytes = Buffer.alloc(HEAD_LENGTH);
  #headLength = 0;
  /** Of the frame that has begun. */
  #head: FrameHead | undefined;
  /** Bytes of its payload that have not come. */
  #left = 0;
  /** Of DATA: bytes of padding at its end. */
  #padding = 0;
  /** What has come of a frame that is read as a whole. */
  readonly #gathered = new GatheredBytes();
  /** What comes of it does not follow what was gathered. */
  #damaged = false;
  /** Bytes of the preface that may still come. */
  #preface: number;
  #lost: boolean;
  /** Where frames begin was found by looking. */
  #guessed: boolean;
  #position = 0;

  constructor(sink: FrameSink, { side, joined }: FrameReaderOptions) {
    this.#sink = sink;
    this.#side = side;
    this.#lost = joined;
    this.#guessed = joined;
    this.#preface = side === 'request' ? PREFACE.length : 0;
  }

  /** Is it waiting for a call that begins with a frame? */
  get lost(): boolean {
    return this.#lost;
  }

  /** Has every frame been seen, from the first one on? */
  get complete(): boolean {
    return !this.#guessed && !this.#lost;
  }

  /** Place of the byte behind the last one that was read or lost. */
  get position(): number {
    return this.#position;
  }

  /** See `HttpDecoder.push`. */
  push(bytes: Buffer, offset: number, boundary: boolean): void {
    if (this.#lost) this.#position = offset + bytes.length;
    if (this.#lost && !(boundary && this.#findsWay(bytes))) return;
    this.#read(bytes, this.#skipPreface(bytes, offset), offset);
  }

  #read(bytes: Buffer, from: number, offset: number): void {
    let at = from;
    while (at < bytes.length && !this.#lost)
      at = this.#head ? this.#payload(this.#head, bytes, at, offset) : this.#begin(bytes, at, offset);
  }

  /** See `HttpDecoder.gap`. What a frame is and where it ends is known from its head on. */
  gap(offset: number, bytes: number): void {
    const head = this.#head;
    this.#position = offset + bytes;
    if (this.#lost || bytes <= 0) return;
    const inside = Math.min(bytes, head ? this.#left : 0);
    if (head) {
      if (head.type === FRAME.data) this.#dataLost(head, offset, inside);
      this.#damaged = true;
      this.#left -= inside;
      if (this.#left === 0) this.#end(head, offset + inside);
    }
    if (inside < bytes) this.#lose(offset + inside);
  }

  #dataLost(head: FrameHead, offset: number, bytes: number): void {
    if (this.#padding === UNTOLD) {
      // How much of the frame is padding was told there. None of it can be used.
      this.#padding = this.#left;
      this.#sink.dataLost(head, offset, 0);
      return;
    }
    const lost = Math.min(bytes, this.#left - this.#padding);
    if (lost > 0) this.#sink.dataLost(head, offset, lost);
  }

  #findsWay(bytes: Buffer): boolean {
    const preface = this.#preface > 0 && bytes.subarray(0, PREFACE.length).equals(PREFACE);
    if (!preface && !beginsFrames(bytes, this.#side)) return false;
    this.#lost = false;
    // Nobody else begins like this, and nothing comes before it.
    if (preface) this.#guessed = false;
    return true;
  }

  #lose(offset: number): void {
    this.#lost = true;
    this.#guessed = true;
    this.#head = undefined;
    this.#headLength = 0;
    this.#gathered.clear();
    this.#preface = 0;
    this.#sink.lost(offset);
  }

  /** @returns where the frames go on. */
  #skipPreface(bytes: Buffer, offset: number): number {
    if (!this.#preface) return 0;
    const done = PREFACE.length - this.#preface;
    const length = Math.min(this.#preface, bytes.length);
    if (!PREFACE.subarray(done, done + length).equals(bytes.subarray(0, length))) {
      this.#preface = 0;
      // What came of it before was none.
      this.#read(PREFACE.subarray(0, done), 0, offset - done);
      return 0;
    }
    this.#preface -= length;
    return length;
  }

  #begin(bytes: Buffer, at: number, offset: number): number {
    const length = Math.min(HEAD_LENGTH - this.#headLength, bytes.length - at);
    bytes.copy(this.#headBytes, this.#headLength, at, at + length);
    this.#headLength += length;
    if (this.#headLength < HEAD_LENGTH) return at + length;
    this.#headLength = 0;
    const head = frameHead(this.#headBytes, 0, offset + at + length);
    this.#position = head.offset;
    if (!isPossible(head, this.#side) || (this.#guessed && head.length > PLAUSIBLE_LENGTH)) {
      this.#lose(head.offset - HEAD_LENGTH);
      return bytes.length;
    }
    this.#head = head;
    this.#left = head.length;
    this.#padding = head.type === FRAME.data && head.flags & FLAG.padded ? UNTOLD : 0;
    this.#damaged = false;
    if (head.length === 0) this.#end(head, head.offset);
    return at + length;
  }

  #payload(head: FrameHead, bytes: Buffer, from: number, offset: number): number {
    let at = from;
    if (this.#padding === UNTOLD) {
      this.#left--;
      // As long as the frame or longer is an error (section 6.1): then there is no content.
      this.#padding = bytes[at++] ?? 0;
    }
    const to = Math.min(bytes.length, at + this.#left);
    this.#position = offset + to;
    if (head.type === FRAME.data) {
      const dataEnd = Math.min(to, at + this.#left - this.#padding);
      if (dataEnd > at) this.#sink.data(head, bytes.subarray(at, dataEnd), offset + at);
    } else if (WHOLE.includes(head.type) && !this.#damaged) {
      // A frame that comes in one piece need not be copied.
      if (to - at === head.length && head.length <= WHOLE_MAX) {
        this.#head = undefined;
        this.#sink.whole(head, bytes.subarray(at, to));
        return to;
      }
      this.#gathered.add(bytes, at, Math.min(to, at + WHOLE_MAX - this.#gathered.length));
    }
    this.#left -= to - at;
    if (this.#left === 0) this.#end(head, offset + to);
    return to;
  }

  #end(head: FrameHead, offset: number): void {
    this.#head = undefined;
    if (head.type === FRAME.data) {
      this.#sink.dataEnd(head, offset);
    } else if (WHOLE.includes(head.type)) {
      this.#sink.whole(head, this.#gathered.take());
    }
  }
}
