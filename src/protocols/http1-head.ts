// SPDX-License-Identifier: Apache-2.0
/** Heads of HTTP/1 messages (RFC 9112, sections 2 to 5): finding their end in bytes that come in pieces, and parsing. */
import { Headers, type HttpVersion, type Side } from './http.ts';
import { GatheredBytes } from './http1-gathered.ts';

/** Bytes of the largest head that is read, and of the largest trailer section. */
export const HEAD_MAX = 256 << 10;

/** So many bytes tell whether a start line can begin like this. */
export const START_PREFIX = 40;
/** So many tell a status line. */
export const STATUS_PREFIX = 13;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const COLON = 0x3a;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]";
/** A method longer than any that is registered, so that binary data or text is not taken for one. */
const METHOD = `${TOKEN}{1,32}`;
const REQUEST_LINE = new RegExp(`^(${METHOD}) +([^\\x00-\\x20\\x7f]+) +HTTP/1\\.(\\d)[ \\t]*$`);
const REQUEST_BEGINNING = new RegExp(`^${METHOD}(?:$| +(?:$|[^\\x00-\\x20\\x7f]))`);
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-9]\d\d)(?:[ \t]|$)/;
const VERSION = 'HTTP/1.';
const STATUS_INCOMPLETE = /^HTTP\/1\.\d(?: (?:[1-9]\d{0,2})?)?$/;
const STATUS_BEGINNING = /^HTTP\/1\.\d [1-9]\d\d[ \t\r\n]/;
const NAME = new RegExp(`^${TOKEN}+$`);

export interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly version: HttpVersion;
}

export interface StatusLine {
  readonly status: number;
  readonly version: HttpVersion;
}

/** A later minor version is understood as the last one known (RFC 9110, section 2.5). */
function versionOf(minor: string | undefined): HttpVersion {
  return minor === '0' ? '1.0' : '1.1';
}

/** @param line Without its line end. @returns `undefined` if it is no request line of HTTP/1 (RFC 9112, section 3). */
export function parseRequestLine(line: string): RequestLine | undefined {
  const [, method, target, minor] = REQUEST_LINE.exec(line) ?? [];
  return method && target ? { method, target, version: versionOf(minor) } : undefined;
}

/** @param line Without its line end. @returns `undefined` if it is no status line of HTTP/1 (RFC 9112, section 4). */
export function parseStatusLine(line: string): StatusLine | undefined {
  const [, minor, status] = STATUS_LINE.exec(line) ?? [];
  return status ? { status: Number(status), version: versionOf(minor) } : undefined;
}

/** Can a start line of this side begin with these bytes? @param prefix Its first bytes, at most `START_PREFIX`. */
export function canBegin(side: Side, prefix: string): boolean {
  if (side === 'request') return REQUEST_BEGINNING.test(prefix);
  if (prefix.length <= VERSION.length) return VERSION.startsWith(prefix);
  return prefix.length < STATUS_PREFIX ? STATUS_INCOMPLETE.test(prefix) : STATUS_BEGINNING.test(prefix);
}

/** Without the CR that belongs to the line end; a bare LF ends a line, too (RFC 9112, section 2.2). */
function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}

/** Without spaces and tabs at either end. In linear time, which a regular expression for the end is not. */
function trim(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

export interface Head {
  /** The start line, without its line end. */
  readonly start: string;
  readonly headers: Headers;
}

/**
 * Parses a whole head. A line that is no header field is left out: it says nothing about where the message ends.
 * Folded lines (RFC 9112, section 5.2) are joined with one space, and a CR inside a value becomes a space
 * (section 2.2).
 * @param text Up to and including the empty line, as latin1.
 */
export function parseHead(text: string): Head {
  const fields: [name: string, value: string][] = [];
  const startEnd = lineEnd(text, 0);
  let last: [name: string, value: string] | undefined;
  for (let from = startEnd + 1; from < text.length; ) {
    const end = lineEnd(text, from);
    if (isBlank(text.charCodeAt(from))) {
      const more = fieldValue(text, from, end);
      if (last && more !== '') last[1] += last[1] === '' ? more : ` ${more}`;
    } else {
      last = parseField(text, from, end);
      if (last) fields.push(last);
    }
    from = end + 1;
  }
  return { start: withoutReturn(text.slice(0, startEnd)), headers: new Headers(fields) };
}

/** Where the line that begins at `from` ends. */
function lineEnd(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  return newline < 0 ? text.length : newline;
}

/** `undefined` if the line is none. */
function parseField(text: string, from: number, end: number): [name: string, value: string] | undefined {
  let colon = from;
  while (colon < end && text.charCodeAt(colon) !== COLON) colon++;
  if (colon === end) return undefined;
  const name = trim(text, from, colon);
  return NAME.test(name) ? [name.toLowerCase(), fieldValue(text, colon + 1, end)] : undefined;
}

function fieldValue(text: string, from: number, end: number): string {
  const value = trim(text, from, text.charCodeAt(end - 1) === RETURN ? end - 1 : end);
  return value.includes('\r') ? spaced(value) : value;
}

function spaced(value: string): string {
  const text = value.replaceAll('\r', ' ');
  return trim(text, 0, text.length);
}

/** Where in a line the last byte was. */
type Place = 'begin' | 'return' | 'within';

/** Gathers one head. Copies only one that does not lie wholly in a piece. */
export class HeadReader {
  readonly #side: Side;
  readonly #gathered = new GatheredBytes();
  #place: Place = 'begin';
  #offset = 0;
  /** Bytes of the start line, once it is there. */
  #startLine: number | undefined;
  #checked = false;
  #text: string | undefined;
  #faulty = false;

  constructor(side: Side) {
    this.#side = side;
  }

  /** Has none of its bytes come yet? Line ends before a start line belong to no message (RFC 9112, section 2.2). */
  get empty(): boolean {
    return this.#gathered.length === 0;
  }

  /** Place of its first byte. */
  get offset(): number {
    return this.#offset;
  }

  /** The head as latin1, when it is complete. */
  get text(): string | undefined {
    return this.#text;
  }

  /** It is larger than `HEAD_MAX`, or begins as no head does. */
  get faulty(): boolean {
    return this.#faulty;
  }

  /** What came of a head that is not complete. */
  get gathered(): Buffer {
    return this.#gathered.bytes;
  }

  /**
   * Takes what follows in a piece. Not to be called again once the head is complete or faulty.
   * @param from Index of the first byte to read.
   * @param offset Place of `bytes[0]`.
   * @returns Index behind the last byte that was read.
   */
  push(bytes: Buffer, from: number, offset: number): number {
    let at = from;
    if (this.empty) {
      while (bytes[at] === RETURN || bytes[at] === NEWLINE) at++;
      if (at >= bytes.length) return at;
      this.#offset = offset + at;
    }
    const start = at;
    const before = this.#gathered.length;
    let complete = false;
    while (at < bytes.length && !complete) {
      const byte = bytes[at];
      if (this.#place === 'within') {
        const newline = bytes.indexOf(NEWLINE, at);
        at = newline < 0 ? bytes.length : newline + 1;
        if (newline < 0) break;
        this.#startLine ??= before + newline - start;
        this.#place = 'begin';
      } else {
        at++;
        if (byte === NEWLINE) complete = true;
        else this.#place = byte === RETURN && this.#place === 'begin' ? 'return' : 'within';
      }
    }
    if (before + at - start > HEAD_MAX) this.#faulty = true;
    else if (complete && before === 0) this.#text = bytes.toString('latin1', start, at);
    else {
      this.#gathered.add(bytes, start, at);
      if (complete) this.#text = this.#gathered.bytes.toString('latin1');
      else this.#check(before);
    }
    return at;
  }

  /** So that what is no head is not gathered up to the largest size of one. */
  #check(before: number): void {
    if (this.#checked) return;
    const { bytes } = this.#gathered;
    if (this.#startLine !== undefined) {
      const line = withoutReturn(bytes.toString('latin1', 0, this.#startLine));
      const parsed = this.#side === 'request' ? parseRequestLine(line) : parseStatusLine(line);
      this.#checked = true;
      this.#faulty = !parsed;
    } else if (before < START_PREFIX) {
      this.#faulty = !canBegin(this.#side, bytes.toString('latin1', 0, Math.min(bytes.length, START_PREFIX)));
    }
  }
}
