// SPDX-License-Identifier: Apache-2.0
/** Where a direction of HTTP/1 can be read again after its place was lost: what the bytes of a call begin with. */
import type { Side } from './http.ts';
import { canBegin, parseRequestLine, START_PREFIX, STATUS_PREFIX } from './http1-head.ts';

/**
 * What begins here: a message's head; a chunk of an event stream, with its size; text of an event stream; nothing
 * that can be told; or more bytes are needed.
 */
export type Beginning = 'head' | 'chunk' | 'events' | 'unknown' | 'more';

/** Bytes of the longest request line that is looked for. */
const REQUEST_LINE_MAX = 16 << 10;
/** Bytes that tell a status line, or a chunk's size with its extension and a field's name or a comment. */
const RESPONSE_MAX = 512;

const NEWLINE = 0x0a;

/** A field of an event stream (HTML standard, 9.2.5), the colon included. */
const FIELDS = ['event:', 'data:', 'id:', 'retry:'];
/** A comment is a colon and text; the binary data that begins with a colon has no line of text there. */
const COMMENT = /^:[\t -~\x80-\xff]{0,250}[\r\n]/;
const COMMENT_BEGINNING = /^:[\t -~\x80-\xff]{0,250}$/;
const CHUNK_SIZE = /^[0-9A-Fa-f]{1,8}[ \t]{0,8}(?:;[^\r\n]{0,200})?\r?\n/;
const CHUNK_SIZE_BEGINNING = /^[0-9A-Fa-f]{1,8}[ \t]{0,8}(?:;[^\r\n]{0,200})?\r?$/;

/**
 * Looks at the bytes from a call's beginning on, without line ends before them.
 * @param bytes At least one.
 * @param seen How many of them were there when `more` was the answer; 0 for the first time. Time is linear in
 *   what is new, but for a constant number of bytes.
 */
export function beginningOf(side: Side, bytes: Buffer, seen: number): Beginning {
  return side === 'request' ? requestBeginning(bytes, seen) : responseBeginning(bytes);
}

function requestBeginning(bytes: Buffer, seen: number): Beginning {
  const newline = bytes.subarray(0, REQUEST_LINE_MAX).indexOf(NEWLINE, seen);
  if (newline >= 0) {
    const end = bytes[newline - 1] === 0x0d ? newline - 1 : newline;
    return parseRequestLine(bytes.toString('latin1', 0, end)) ? 'head' : 'unknown';
  }
  if (bytes.length >= REQUEST_LINE_MAX) return 'unknown';
  if (seen >= START_PREFIX) return 'more';
  const prefix = bytes.toString('latin1', 0, Math.min(bytes.length, START_PREFIX));
  return canBegin('request', prefix) ? 'more' : 'unknown';
}

function responseBeginning(bytes: Buffer): Beginning {
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, RESPONSE_MAX));
  if (canBegin('response', text.slice(0, START_PREFIX)))
    return bytes.length < STATUS_PREFIX ? 'more' : 'head';
  const size = CHUNK_SIZE.exec(text)?.[0];
  if (size !== undefined) {
    const behind = eventsBegin(text.slice(size.length));
    return behind === 'events' ? 'chunk' : behind;
  }
  const events = eventsBegin(text);
  return events === 'unknown' && CHUNK_SIZE_BEGINNING.test(text) ? 'more' : events;
}

function eventsBegin(text: string): 'events' | 'more' | 'unknown' {
  if (FIELDS.some((field) => text.startsWith(field)) || COMMENT.test(text)) return 'events';
  return FIELDS.some((field) => field.startsWith(text)) || COMMENT_BEGINNING.test(text) ? 'more' : 'unknown';
}

/** Do the bytes begin with a status line, for certain? */
export function beginsResponse(bytes: Buffer): boolean {
  return bytes[0] === 0x48 && responseBeginning(bytes) === 'head';
}
