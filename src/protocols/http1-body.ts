// SPDX-License-Identifier: Apache-2.0
/** Bodies of HTTP/1 messages: how long they are (RFC 9112, section 6.3), and reading them as the bytes come. */
import type { Headers } from './http.ts';
import { HEAD_MAX } from './http1-head.ts';

/**
 * How the end of a body is told: there is none, by its chunks, by the connection's end, by its number of bytes
 * (1 or more); or the head contradicts itself and nobody can know.
 */
export type Framing = 'none' | 'chunked' | 'close' | 'faulty' | number;

/** Bytes of the longest chunk extension that is passed over. */
const EXTENSION_MAX = 16 << 10;

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** The members of a comma-separated list, in lower case. */
function members(value: string): string[] {
  return value.split(',').map((member) => member.trim().toLowerCase());
}

/** `undefined` if there is no such field. The same value several times counts once (RFC 9112, section 6.3, 5). */
function contentLength(headers: Headers): Framing | undefined {
  const value = headers.list('content-length');
  if (value === undefined) return undefined;
  const lengths = new Set(members(value).map((each) => (/^\d+$/.test(each) ? Number(each) : Number.NaN)));
  const [length = Number.NaN] = lengths;
  if (lengths.size !== 1 || !Number.isSafeInteger(length)) return 'faulty';
  return length === 0 ? 'none' : length;
}

/** `undefined` without a transfer coding; else whether `chunked` is the last one, which it then alone decides. */
function endsInChunked(headers: Headers): boolean | undefined {
  const codings = members(headers.list('transfer-encoding') ?? '').filter((coding) => coding !== '');
  return codings.length === 0 ? undefined : codings.at(-1) === 'chunked';
}

/** The body of a request (RFC 9112, section 6.3, 3 to 7). */
export function requestFraming(headers: Headers): Framing {
  const chunked = endsInChunked(headers);
  if (chunked !== undefined) return chunked ? 'chunked' : 'faulty';
  return contentLength(headers) ?? 'none';
}

/**
 * The body of a final response that does not open a tunnel (RFC 9112, section 6.3, 1 to 8).
 * @param method Of the request; `undefined`, where it is not known, counts as GET.
 */
export function responseFraming(headers: Headers, status: number, method: string | undefined): Framing {
  if (method === 'HEAD' || status === 204 || status === 304) return 'none';
  const chunked = endsInChunked(headers);
  if (chunked !== undefined) return chunked ? 'chunked' : 'close';
  return contentLength(headers) ?? 'close';
}

/** What a chunked body's next byte belongs to (RFC 9112, section 7.1). */
type ChunkPart =
  | 'size'
  | 'extension'
  | 'size-newline'
  | 'data'
  | 'data-return'
  | 'data-newline'
  /** The beginning of a line of the trailer section, behind its CR, and further on. */
  | 'trailer'
  | 'trailer-return'
  | 'trailer-line';

const SPACE = 0x20;
const TAB = 0x09;
const SEMICOLON = 0x3b;

/** The value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Reads one body and hands on its bytes as views of what came. Holds none of them. */
export class BodyReader {
  readonly #kind: 'length' | 'chunked' | 'close';
  readonly #deliver: (bytes: Buffer, offset: number) => void;
  /** Bytes to come of the body, or of the chunk. */
  #remaining: number;
  #part: ChunkPart = 'size';
  #digits = 0;
  /** Bytes of this extension, or of the trailer section. */
  #passed = 0;
  #state: 'open' | 'complete' | 'faulty' = 'open';

  constructor(framing: 'chunked' | 'close' | number, deliver: (bytes: Buffer, offset: number) => void) {
    this.#kind = typeof framing === 'number' ? 'length' : framing;
    this.#remaining = typeof framing === 'number' ? framing : 0;
    this.#deliver = deliver;
  }

  /** `complete`: the byte behind it was reached; `faulty`: its framing is broken, or bytes of it are lost. */
  get state(): 'open' | 'complete' | 'faulty' {
    return this.#state;
  }

  /** Does it end with the connection? */
  get untilClose(): boolean {
    return this.#kind === 'close';
  }

  /**
   * Takes what follows in a piece.
   * @param from Index of the first byte to read.
   * @param offset Place of `bytes[0]`.
   * @returns Index behind the last byte that was read.
   */
  push(bytes: Buffer, from: number, offset: number): number {
    if (this.#kind === 'close') {
      this.#hand(bytes, from, bytes.length, offset);
      return bytes.length;
    }
    let at = from;
    while (at < bytes.length && this.#state === 'open') {
      if (this.#kind === 'length' || this.#part === 'data') {
        const end = Math.min(bytes.length, at + this.#remaining);
        this.#hand(bytes, at, end, offset);
        this.#counted(end - at);
        at = end;
      } else {
        at = this.#frame(bytes, at);
      }
    }
    return at;
  }

  /**
   * Bytes are missing here. If they can all be counted as data, the body goes on behind them; else it is faulty.
   * @returns How many of them surely belong to the body's data.
   */
  gap(bytes: number): number {
    if (this.#kind === 'close') return bytes;
    const lost = this.#kind === 'length' || this.#part === 'data' ? Math.min(bytes, this.#remaining) : 0;
    if (lost < bytes) this.#state = 'faulty';
    else this.#counted(lost);
    return lost;
  }

  #hand(bytes: Buffer, from: number, to: number, offset: number): void {
    if (to > from) this.#deliver(bytes.subarray(from, to), offset + from);
  }

  /** So many bytes of data are done with. */
  #counted(bytes: number): void {
    this.#remaining -= bytes;
    if (this.#remaining > 0) return;
    if (this.#kind === 'length') this.#state = 'complete';
    else this.#part = 'data-return';
  }

  /** Reads a byte of the chunks' framing, or what can be passed over. @returns Index behind it. */
  #frame(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0;
    switch (this.#part) {
      case 'size':
        this.#size(byte);
        break;
      case 'extension':
        return this.#passLine(bytes, at, EXTENSION_MAX, () => this.#sizeEnds());
      case 'size-newline':
        this.#expect(byte, () => this.#sizeEnds());
        break;
      case 'data-return':
        if (byte === RETURN) this.#part = 'data-newline';
        else this.#expect(byte, () => this.#chunkEnds());
        break;
      case 'data-newline':
        this.#expect(byte, () => this.#chunkEnds());
        break;
      case 'trailer':
        if (byte === NEWLINE) this.#state = 'complete';
        else this.#trailer(byte === RETURN ? 'trailer-return' : 'trailer-line');
        break;
      case 'trailer-return':
        if (byte === NEWLINE) this.#state = 'complete';
        else this.#trailer('trailer-line');
        break;
      default:
        return this.#passLine(bytes, at, HEAD_MAX, () => {
          this.#part = 'trailer';
        });
    }
    return at + 1;
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#remaining = this.#remaining * 16 + digit;
      this.#digits++;
      if (!Number.isSafeInteger(this.#remaining)) this.#state = 'faulty';
    } else if (this.#digits === 0) this.#state = 'faulty';
    else if (byte === RETURN) this.#part = 'size-newline';
    else if (byte === SEMICOLON || byte === SPACE || byte === TAB) this.#part = 'extension';
    else this.#expect(byte, () => this.#sizeEnds());
  }

  #sizeEnds(): void {
    this.#digits = 0;
    this.#passed = 0;
    this.#part = this.#remaining > 0 ? 'data' : 'trailer';
  }

  #chunkEnds(): void {
    this.#part = 'size';
  }

  #trailer(part: ChunkPart): void {
    this.#passed++;
    this.#part = part;
  }

  #expect(byte: number, then: () => void): void {
    if (byte === NEWLINE) then();
    else this.#state = 'faulty';
  }

  /** Passes over the rest of a line. */
  #passLine(bytes: Buffer, at: number, max: number, then: () => void): number {
    const newline = bytes.indexOf(NEWLINE, at);
    const end = newline < 0 ? bytes.length : newline + 1;
    this.#passed += end - at;
    if (this.#passed > max) this.#state = 'faulty';
    else if (newline >= 0) then();
    return end;
  }
}
