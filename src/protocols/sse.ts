// SPDX-License-Identifier: Apache-2.0
/**
 * Event streams (HTML standard, 9.2.5 and 9.2.6): bytes in, events out; no clock and no I/O. The bytes are
 * hostile: time is linear in their number and memory limited by the largest event allowed.
 */
import { isAscii } from 'node:buffer';
import type { FrameContent } from '../streams/frame.ts';
import { ContentBuffer, checkMaxSize, contentOf } from './content.ts';
import { LARGE_TEXT } from './wire-text.ts';

/** An event that the stream dispatches, or one begun with data that never came to its end. */
export interface SseEvent {
  /** The values of its `data` fields, joined by newlines. */
  readonly data: FrameContent;
  /** The value of `event`, at most 4096 bytes of it; `message` if there is none. */
  readonly name: string;
  /**
   * The last event id: the last value of `id` on this stream, of this event or an earlier one. `undefined` if
   * there was none, if it was empty or longer than 4096 bytes, or if it may have been lost.
   */
  readonly id: string | undefined;
  /** The value of this event's `retry`, milliseconds; `undefined` if there is none. */
  readonly retry: number | undefined;
  /** Place in the source of the first byte of its first line, which may be a comment. */
  readonly offset: number;
  /** Bytes of the event stream from there to the end of its last line, without that line's end. */
  readonly size: number;
}

/** Takes each event as soon as the blank line behind it is there. Must not throw and must not call the decoder. */
export type EmitSseEvent = (event: SseEvent) => void;

export interface SseDecoderOptions {
  /** Bytes of the largest `data` kept whole; at least 1, at most 2^29 - 25. */
  readonly maxSize: number;
  /**
   * The capture began in the middle of the stream: events count from behind the next blank line. If however the
   * first bytes pushed are a field (`data:`, `event:`, `id:` or `retry:`), they are taken as the beginning of an
   * event, which is what a server's write or a client's read mostly begins with.
   */
  readonly joined: boolean;
}

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const LINE_FEED = Buffer.from('\n');

/** Bytes that tell every field name, its colon and the space behind it: `event: `. */
const PREFIX = 7;

/** Bytes kept of a value of `id`, `event` or `retry`. */
const VALUE_MAX = 4096;

const NONE = 0;
const DATA = 1;
const EVENT = 2;
const ID = 3;
const RETRY = 4;
type Field = typeof NONE | typeof DATA | typeof EVENT | typeof ID | typeof RETRY;

const NAMES: readonly (readonly [Field, Buffer])[] = [
  [DATA, Buffer.from('data')],
  [EVENT, Buffer.from('event')],
  [ID, Buffer.from('id')],
  [RETRY, Buffer.from('retry')],
];

/** Where a line's value begins: behind the colon and one space (HTML standard, 9.2.6). */
function valueStart(bytes: Buffer, from: number, to: number, name: number): number {
  const colon = from + name;
  return colon + 1 < to && bytes[colon + 1] === SPACE ? colon + 2 : Math.min(colon + 1, to);
}

/** The field of a line from its first bytes: all of it, or at least `PREFIX`. */
function fieldOf(bytes: Buffer, from: number, to: number): readonly [field: Field, name: number] {
  const first = bytes[from];
  for (const [field, name] of NAMES) {
    const { length } = name;
    if (first !== name[0] || to - from < length) continue;
    let at = 1;
    while (at < length && bytes[from + at] === name[at]) at++;
    if (at < length) continue;
    if (to - from === length || bytes[from + length] === COLON) return [field, length];
  }
  return [NONE, 0];
}

/** Decodes one event stream. */
export class SseDecoder {
  readonly #maxSize: number;

  // The line begun in an earlier piece. Its first bytes are gathered in `prefix` until they tell the field.
  #inLine = false;
  readonly #prefix = Buffer.allocUnsafeSlow(PREFIX);
  #prefixLength = 0;
  /** The field, once it is told. */
  #field: Field | undefined;
  readonly #value = new ContentBuffer(VALUE_MAX);
  /** The last line ended with a CR: an LF that follows belongs to it. */
  #afterReturn = false;
  /** How many bytes of a byte order mark have been seen; 3 also where none can come any more. */
  #mark = 0;

  /** Lines up to the next blank one belong to an event whose beginning is missing. */
  #discard = false;
  /** The first line may be the tail of one: it counts only if it begins with a field. */
  #unsure: boolean;

  // The event begun.
  #begun = false;
  #offset = 0;
  #size = 0;
  /** Bytes of line ends that belong to the event if another line follows. */
  #lineEnds = 0;
  #dataLines = 0;
  /** The only data line so far, still lying in the piece of the current call. */
  #viewFrom = -1;
  #viewTo = -1;
  readonly #data: ContentBuffer;
  #name = '';
  #retry: number | undefined;
  #id: string | undefined;

  /** @throws RangeError if `maxSize` is out of range. */
  constructor(options: SseDecoderOptions) {
    checkMaxSize(options.maxSize);
    this.#maxSize = options.maxSize;
    this.#data = new ContentBuffer(options.maxSize);
    this.#unsure = options.joined;
  }

  /** Bytes of memory held for what is not complete. */
  get held(): number {
    return this.#data.held + this.#value.held;
  }

  /**
   * Takes the next bytes.
   * @param bytes Read during the call only.
   * @param offset Place of `bytes[0]` in the source.
   * @param step How far in the source each byte is from the one before: 1, or 0 where all of these bytes come
   *   from one compressed piece at `offset`.
   */
  push(bytes: Buffer, offset: number, emit: EmitSseEvent, step: 0 | 1 = 1): void {
    const { length } = bytes;
    let at = this.#mark < 3 ? this.#skipMark(bytes, offset, step) : 0;
    let ascii: boolean | undefined;
    // The next of each, looked for again only when passed: every byte is looked at twice at most.
    let newline = -1;
    let carriage = -1;
    while (at < length) {
      if (this.#afterReturn) {
        this.#afterReturn = false;
        if (bytes[at] === NEWLINE) {
          if (this.#begun) this.#lineEnds++;
          at++;
          continue;
        }
      }
      if (newline < at) {
        newline = bytes.indexOf(NEWLINE, at);
        if (newline < 0) newline = length;
      }
      if (carriage < at) {
        carriage = bytes.indexOf(RETURN, at);
        if (carriage < 0) carriage = length;
      }
      const end = Math.min(newline, carriage);
      const blank = end === at && !this.#inLine;
      if (!blank) {
        if (!this.#begun && !this.#discard) {
          this.#begun = true;
          this.#offset = offset + at * step;
        }
        if (this.#begun) {
          this.#size += this.#lineEnds + end - at;
          this.#lineEnds = 0;
        }
      }
      if (end === length) {
        this.#inLine = true;
        if (!this.#discard) this.#part(bytes, at, end);
        break;
      }
      this.#afterReturn = bytes[end] === RETURN;
      if (blank) {
        // One look at all bytes saves one at each event's.
        if (this.#viewFrom >= 0) ascii ??= isAscii(bytes);
        this.#blankLine(bytes, ascii === true, emit);
      } else {
        if (this.#begun) this.#lineEnds++;
        if (!this.#inLine) this.#line(bytes, at, end);
        else {
          if (!this.#discard) {
            this.#part(bytes, at, end);
            this.#endParts();
          }
          this.#inLine = false;
        }
      }
      at = end + 1;
    }
    // The piece is gone after this call.
    this.#keepView(bytes);
  }

  /**
   * Bytes are missing here. The event begun is given up; if it had data, it is emitted as incomplete. Events
   * count again from behind the next blank line that surely is one: the first line end may be the end of a line
   * whose beginning is missing. The last event id is not known any more.
   */
  lost(emit: EmitSseEvent): void {
    this.#abandon('gap', emit);
    this.#mark = 3;
    this.#unsure = false;
    this.#afterReturn = false;
    this.#waitForBlank(true);
  }

  /**
   * No more bytes. An event without the blank line behind it is not dispatched (HTML standard, 9.2.6); if it had
   * data, it is emitted as incomplete.
   */
  end(reason: 'end' | 'gap' | 'stop', emit: EmitSseEvent): void {
    this.#abandon(reason, emit);
    this.#resetLine();
    this.#afterReturn = false;
  }

  /** @returns How many bytes at the beginning belong to a byte order mark. */
  #skipMark(bytes: Buffer, offset: number, step: 0 | 1): number {
    let at = 0;
    while (at < bytes.length && this.#mark < 3) {
      if (bytes[at] !== BYTE_ORDER_MARK[this.#mark]) {
        // What looked like a mark begins a line that no field begins like.
        if (this.#mark > 0) {
          this.#inLine = true;
          if (!this.#unsure || this.#joins(NONE)) {
            this.#begun = true;
            this.#offset = offset + (at - this.#mark) * step;
            this.#size = this.#mark;
            this.#field = NONE;
          }
        }
        this.#mark = 3;
        break;
      }
      this.#mark++;
      at++;
    }
    return at;
  }

  /** A line that lies wholly in the piece. */
  #line(bytes: Buffer, from: number, to: number): void {
    if (this.#discard) return;
    const [field, name] = fieldOf(bytes, from, to);
    if (this.#unsure && !this.#joins(field)) return;
    if (field === NONE) return;
    const start = valueStart(bytes, from, to, name);
    if (field !== DATA) {
      this.#setField(field, bytes, start, to);
    } else if (this.#dataLines++ === 0) {
      this.#viewFrom = start;
      this.#viewTo = to;
    } else {
      this.#keepView(bytes);
      this.#data.add(LINE_FEED, 0, 1);
      this.#data.add(bytes, start, to);
    }
  }

  /** A part of a line that does not lie wholly in one piece. */
  #part(bytes: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#field === undefined) {
      const wanted = Math.min(PREFIX - this.#prefixLength, to - from);
      bytes.copy(this.#prefix, this.#prefixLength, from, from + wanted);
      this.#prefixLength += wanted;
      at += wanted;
      if (this.#prefixLength < PREFIX) return;
      this.#beginValue(bytes);
      // It was no field, and the stream was joined there.
      if (this.#field === undefined) return;
    }
    if (this.#field === DATA) this.#data.add(bytes, at, to);
    else if (this.#field !== NONE) this.#value.add(bytes, at, to);
  }

  /** The first bytes of a line tell its field. */
  #beginValue(bytes: Buffer): void {
    const [field, name] = fieldOf(this.#prefix, 0, this.#prefixLength);
    if (this.#unsure && !this.#joins(field)) {
      this.#prefixLength = 0;
      return;
    }
    this.#field = field;
    if (field === NONE) return;
    const start = valueStart(this.#prefix, 0, this.#prefixLength, name);
    if (field === DATA) {
      this.#keepView(bytes);
      if (this.#dataLines++ > 0) this.#data.add(LINE_FEED, 0, 1);
      this.#data.add(this.#prefix, start, this.#prefixLength);
    } else {
      this.#value.add(this.#prefix, start, this.#prefixLength);
    }
  }

  /** The end of a line that came in parts. */
  #endParts(): void {
    if (this.#field === undefined && this.#prefixLength > 0) this.#beginValue(this.#prefix);
    const field = this.#field;
    if (field !== undefined && field !== NONE && field !== DATA) {
      const value = this.#value.bytes;
      this.#setField(field, value, 0, value.length);
    }
    this.#resetLine();
  }

  #resetLine(): void {
    this.#inLine = false;
    this.#field = undefined;
    this.#prefixLength = 0;
    this.#value.reset();
  }

  /** @returns Whether the first line of a stream joined in the middle begins an event. */
  #joins(field: Field): boolean {
    this.#unsure = false;
    if (field !== NONE) return true;
    this.#waitForBlank(this.#inLine);
    return false;
  }

  #waitForBlank(inLine: boolean): void {
    this.#resetEvent();
    this.#resetLine();
    this.#discard = true;
    this.#inLine = inLine;
  }

  #setField(field: Field, bytes: Buffer, from: number, to: number): void {
    const long = to - from > VALUE_MAX;
    if (field === EVENT) {
      this.#name = bytes.toString('utf8', from, long ? from + VALUE_MAX : to);
    } else if (field === ID) {
      const value = long ? '' : bytes.toString('utf8', from, to);
      if (!value.includes('\0')) this.#id = value === '' ? undefined : value;
    } else {
      const value = bytes.toString('latin1', from, Math.min(to, from + VALUE_MAX));
      const time = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
      if (Number.isSafeInteger(time)) this.#retry = time;
    }
  }

  /** Saves the data line that still lies in the piece. */
  #keepView(bytes: Buffer): void {
    if (this.#viewFrom < 0) return;
    this.#data.add(bytes, this.#viewFrom, this.#viewTo);
    this.#viewFrom = -1;
  }

  #blankLine(bytes: Buffer, ascii: boolean, emit: EmitSseEvent): void {
    if (this.#unsure) {
      // Perhaps the second half of a line end, perhaps a line of an event that has begun before.
      this.#joins(NONE);
    } else if (this.#discard) {
      this.#discard = false;
    } else if (this.#dataLines > 0) {
      let data: FrameContent;
      const size = this.#viewTo - this.#viewFrom;
      if (this.#viewFrom < 0) data = this.#data.take();
      else if (ascii && size <= this.#maxSize && size < LARGE_TEXT) {
        data = { type: 'text', text: bytes.toString('latin1', this.#viewFrom, this.#viewTo) };
      } else data = contentOf(bytes.subarray(this.#viewFrom, this.#viewTo), this.#maxSize);
      this.#dispatch(data, emit);
    }
    this.#resetEvent();
  }

  #dispatch(data: FrameContent, emit: EmitSseEvent): void {
    const name = this.#name === '' ? 'message' : this.#name;
    emit({ data, name, id: this.#id, retry: this.#retry, offset: this.#offset, size: this.#size });
  }

  #abandon(reason: 'end' | 'gap' | 'stop', emit: EmitSseEvent): void {
    if (this.#field === undefined && this.#prefixLength > 0) this.#beginValue(this.#prefix);
    if (this.#dataLines > 0) this.#dispatch(this.#data.takeIncomplete(reason), emit);
    this.#resetEvent();
    if (reason === 'gap') this.#id = undefined;
  }

  #resetEvent(): void {
    this.#begun = false;
    this.#size = 0;
    this.#lineEnds = 0;
    this.#dataLines = 0;
    this.#viewFrom = -1;
    this.#data.reset();
    this.#name = '';
    this.#retry = undefined;
  }
}
