// SPDX-License-Identifier: Apache-2.0
/** One direction of an HTTP/1 connection: messages one after another, what is lost of them, and what comes instead. */
import type { MessageEnd, Side } from './http.ts';
import { BodyReader, type Framing } from './http1-body.ts';
import { GatheredBytes } from './http1-gathered.ts';
import { HeadReader } from './http1-head.ts';
import { HeldBytes } from './http1-held.ts';
import { beginningOf, beginsResponse } from './http1-resync.ts';

/** Bytes of one piece that are enough to tell what a probe is. */
const PROBE_STEP = 16 << 10;

/**
 * What follows a head: a body, the next head with no end of a message before it, or another protocol. Of a body that
 * is a guess, a call that begins with a status line is the end.
 */
export type Following = { readonly framing: Framing; readonly guess: boolean } | 'interim' | 'tunnel';

/** Takes what a direction says. All places are offsets in the direction's stream. */
export interface DirectionListener {
  /** The newest exchange of the connection, as a mark in time. */
  newest(): number;
  /** The first byte of a head was seen when `newest` was the newest exchange. */
  begins(newest: number): void;
  /** @param text A whole head. @returns `undefined` if it is none. */
  head(text: string, offset: number, end: number): Following | undefined;
  /** The head, from whose first byte on nothing was told, will never be complete. `lost`: bytes are missing. */
  headCut(lost: boolean): void;
  /** An event stream is joined in the middle. */
  joins(chunked: boolean, offset: number): void;
  body(bytes: Buffer, offset: number): void;
  lost(offset: number, bytes: number): void;
  /** @returns Whether what follows has to be held until it is known what it is. */
  end(how: MessageEnd, offset: number): boolean;
  /** Bytes between messages, or whole messages, are missing (`lost`), or passed without being understood. */
  strayed(lost: boolean): void;
  tunnel(bytes: Buffer, offset: number): void;
  tunnelLost(offset: number, bytes: number): void;
}

export class Direction {
  readonly #side: Side;
  readonly #listener: DirectionListener;
  #state: 'lost' | 'head' | 'body' | 'held' | 'tunnel' | 'over';
  /** Place of the byte to come. */
  #position = 0;

  #head: HeadReader;
  #body: BodyReader | undefined;
  /** Where the body ends is a guess. */
  #guess = false;
  readonly #held = new HeldBytes();
  /** The end that has come behind what is held. */
  #ended: 'closed' | 'stop' | undefined;
  /** When this body is over, the tunnel begins. */
  #tunnelNext = false;

  // While lost: what may be the beginning of a message but is too short to tell.
  readonly #probe = new GatheredBytes();
  #probeOffset = 0;
  #probeNewest: number | undefined;
  /** The last call that began within it: where to look next. */
  #again: { readonly at: number; readonly newest: number } | undefined;
  /** Only line ends have come since a call's beginning. */
  #atBeginning = false;

  constructor(side: Side, listener: DirectionListener, joined: boolean) {
    this.#side = side;
    this.#listener = listener;
    this.#head = new HeadReader(side);
    this.#state = joined ? 'lost' : 'head';
  }

  /** See `HttpDecoder.lost`. */
  get lost(): boolean {
    return this.#state === 'lost' && this.#probe.length === 0;
  }

  /** Are bytes held until it is known what they are? */
  get holds(): boolean {
    return this.#state === 'held';
  }

  /** Place of the byte to come. */
  get position(): number {
    return this.#position;
  }

  /** See `HttpDecoder.push`. */
  push(bytes: Buffer, offset: number, boundary: boolean): void {
    if (this.#state === 'over' || bytes.length === 0) return;
    this.#position = offset + bytes.length;
    if (this.#state === 'lost') {
      this.#seek(bytes, offset, boundary);
    } else if (this.#guess && boundary && this.#state === 'body' && beginsResponse(bytes)) {
      // The guess was wrong, or the message ended where nobody could see it.
      this.#listener.end('gap', offset);
      this.#nextHead();
      this.#run(bytes, 0, offset);
    } else {
      this.#run(bytes, 0, offset);
    }
  }

  /** See `HttpDecoder.gap`. */
  gap(offset: number, bytes: number): void {
    if (this.#state === 'over' || bytes <= 0) return;
    this.#position = offset + bytes;
    if (this.#state === 'tunnel') this.#listener.tunnelLost(offset, bytes);
    else if (this.#state === 'held') this.#held.lose(offset, bytes);
    else if (this.#state === 'body' && this.#body) this.#gapInBody(this.#body, offset, bytes);
    else {
      if (this.#state === 'head') this.#listener.headCut(true);
      this.#loseWay(true);
    }
  }

  /** See `HttpDecoder.end`. */
  end(how: 'closed' | 'stop'): void {
    const state = this.#state;
    if (state === 'held') {
      this.#ended = how;
      return;
    }
    this.#state = 'over';
    if (state === 'body') {
      this.#listener.end(this.#body?.untilClose && how === 'closed' ? 'complete' : how, this.#position);
    } else if (state === 'head') {
      this.#listener.headCut(false);
    }
    this.#probe.clear();
    this.#head = new HeadReader(this.#side);
  }

  /** What was held are messages, after all. */
  release(): void {
    if (this.#state !== 'held') return;
    const { bytes, offset, lost, lostOffset } = this.#held.take();
    this.#nextHead();
    if (bytes.length > 0) this.push(bytes, offset, true);
    if (lost > 0) this.gap(lostOffset, lost);
    this.#endBehindHeld();
  }

  /** What follows, and what was held, is another protocol's. */
  openTunnel(): void {
    const state = this.#state;
    if (state === 'over' || state === 'tunnel') return;
    if (state === 'body') {
      this.#tunnelNext = true;
      return;
    }
    this.#state = 'tunnel';
    if (state === 'held') {
      const { bytes, offset, lost, lostOffset } = this.#held.take();
      if (bytes.length > 0) this.#listener.tunnel(bytes, offset);
      if (lost > 0) this.#listener.tunnelLost(lostOffset, lost);
      this.#endBehindHeld();
    } else if (state === 'head') {
      if (!this.#head.empty) this.#listener.tunnel(this.#head.gathered, this.#head.offset);
      this.#head = new HeadReader(this.#side);
    } else if (this.#probe.length > 0) {
      this.#listener.tunnel(this.#probe.take(), this.#probeOffset);
    }
  }

  #endBehindHeld(): void {
    const ended = this.#ended;
    this.#ended = undefined;
    if (ended) this.end(ended);
  }

  #run(bytes: Buffer, from: number, offset: number): void {
    let at = from;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'head':
          at = this.#readHead(bytes, at, offset);
          break;
        case 'body':
          at = this.#readBody(bytes, at, offset);
          break;
        case 'held':
          this.#held.add(bytes, at, offset);
          return;
        case 'tunnel':
          this.#listener.tunnel(bytes.subarray(at), offset + at);
          return;
        case 'lost':
          this.#listener.strayed(false);
          return;
        default:
          return;
      }
    }
  }

  #readHead(bytes: Buffer, from: number, offset: number): number {
    const head = this.#head;
    const fresh = head.empty;
    const at = head.push(bytes, from, offset);
    const begun = !head.empty || head.text !== undefined || head.faulty;
    if (fresh && begun) {
      this.#listener.begins(this.#probeNewest ?? this.#listener.newest());
      this.#probeNewest = undefined;
    }
    if (head.text !== undefined) {
      this.#head = new HeadReader(this.#side);
      const following = this.#listener.head(head.text, head.offset, offset + at);
      if (following === undefined) this.#faultyHead();
      else this.#follow(following, offset + at);
    } else if (head.faulty) {
      this.#faultyHead();
    }
    return at;
  }

  #faultyHead(): void {
    this.#listener.headCut(false);
    this.#loseWay(false);
    // Where it would have ended nobody knows: what is behind it has passed with it.
    this.#listener.strayed(false);
  }

  #follow(following: Following, offset: number): void {
    if (following === 'interim') return;
    if (following === 'tunnel') {
      this.#state = 'tunnel';
      return;
    }
    const { framing, guess } = following;
    if (framing === 'faulty') {
      this.#listener.end('gap', offset);
      this.#loseWay(false);
    } else if (framing === 'none') this.#endMessage(offset);
    else this.#beginBody(framing, guess);
  }

  #beginBody(framing: 'chunked' | 'close' | number, guess: boolean): void {
    this.#body = new BodyReader(framing, (bytes, offset) => this.#listener.body(bytes, offset));
    this.#guess = guess;
    this.#state = 'body';
  }

  #readBody(bytes: Buffer, from: number, offset: number): number {
    const body = this.#body;
    if (!body) return bytes.length;
    const at = body.push(bytes, from, offset);
    this.#afterBody(body, offset + at, false);
    return at;
  }

  #gapInBody(body: BodyReader, offset: number, bytes: number): void {
    const lost = body.gap(bytes);
    if (lost > 0) this.#listener.lost(offset, lost);
    this.#afterBody(body, offset + lost, true);
    if (this.#state === 'tunnel' && lost < bytes) this.#listener.tunnelLost(offset + lost, bytes - lost);
  }

  #afterBody(body: BodyReader, offset: number, lost: boolean): void {
    if (body.state === 'complete') this.#endMessage(offset);
    else if (body.state === 'faulty') {
      this.#listener.end('gap', offset);
      this.#loseWay(lost);
    }
  }

  #endMessage(offset: number): void {
    const hold = this.#listener.end('complete', offset);
    if (this.#tunnelNext) this.#state = 'tunnel';
    else if (hold) this.#state = 'held';
    else this.#nextHead();
  }

  #nextHead(): void {
    this.#state = 'head';
    this.#body = undefined;
  }

  /** @param lost Bytes are missing. */
  #loseWay(lost: boolean): void {
    if (lost) this.#listener.strayed(true);
    this.#state = this.#tunnelNext ? 'tunnel' : 'lost';
    this.#body = undefined;
    this.#head = new HeadReader(this.#side);
    this.#probe.clear();
    this.#again = undefined;
    this.#atBeginning = false;
  }

  /**
   * Looks for the beginning of a message, or of an event in an event stream.
   * @param newest The newest exchange when the bytes came.
   */
  #seek(bytes: Buffer, offset: number, boundary: boolean, newest = this.#listener.newest()): void {
    const probe = this.#probe;
    const before = probe.length;
    let from = 0;
    if (before === 0) {
      if (!boundary && !this.#atBeginning) {
        this.#listener.strayed(false);
        return;
      }
      while (bytes[from] === 0x0d || bytes[from] === 0x0a) from++;
      this.#atBeginning = from === bytes.length;
      if (this.#atBeginning) return;
      this.#probeOffset = offset + from;
      this.#probeNewest = newest;
    } else {
      if (boundary) this.#again = { at: before, newest };
      probe.add(bytes, 0, Math.min(bytes.length, PROBE_STEP));
    }
    const beginning = beginningOf(this.#side, before > 0 ? probe.bytes : bytes.subarray(from), before);
    if (beginning === 'more') {
      if (before === 0) probe.add(bytes, from, bytes.length);
      return;
    }
    const earlier = probe.take().subarray(0, before);
    const again = this.#again;
    this.#again = undefined;
    if (beginning === 'unknown') {
      this.#listener.strayed(false);
      if (!again) return;
      // It was the tail of something, and the last call within it may be a beginning.
      const tail = earlier.subarray(again.at);
      if (tail.length > 0) this.#seek(tail, this.#probeOffset + again.at, true, again.newest);
      if (this.#state === 'lost') this.#seek(bytes, offset, tail.length === 0, newest);
      else this.#run(bytes, 0, offset);
      return;
    }
    if (beginning === 'head') this.#nextHead();
    else {
      this.#probeNewest = undefined;
      this.#listener.joins(beginning === 'chunk', this.#probeOffset);
      this.#beginBody(beginning === 'chunk' ? 'chunked' : 'close', true);
    }
    if (before > 0) this.#run(earlier, 0, this.#probeOffset);
    this.#run(bytes, from, offset);
  }
}
