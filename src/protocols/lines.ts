// SPDX-License-Identifier: Apache-2.0
/**
 * The framing of MCP's stdio transport: one message per line (specification 2025-06-18, "Transports", stdio).
 * Bytes in, lines out; no clock and no I/O. The bytes are hostile: time is linear in their number and memory
 * limited by the largest frame allowed.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import type { FrameContent } from '../streams/frame.ts';
import { HEAD, headOf, oversizeOf, smallContentOf } from './content.ts';
import { capacityFor, Share } from './room.ts';
import { LARGE_TEXT, WireText } from './wire-text.ts';

/** What a line holds: the same as a frame. */
export type LineContent = FrameContent;

/** One line of a stream. */
export interface Line {
  /** Position in the stream of the first byte. */
  readonly offset: number;
  /** Bytes without the line end (`\n` or `\r\n`), also of what was not kept. */
  readonly size: number;
  readonly content: LineContent;
}

/** Takes each line as soon as it is known. Must not throw and must not call the framer. */
export type EmitLine = (line: Line) => void;

export interface LineFramerOptions {
  /** Bytes of the largest line kept whole, without its line end; at least 1, at most 2^29 - 25 (V8's longest string). */
  readonly maxSize: number;
  /** The capture began in the middle of the stream: the first line may be the tail of a message. */
  readonly joined: boolean;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;

function isJson(content: LineContent): boolean {
  if (content.type !== 'text') return false;
  try {
    JSON.parse(content.text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Buffers to use again, because making one costs more than filling it: one of each power of two up to 1 MiB,
 * so at most 2 MiB for all framers together. None is longer than eight times what is asked for, so that a
 * few held bytes cannot pin a large buffer.
 */
const SMALLEST = 8;
const LARGEST = 20;
const spares: (Buffer | undefined)[] = [];

function takeBuffer(length: number): Buffer {
  const wanted = Math.max(SMALLEST, 32 - Math.clz32(length - 1));
  for (let power = wanted; power <= wanted + 2; power++) {
    const spare = spares[power];
    if (spare === undefined) continue;
    spares[power] = undefined;
    return spare;
  }
  return Buffer.allocUnsafeSlow(2 ** wanted);
}

function giveBuffer(buffer: Buffer): void {
  const power = 31 - Math.clz32(buffer.length);
  if (power <= LARGEST) spares[power] = buffer;
}

/**
 * Tells in linear time, over bytes that come in pieces, whether they can be one whole JSON array or object.
 * Parsing after each piece would be quadratic.
 */
class Nesting {
  #at = 0;
  #depth = 0;
  #inString = false;
  #state: 'open' | 'closed' | 'broken' = 'open';

  /** Looks at the bytes since the last call. `closed` still has to be parsed; `broken` is final. */
  scan(bytes: Buffer, length: number): 'open' | 'closed' | 'broken' {
    let at = this.#at;
    for (; at < length && this.#state !== 'broken'; at++) {
      const byte = bytes[at];
      if (this.#inString) {
        if (byte === 0x5c) at++;
        else if (byte === 0x22) this.#inString = false;
        continue;
      }
      if (byte === 0x20 || byte === 0x09 || byte === RETURN) continue;
      if (this.#state === 'closed') this.#state = 'broken';
      else if (byte === 0x7b || byte === 0x5b) this.#depth++;
      else if (this.#depth === 0) this.#state = 'broken';
      else if (byte === 0x22) this.#inString = true;
      else if ((byte === 0x7d || byte === 0x5d) && --this.#depth === 0) this.#state = 'closed';
    }
    this.#at = at;
    return this.#state;
  }

  /** The closed value was no JSON after all. */
  reject(): void {
    this.#state = 'broken';
  }
}

/** A frame that is not complete. */
interface Begun {
  /** Its place in the stream. */
  readonly offset: number;
  /** The bytes received, and how many of these are in the buffer. */
  size: number;
  kept: number;
  endsInReturn: boolean;
  buffer: Buffer;
  /** There was no room for all of it: see room.ts. */
  crowded: boolean;
  nesting: Nesting | undefined;
}

/**
 * Cuts one direction of a stream into lines. Empty lines are skipped. Where bytes are missing or the start is
 * not known, it waits for a place where a frame surely begins rather than guess.
 */
export class LineFramer {
  readonly #maxSize: number;
  /**
   * What the next byte to come belongs to: a frame known from its first byte, one that may have begun earlier
   * and so counts only if it is JSON, or one to discard because a part of it is missing.
   */
  #state: 'sure' | 'unsure' | 'discard';
  #skipped = 0;
  /** Made with the first bytes that no newline follows: there are many framers, and few are within a line. */
  #begun: Begun | undefined;
  /** Of the room for all frames begun, once there was a large one. */
  #share: Share | undefined;

  /** @throws RangeError if `maxSize` is out of range. */
  constructor(options: LineFramerOptions) {
    const { maxSize } = options;
    if (!(Number.isInteger(maxSize) && maxSize >= 1 && maxSize <= 2 ** 29 - 25)) {
      throw new RangeError(`maxSize ${maxSize} is not between 1 and ${2 ** 29 - 25}`);
    }
    this.#maxSize = maxSize;
    this.#state = options.joined ? 'unsure' : 'sure';
  }

  /**
   * Takes the next bytes.
   * @param bytes Read during the call only: may be a view of memory that is used again.
   * @param offset Position in the stream of `bytes[0]`: where the last `push` or `gap` ended.
   * @param packetEnd The carrier keeps message boundaries (SOCK_SEQPACKET) and one is at the end of `bytes`:
   *   what is left there without a newline is a frame if it is a complete JSON object or array. A bare number or
   *   string is none, as it may be a piece of a longer one.
   */
  push(bytes: Buffer, offset: number, packetEnd: boolean, emit: EmitLine): void {
    const length = bytes.length;
    let ascii: boolean | undefined;
    let from = 0;
    while (from < length) {
      const newline = bytes.indexOf(NEWLINE, from);
      const end = newline < 0 ? length : newline;
      if (this.#state === 'discard') {
        this.#skipped += end - from;
        if (newline >= 0) {
          this.#skipped++;
          this.#state = 'sure';
        }
      } else if (newline < 0) {
        this.#keep(bytes, from, end, offset + from);
      } else if (this.#begun || this.#state === 'unsure') {
        if (end > from) this.#keep(bytes, from, end, offset + from);
        this.#complete(emit);
      } else {
        const stop = end > from && bytes[end - 1] === RETURN ? end - 1 : end;
        const size = stop - from;
        if (size > 0) {
          // One look at all bytes saves a view for each line.
          ascii ??= isAscii(bytes);
          let content: LineContent;
          if (size > this.#maxSize) content = oversizeOf(bytes.subarray(from, stop));
          else if (ascii) content = { type: 'text', text: bytes.toString('latin1', from, stop) };
          else content = smallContentOf(bytes.subarray(from, stop));
          emit({ offset: offset + from, size, content });
        }
      }
      from = end + 1;
    }
    if (packetEnd) this.#endPacket(emit);
  }

  /**
   * Bytes are missing. The frame begun is emitted as incomplete, and what follows is discarded up to the next
   * newline and counted as skipped. On a carrier that keeps message boundaries the end of a packet also ends
   * that, but then the next frame has to be JSON.
   * @param _offset Position in the stream of the first missing byte.
   * @param lost Number of missing bytes. With 0 nothing is missing and nothing happens.
   * @param endsLine Is the last missing byte a newline, so that what follows begins a frame? `undefined` when
   *   that is not known: then the next line is a frame if it is JSON, which the tail of a message never is.
   */
  gap(_offset: number, lost: number, endsLine: boolean | undefined, emit: EmitLine): void {
    if (lost === 0) return;
    this.#abandon('gap', emit);
    this.#state = endsLine === undefined ? 'unsure' : endsLine ? 'sure' : 'discard';
  }

  /**
   * No more bytes. The frame begun is emitted as text if it is complete JSON, which a last line without a
   * newline may be, else as incomplete.
   * @param reason Whether the stream ended or the capture.
   */
  end(reason: 'end' | 'stop', emit: EmitLine): void {
    if (!this.#emitJson(emit)) this.#abandon(reason, emit);
  }

  /** The lines turn out to be free text: where the start is not known, the first one need not be JSON to count. */
  acceptText(): void {
    if (this.#state === 'unsure') this.#state = 'sure';
  }

  /** Is the frame that a gap has cut still not over? */
  get discarding(): boolean {
    return this.#state === 'discard';
  }

  /** Has what has come of the current line come from its first byte on? */
  get startIsKnown(): boolean {
    return this.#state === 'sure';
  }

  /** Bytes held of a frame that is not complete. The memory for them is at most eight times as much, or 1 KiB. */
  get held(): number {
    return this.#begun?.kept ?? 0;
  }

  /** Does the frame begun look like the beginning of a JSON object or array? True when none is begun. */
  get startsLikeJson(): boolean {
    const first = this.#begun?.buffer[0];
    return first === undefined || first === 0x7b || first === 0x5b;
  }

  /**
   * Bytes received that could not be told to be a frame, line ends included, since the last call: after a gap,
   * or at the beginning of a stream joined late. 0 if none.
   */
  takeSkipped(): number {
    const skipped = this.#skipped;
    this.#skipped = 0;
    return skipped;
  }

  /** Adds to the frame begun. Past the largest size only the head stays. */
  #keep(bytes: Buffer, from: number, to: number, offset: number): void {
    const size = (this.#begun?.size ?? 0) + to - from;
    const kept = this.#begun?.kept ?? 0;
    // One byte more than the largest size, as the last may be half of a line end; one byte more than the head,
    // as that shows whether the head cuts a character.
    const head = Math.min(size, HEAD + 1);
    let wanted = size <= this.#maxSize + 1 && !this.#begun?.crowded ? size : head;
    const crowded = wanted > (this.#begun?.buffer.length ?? 0) && !this.#hasRoom(wanted);
    if (crowded) wanted = head;
    this.#begun ??= begin(offset, wanted);
    const begun = this.#begun;
    begun.crowded ||= crowded;
    // Lengths are powers of two, so that a frame is moved O(log n) times.
    if (wanted > begun.buffer.length) move(begun, takeBuffer(wanted), kept);
    if (wanted > kept) bytes.copy(begun.buffer, kept, from, from + wanted - kept);
    else if (wanted < kept) {
      move(begun, takeBuffer(wanted), wanted);
      this.#share?.resize(begun.buffer.length);
    }
    begun.size = size;
    begun.endsInReturn = bytes[to - 1] === RETURN;
    begun.kept = wanted;
  }

  /** A newline came. */
  #complete(emit: EmitLine): void {
    const begun = this.#begun;
    const size = begun ? sizeOf(begun) : 0;
    if (begun && size > 0) {
      const { buffer, offset, kept, crowded } = begun;
      let content: LineContent;
      if (size > this.#maxSize || crowded)
        content = oversizeOf(buffer.subarray(0, Math.min(size, kept)), crowded);
      else if (size >= LARGE_TEXT && isUtf8(buffer.subarray(0, size))) {
        // The frame keeps the buffer: a string of this size costs more than all the rest.
        content = new WireText(buffer.subarray(0, size));
        this.#begun = undefined;
      } else content = smallContentOf(buffer.subarray(0, size));
      if (this.#state === 'unsure' && !isJson(content)) this.#skipped += begun.size + 1;
      else emit({ offset, size, content });
    }
    this.#state = 'sure';
    this.#reset();
  }

  #endPacket(emit: EmitLine): void {
    if (this.#state === 'discard') this.#state = 'unsure';
    const begun = this.#begun;
    if (!begun) return;
    if (begun.size === begun.kept) {
      begun.nesting ??= new Nesting();
      const shape = begun.nesting.scan(begun.buffer, begun.kept);
      if (shape === 'open') return;
      if (shape === 'closed') {
        if (this.#emitJson(emit)) return;
        begun.nesting.reject();
      }
    }
    // The tail of a message begun before: the next packet may begin a frame.
    if (this.#state === 'unsure') this.#abandon('gap', emit);
  }

  /** Emits the frame begun if it is complete JSON and not too large; half a line end may follow it. */
  #emitJson(emit: EmitLine): boolean {
    const begun = this.#begun;
    if (!begun) return false;
    const size = sizeOf(begun);
    if (size > this.#maxSize || begun.crowded) return false;
    const content = smallContentOf(begun.buffer.subarray(0, size));
    if (!isJson(content)) return false;
    emit({ offset: begun.offset, size, content });
    this.#state = 'sure';
    this.#reset();
    return true;
  }

  /** Gives up the frame begun. */
  #abandon(reason: 'end' | 'gap' | 'stop', emit: EmitLine): void {
    const begun = this.#begun;
    if (!begun) return;
    const { offset, size, buffer, kept } = begun;
    if (this.#state === 'unsure') this.#skipped += size;
    else if (sizeOf(begun) > 0) {
      const head = headOf(buffer.subarray(0, kept));
      emit({ offset, size, content: { type: 'incomplete', head, reason } });
    }
    this.#reset();
  }

  #reset(): void {
    if (this.#begun) giveBuffer(this.#begun.buffer);
    this.#begun = undefined;
    this.#share?.resize(0);
  }

  #hasRoom(length: number): boolean {
    this.#share ??= new Share();
    return this.#share.resize(capacityFor(length));
  }
}

/** A frame of which no byte has been received yet, with room for so many. */
function begin(offset: number, room: number): Begun {
  return {
    offset,
    size: 0,
    kept: 0,
    endsInReturn: false,
    buffer: takeBuffer(room),
    crowded: false,
    nesting: undefined,
  };
}

/** Bytes without what may be the first half of a line end. */
function sizeOf({ size, endsInReturn }: Begun): number {
  return endsInReturn ? size - 1 : size;
}

/** The first `length` bytes go on in another buffer. */
function move(begun: Begun, buffer: Buffer, length: number): void {
  begun.buffer.copy(buffer, 0, 0, length);
  giveBuffer(begun.buffer);
  begun.buffer = buffer;
}
