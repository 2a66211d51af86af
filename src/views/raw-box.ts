// SPDX-License-Identifier: Apache-2.0
import { escapeControl } from './escape.ts';

/** Larger text (UTF-16 units) is shown as it is. */
const MAX_INDENTED = 1 << 20;
/** Deeper nesting is shown as it is: the indentation would outgrow the text. */
const MAX_DEPTH = 64;

/** A string, a structural character, or any other run without white space. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s"[\]{},:]+/gs;

/** Captured text in a frame, safe for the terminal; JSON is indented. No line end after the last line. */
export function formatRawBox(raw: string, isJson: boolean): string {
  const text = (isJson ? indentJson(raw) : undefined) ?? raw;
  const lines = text.split('\n').map((line) => `│ ${escapeControl(line)}\n`);
  return `┌────\n${lines.join('')}└────`;
}

/**
 * Indents valid JSON without reading its values, so that every number, duplicate key and escape stays as it
 * was. `undefined` when too large or too deep for that.
 */
export function indentJson(json: string): string | undefined {
  if (json.length > MAX_INDENTED) return undefined;
  let depth = 0;
  let result = '';
  let previous = '';
  for (const [token] of json.matchAll(TOKEN)) {
    const closes = token === '}' || token === ']';
    const afterOpening = previous === '{' || previous === '[';
    if (closes) depth--;
    if (depth < 0 || depth > MAX_DEPTH) return undefined;
    if (closes ? !afterOpening : afterOpening || previous === ',') result += `\n${'  '.repeat(depth)}`;
    result += token === ':' ? ': ' : token;
    if (token === '{' || token === '[') depth++;
    previous = token;
  }
  return result;
}
