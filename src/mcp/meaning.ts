// SPDX-License-Identifier: Apache-2.0
/**
 * What a message says, whatever way it is written: a bridge parses a message and writes it anew, with other white
 * space, escapes and order of members.
 */
import { hash } from 'node:crypto';
import { idKey, type RpcMessage } from './jsonrpc.ts';

/** Values looked at; a message with more has no meaning that could be compared cheaply. */
const VALUES_MAX = 20_000;
const DEPTH_MAX = 200;

/**
 * The same for two messages of the same type, id and method whose params, result or error are equal as JSON values;
 * of a large message, what its outline shows. `undefined` when it is too big or too deep to compare.
 */
export function meaningOf(message: RpcMessage): string | undefined {
  const { type, id, method, value } = message;
  const parts: string[] = [type, id ? idKey(id) : '', method ?? ''];
  const budget = { left: VALUES_MAX };
  for (const key of ['params', 'result', 'error']) {
    if (!Object.hasOwn(value, key)) continue;
    parts.push(key);
    if (!write(value[key], parts, budget, 0)) return undefined;
  }
  // Lengths keep apart what would be the same when joined.
  return hash('sha1', parts.map((part) => `${part.length} ${part}`).join(''), 'base64');
}

/** @returns whether it was within the limits. */
function write(value: unknown, parts: string[], budget: { left: number }, depth: number): boolean {
  if (--budget.left < 0 || depth > DEPTH_MAX) return false;
  if (typeof value !== 'object' || value === null) {
    parts.push(typeof value === 'string' ? `"${value}` : String(value));
    return true;
  }
  if (Array.isArray(value)) {
    parts.push('[');
    for (const each of value) if (!write(each, parts, budget, depth + 1)) return false;
    parts.push(']');
    return true;
  }
  const keys = Object.keys(value);
  if (keys.length > budget.left) return false;
  parts.push('{');
  for (const key of keys.sort()) {
    parts.push(`:${key}`);
    if (!write((value as Record<string, unknown>)[key], parts, budget, depth + 1)) return false;
  }
  parts.push('}');
  return true;
}
