// SPDX-License-Identifier: Apache-2.0
/** Text of the wire as part of a line: JSON strings, and JSON that must not contain a line break. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Text is escaped in windows of this size (UTF-16 units); of large text, those that need no escape are not copied. */
const WINDOW = 8192;

/** Methods, tool names, hosts: a few, again and again. */
const quotedNames = new Map<string, string>();
const MAX_QUOTED = 1024;
const MAX_NAME_LENGTH = 64;

/** The JSON string for a text that is likely to come again. */
export function quoteName(name: string): string {
  const known = quotedNames.get(name);
  if (known !== undefined) return known;
  const quoted = JSON.stringify(name);
  if (name.length <= MAX_NAME_LENGTH) {
    if (quotedNames.size >= MAX_QUOTED) quotedNames.clear();
    quotedNames.set(name, quoted);
  }
  return quoted;
}

/** In valid JSON a raw line break can only stand between tokens, where a space means the same. */
export function onOneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replace(/[\n\r]/g, ' ') : json;
}

/** Appends the JSON string for `json`, which must be valid JSON text. */
export function pushQuoted(parts: string[], json: string): void {
  if (json.length <= WINDOW) {
    parts.push(JSON.stringify(json));
    return;
  }
  parts.push('"');
  for (let start = 0; start < json.length; ) {
    let end = start + WINDOW;
    // A pair cut in two would be two lone surrogates.
    if (isHighSurrogate(json.charCodeAt(end - 1))) end++;
    const window = json.slice(start, end);
    parts.push(isClean(window) ? window : JSON.stringify(window).slice(1, -1));
    start = end;
  }
  parts.push('"');
}

/**
 * Does this window of valid JSON stand for itself inside a JSON string? Every test is one vectorised search;
 * of the control characters, valid JSON can contain only these three.
 */
function isClean(window: string): boolean {
  return (
    !window.includes('"') &&
    !window.includes('\\') &&
    !window.includes('\n') &&
    !window.includes('\r') &&
    !window.includes('\t') &&
    window.isWellFormed()
  );
}

/** With more to escape than this, one pass over a string is faster. */
const MAX_ESCAPES = 4096;

/** Appends the JSON string for UTF-8 text without control characters. @returns false, with nothing appended, if that is slow. */
export function pushQuotedBytes(parts: (string | Buffer)[], bytes: Buffer): boolean {
  const begin = parts.length;
  parts.push('"');
  let start = 0;
  let quote = bytes.indexOf(QUOTE);
  let backslash = bytes.indexOf(BACKSLASH);
  while (quote >= 0 || backslash >= 0) {
    const at = backslash < 0 || (quote >= 0 && quote < backslash) ? quote : backslash;
    parts.push(bytes.subarray(start, at), at === quote ? '\\"' : '\\\\');
    start = at + 1;
    if (at === quote) quote = bytes.indexOf(QUOTE, start);
    else backslash = bytes.indexOf(BACKSLASH, start);
    if (parts.length - begin > 2 * MAX_ESCAPES) {
      parts.length = begin;
      return false;
    }
  }
  parts.push(bytes.subarray(start), '"');
  return true;
}

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}
