// SPDX-License-Identifier: Apache-2.0
/**
 * Where the values of a JSON text stand in it, so that they can be passed on exactly as written: digits of big
 * integers, escapes and the order of members survive. The text must already have been accepted by
 * `JSON.parse`. For any other text the spans mean nothing, but the scan still ends in linear time and never
 * throws. Nothing here recurses: depth is limited by memory alone.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A quote this near, in UTF-16 code units, is found sooner by looking than by a call of `indexOf`. */
const NEAR = 12;

/** Up to this many members comparing every pair is quicker than a set. */
const FEW = 8;

/** The members of one JSON object. Its strings may share memory with the whole text and so keep it alive. */
export interface Members {
  /**
   * Exact source text of a member's value, without the white space around it; of the last one if there are
   * several, like `JSON.parse`.
   * @param key The unescaped key.
   */
  get(key: string): string | undefined;
  /** Unescaped keys that occur more than once, each named once. */
  readonly duplicates: readonly string[];
}

/** White space of RFC 8259, section 2. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Position of the quote that closes the string whose first character is at `from`; the text's length if none. */
function closingQuote(text: string, from: number): number {
  const near = Math.min(from + NEAR, text.length);
  let at = from;
  for (; at < near; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === BACKSLASH) break;
  }
  const start = at;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let run = quote;
    while (run > start && text.charCodeAt(run - 1) === BACKSLASH) run--;
    // An even number of backslashes escape each other and leave the quote bare.
    if (((quote - run) & 1) === 0) return quote;
    at = quote + 1;
  }
}

/** Position after the array or object that opens at `from`. */
function afterNested(text: string, from: number): number {
  const length = text.length;
  let depth = 0;
  for (let at = from; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = closingQuote(text, at + 1);
      continue;
    }
    if (code < OPEN_BRACKET) continue;
    // `{` and `}` are `[` and `]` with one more bit.
    const bracket = code & ~0x20;
    if (bracket === OPEN_BRACKET) depth++;
    else if (bracket === CLOSE_BRACKET && --depth === 0) return at + 1;
  }
  return length;
}

/** Position after the value that begins at `from`; at least `from`, at most the text's length. */
function afterValue(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return Math.min(closingQuote(text, from + 1) + 1, text.length);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return afterNested(text, from);
  let at = from;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isSpace(code)) break;
  }
  return at;
}

/** What `"…"` between two positions stands for. */
function keyBetween(text: string, start: number, end: number): string {
  const raw = text.slice(start, end);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    return raw;
  }
}

function repeated(keys: readonly string[]): readonly string[] {
  const found = new Set<string>();
  if (keys.length <= FEW) {
    for (let i = 1; i < keys.length; i++) {
      const key = keys[i] as string;
      for (let j = 0; j < i; j++) if (keys[j] === key) found.add(key);
    }
  } else {
    const seen = new Set<string>();
    for (const key of keys) if (seen.size === seen.add(key).size) found.add(key);
  }
  return [...found];
}

class Spans implements Members {
  readonly #text: string;
  readonly #keys: string[] = [];
  /** Start and end of each value, by twice the index of its key. */
  readonly #spans: number[] = [];

  constructor(text: string) {
    this.#text = text;
    let at = skipSpace(text, 0);
    if (text.charCodeAt(at) !== OPEN_BRACE) return;
    at = skipSpace(text, at + 1);
    while (text.charCodeAt(at) === QUOTE) {
      const keyEnd = closingQuote(text, at + 1);
      const colon = skipSpace(text, keyEnd + 1);
      if (text.charCodeAt(colon) !== COLON) return;
      const start = skipSpace(text, colon + 1);
      const end = afterValue(text, start);
      this.#keys.push(keyBetween(text, at + 1, keyEnd));
      this.#spans.push(start, end);
      const comma = skipSpace(text, end);
      if (text.charCodeAt(comma) !== COMMA) return;
      at = skipSpace(text, comma + 1);
    }
  }

  get(key: string): string | undefined {
    const index = this.#keys.lastIndexOf(key);
    return index < 0 ? undefined : this.#text.slice(this.#spans[index * 2], this.#spans[index * 2 + 1]);
  }

  get duplicates(): readonly string[] {
    return this.#keys.length < 2 ? [] : repeated(this.#keys);
  }
}

/**
 * Exact source text of each top-level member.
 * @param text Valid JSON; what is not an object has no members.
 */
export function objectMembers(text: string): Members {
  return new Spans(text);
}

/**
 * Exact source text of each element of a top-level array, without the white space around it. Strings may share
 * memory with the whole text and so keep it alive.
 * @param text Valid JSON; what is not an array has no elements.
 */
export function arrayElements(text: string): string[] {
  const elements: string[] = [];
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACKET) return elements;
  at = skipSpace(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = afterValue(text, at);
    elements.push(text.slice(at, end));
    const comma = skipSpace(text, end);
    if (text.charCodeAt(comma) !== COMMA) break;
    at = skipSpace(text, comma + 1);
  }
  return elements;
}
