// SPDX-License-Identifier: Apache-2.0
/** From bytes to the content of a frame, at once or from pieces. */
import { isAscii, isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import type { FrameContent } from '../streams/frame.ts';
import { capacityFor, Share } from './room.ts';
import { LARGE_TEXT, WireText } from './wire-text.ts';

/** Bytes shown of a message that is not kept whole. */
export const HEAD = 4096;

/** The largest `maxSize`: V8's longest string has 2^29 - 24 characters. */
const MAX_SIZE = 2 ** 29 - 25;

/** The first 4096 bytes as text: invalid bytes replaced, a character that the end cuts left out. */
export function headOf(bytes: Buffer): string {
  return new StringDecoder('utf8').write(bytes.subarray(0, HEAD));
}

/**
 * What these bytes say, copied.
 * @param maxSize Bytes of the largest content kept whole.
 */
export function contentOf(bytes: Buffer, maxSize: number): FrameContent {
  if (bytes.length > maxSize) return oversizeOf(bytes);
  if (bytes.length >= LARGE_TEXT) {
    const copy = Buffer.from(bytes);
    return isUtf8(copy) ? new WireText(copy) : { type: 'binary', bytes: copy };
  }
  return smallContentOf(bytes);
}

/** Exactly what the bytes say, copied. */
export function smallContentOf(bytes: Buffer): FrameContent {
  if (isAscii(bytes)) return { type: 'text', text: bytes.toString('latin1') };
  if (isUtf8(bytes)) return { type: 'text', text: bytes.toString('utf8') };
  return { type: 'binary', bytes: Buffer.from(bytes) };
}

/**
 * Of what is not kept whole.
 * @param crowded There was no room for it: see room.ts.
 */
export function oversizeOf(bytes: Buffer, crowded = false): FrameContent {
  return { type: 'oversize', head: headOf(bytes), ...(crowded && { crowded }) };
}

/** @throws RangeError if `maxSize` is not an integer from 1 to 2^29 - 25. */
export function checkMaxSize(maxSize: number): void {
  if (!(Number.isInteger(maxSize) && maxSize >= 1 && maxSize <= MAX_SIZE)) {
    throw new RangeError(`maxSize ${maxSize} is not between 1 and ${MAX_SIZE}`);
  }
}

/** White space of JSON (RFC 8259, section 2). */
export function isJsonSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

const SMALLEST = 512;
/** A buffer no longer than this is kept for the next content. */
const REUSED = 16384;
const EMPTY = Buffer.alloc(0);

/**
 * Gathers a content that comes in pieces. Holds no more than `maxSize` bytes in at most twice the memory; of a
 * larger content only the head. Time is linear in the bytes added.
 */
export class ContentBuffer {
  readonly #maxSize: number;
  #buffer: Buffer = EMPTY;
  #size = 0;
  #kept = 0;
  /** There was no room for all of it: see room.ts. */
  #crowded = false;
  #share: Share | undefined;

  /** @param maxSize Bytes of the largest content kept whole; must have passed `checkMaxSize`. */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** Bytes added since the last reset, kept or not. */
  get size(): number {
    return this.#size;
  }

  /** Is no more than its head kept? */
  get isCut(): boolean {
    return this.#crowded || this.#size > this.#maxSize;
  }

  /** The bytes kept: a view, valid until the next call that changes something. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#kept);
  }

  /** The memory held, in bytes. */
  get held(): number {
    return this.#buffer.length;
  }

  /** @returns How many bytes of the piece were kept, from its beginning. They are the last ones of `bytes`. */
  add(piece: Buffer, from: number, to: number): number {
    this.#size += to - from;
    const kept = this.#kept;
    // One byte more than the head shows whether the head cuts a character.
    const head = Math.min(this.#size, HEAD + 1);
    let wanted = this.isCut ? head : this.#size;
    if (wanted > this.#buffer.length && !this.#hasRoom(wanted)) {
      this.#crowded = true;
      wanted = head;
    }
    this.#kept = wanted;
    if (wanted <= kept) {
      if (wanted < kept && this.#buffer.length > REUSED) this.#move(wanted, wanted);
      return 0;
    }
    if (wanted > this.#buffer.length) this.#move(wanted, kept);
    piece.copy(this.#buffer, kept, from, from + wanted - kept);
    return wanted - kept;
  }

  /** Takes JSON's white space off the end of what is kept whole. */
  trimEnd(): void {
    if (this.isCut) return;
    while (this.#kept > 0 && isJsonSpace(this.#buffer[this.#kept - 1])) this.#kept--;
    this.#size = this.#kept;
  }

  /** The whole content. Empties the buffer. */
  take(): FrameContent {
    const bytes = this.bytes;
    let content: FrameContent;
    if (this.isCut) content = oversizeOf(bytes, this.#crowded);
    else if (this.#size < LARGE_TEXT) content = smallContentOf(bytes);
    else {
      // The content keeps the buffer: a string of this size costs more than all the rest.
      content = isUtf8(bytes) ? new WireText(bytes) : { type: 'binary', bytes };
      this.#buffer = EMPTY;
    }
    this.reset();
    return content;
  }

  /** What came of a content that will not be completed. Empties the buffer. */
  takeIncomplete(reason: 'end' | 'gap' | 'stop'): FrameContent {
    const content: FrameContent = { type: 'incomplete', head: headOf(this.bytes), reason };
    this.reset();
    return content;
  }

  reset(): void {
    this.#size = 0;
    this.#kept = 0;
    this.#crowded = false;
    if (this.#buffer.length > REUSED) this.#buffer = EMPTY;
    this.#share?.resize(this.#buffer.length);
  }

  #hasRoom(length: number): boolean {
    this.#share ??= new Share();
    return this.#share.resize(capacityFor(length));
  }

  /** Lengths are powers of two, so that a content is moved O(log n) times. */
  #move(length: number, kept: number): void {
    const buffer = Buffer.allocUnsafeSlow(Math.max(SMALLEST, capacityFor(length)));
    this.#buffer.copy(buffer, 0, 0, kept);
    this.#buffer = buffer;
    this.#share?.resize(buffer.length);
  }
}
