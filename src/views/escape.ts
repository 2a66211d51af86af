// SPDX-License-Identifier: Apache-2.0

/** Nothing but printable ASCII: the common case, and quick to tell. */
const PLAIN = /^[\x20-\x7e]*$/;

/**
 * What could move the cursor, reorder, hide or impersonate: control characters (C0, DEL, C1), format
 * characters (bidi controls, zero width, BOM), lone surrogates, line and paragraph separators, and the whole
 * block of tags, assigned or not. See Unicode TR 36 and "Trojan Source" (CVE-2021-42574).
 */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u{e0000}-\u{e007f}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Makes captured text safe for a terminal: on one line, and nothing in it invisible or obeyed. Line breaks
 * and tabs become `\n`, `\r`, `\t`, other bytes `\x1b`, other characters `\u{202e}`. Backslashes stay as
 * they are: the result is for eyes, not for parsing back.
 *
 * @param maxLength most characters (code points) of the result; what is cut off is replaced by `…`, and
 * nothing is cut within an escape. At least 1.
 */
export function escapeControl(text: string, maxLength: number = Number.POSITIVE_INFINITY): string {
  if (text.length > maxLength) return escapeHead(text, maxLength);
  if (PLAIN.test(text)) return text;
  const escaped = text.replace(HOSTILE, escapeOne);
  return escaped.length > maxLength ? escapeHead(text, maxLength) : escaped;
}

/** Reads no more of `text` than fits. */
function escapeHead(text: string, maxLength: number): string {
  let result = '';
  let length = 0;
  /** `result` at its longest that leaves room for the ellipsis. */
  let cut = '';
  for (const character of text) {
    const escaped = character.replace(HOSTILE, escapeOne);
    // An escape is ASCII; anything else is the one character.
    length += escaped === character ? 1 : escaped.length;
    if (length > maxLength) return `${cut}…`;
    result += escaped;
    if (length < maxLength) cut = result;
  }
  return result;
}

function escapeOne(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return SHORT[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`);
}
