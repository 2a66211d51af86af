// SPDX-License-Identifier: Apache-2.0
/**
 * Validates a large JSON text and finds its members without building anything: a parsed
 * message of a megabyte costs a megabyte of garbage, and we only want to know where its
 * parts begin. It knows less than JSON.parse: what it does not accept may still be JSON.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** Deeper texts are left to JSON.parse. */
const MAX_DEPTH = 512;
/** So many top-level members are more than any message has. */
const MAX_MEMBERS = 64;

/** Where a value lies: from its first byte to after its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Does any byte stand for a control character? Valid JSON has them only as white space between tokens. */
export function hasControl(bytes: Buffer): boolean {
  // Whole words from the first aligned byte on; the few around them one by one.
  const lead = Math.min((4 - (bytes.byteOffset & 3)) & 3, bytes.length);
  const words = (bytes.length - lead) >> 2;
  for (let at = 0; at < lead; at++) if ((bytes[at] ?? 0) < SPACE) return true;
  for (let at = lead + 4 * words; at < bytes.length; at++) if ((bytes[at] ?? 0) < SPACE) return true;
  if (words === 0) return false;
  const view = new Int32Array(bytes.buffer, bytes.byteOffset + lead, words);
  let found = 0;
  // Only a byte below 0x20 borrows from its own top bit (Hacker's Delight, 6-1).
  let at = 0;
  for (; at + 4 <= words; at += 4) {
    const a = view[at] as number;
    const b = view[at + 1] as number;
    const c = view[at + 2] as number;
    const d = view[at + 3] as number;
    found |=
      ((a - 0x20202020) & ~a) | ((b - 0x20202020) & ~b) | ((c - 0x20202020) & ~c) | ((d - 0x20202020) & ~d);
  }
  for (; at < words; at++) {
    const word = view[at] as number;
    found |= (word - 0x20202020) & ~word;
  }
  return (found & 0x80808080) !== 0;
}

/**
 * The members of the object that fills `bytes`, or `undefined` when this is not surely valid
 * JSON: then ask JSON.parse. `bytes` must be valid UTF-8. With duplicate keys, or keys that
 * are written with escapes, the answer is `undefined` too.
 */
export function objectSpans(bytes: Buffer): ReadonlyMap<string, Span> | undefined {
  return hasControl(bytes) ? undefined : partSpans(bytes);
}

/** The same for a part of a text that `objectSpans` has accepted. */
export function partSpans(bytes: Buffer): ReadonlyMap<string, Span> | undefined {
  return new Scanner(bytes).object();
}

class Scanner {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  object(): ReadonlyMap<string, Span> | undefined {
    const members = new Map<string, Span>();
    if (this.#token() !== OPEN_OBJECT) return undefined;
    this.#at++;
    if (this.#token() === CLOSE_OBJECT) this.#at++;
    else
      for (;;) {
        const keyStart = this.#at + 1;
        if (this.#token() !== QUOTE || !this.#string()) return undefined;
        const key = this.#bytes.toString('utf8', keyStart, this.#at - 1);
        if (key.includes('\\') || members.has(key) || members.size === MAX_MEMBERS) return undefined;
        if (this.#token() !== COLON) return undefined;
        this.#at++;
        this.#token();
        const start = this.#at;
        if (!this.#value()) return undefined;
        members.set(key, { start, end: this.#at });
        const next = this.#token();
        this.#at++;
        if (next === CLOSE_OBJECT) break;
        if (next !== COMMA) return undefined;
        this.#token();
      }
    this.#token();
    return this.#at === this.#bytes.length ? members : undefined;
  }

  /** Steps over spaces. @returns the byte that is next. */
  #token(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    while (bytes[at] === SPACE) at++;
    this.#at = at;
    return bytes[at] ?? 0;
  }

  /** A value of any depth, without recursion. */
  #value(): boolean {
    /** Closing bytes still expected. */
    const closers: number[] = [];
    for (;;) {
      const byte = this.#token();
      if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (closers.length === MAX_DEPTH) return false;
        const closer = byte === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY;
        this.#at++;
        if (this.#token() === closer) this.#at++;
        else {
          closers.push(closer);
          if (closer === CLOSE_OBJECT && !this.#key()) return false;
          continue;
        }
      } else if (!(byte === QUOTE ? this.#string() : this.#scalar(byte))) return false;
      // After a value: up as many levels as close here, then on to the next value or out.
      for (;;) {
        const closer = closers.at(-1);
        if (closer === undefined) return true;
        const next = this.#token();
        this.#at++;
        if (next === COMMA) {
          if (closer === CLOSE_OBJECT && !this.#key()) return false;
          break;
        }
        if (next !== closer) return false;
        closers.pop();
      }
    }
  }

  #key(): boolean {
    if (this.#token() !== QUOTE || !this.#string() || this.#token() !== COLON) return false;
    this.#at++;
    return true;
  }

  /** From the opening quote to after the closing one; escapes are checked, the rest needs no look. */
  #string(): boolean {
    const bytes = this.#bytes;
    let from = this.#at + 1;
    let quote = bytes.indexOf(QUOTE, from);
    for (;;) {
      if (quote < 0) return false;
      const backslash = indexBefore(bytes, BACKSLASH, from, quote);
      if (backslash < 0) break;
      const length = escapeLength(bytes, backslash + 1);
      if (length === 0) return false;
      from = backslash + 1 + length;
      if (quote < from) quote = bytes.indexOf(QUOTE, from);
    }
    this.#at = quote + 1;
    return true;
  }

  #scalar(first: number): boolean {
    const bytes = this.#bytes;
    let end = this.#at;
    for (;;) {
      const byte = bytes[end] ?? COMMA;
      if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || byte === SPACE) break;
      end++;
    }
    // Longer numbers exist, but not on this path.
    if (end - this.#at > 400) return false;
    const text = bytes.toString('latin1', this.#at, end);
    this.#at = end;
    if (first === 0x74 || first === 0x66 || first === 0x6e)
      return text === 'true' || text === 'false' || text === 'null';
    return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text);
  }
}

/** How far a native search may look for an escape at first: short strings are searched here. */
const NEAR = 32;

function indexBefore(bytes: Buffer, byte: number, from: number, end: number): number {
  if (end - from > NEAR) {
    const found = bytes.subarray(from, end).indexOf(byte);
    return found < 0 ? -1 : from + found;
  }
  for (let at = from; at < end; at++) if (bytes[at] === byte) return at;
  return -1;
}

/** Bytes of the escape after the backslash; 0 when it is none (RFC 8259, section 7). */
function escapeLength(bytes: Buffer, at: number): number {
  const byte = bytes[at] ?? 0;
  if (byte !== 0x75) return '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0;
  return /^[0-9a-fA-F]{4}$/.test(bytes.toString('latin1', at + 1, at + 5)) ? 5 : 0;
}
