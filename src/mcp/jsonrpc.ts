// SPDX-License-Identifier: Apache-2.0
/**
 * One frame's text as JSON-RPC 2.0 (https://www.jsonrpc.org/specification), with the two narrowings that
 * every MCP version makes (Base Protocol, Messages): a request's id is never null, and an id may be left
 * out of an error response.
 */
import { arrayElements, type Members, objectMembers } from '../protocols/json-members.ts';
import type { WireText } from '../protocols/wire-text.ts';
import type { RpcId } from './events.ts';

/** One valid JSON-RPC message. Reading `id`, `warnings` or `member` scans `raw`, once. */
export interface RpcMessage {
  readonly type: 'request' | 'response' | 'notification';
  /** Exact as on the wire; `undefined` on notifications, and on error responses whose id is null or missing. */
  readonly id: RpcId | undefined;
  /** `undefined` on responses. */
  readonly method: string | undefined;
  /** The parsed message: hostile, of any depth. Members that JSON numbers cannot hold exactly are rounded. */
  readonly value: Readonly<Record<string, unknown>>;
  /** Exact text of this message: the whole frame, or its own part of a batch. */
  readonly raw: string;
  /** A large message's text as bytes. */
  readonly wire: WireText | undefined;
  /** Oddities that do not make it invalid, e.g. `duplicate key "method"`; at most 17. */
  readonly warnings: readonly string[];
  /** Exact JSON text of a member, without the white space around it; `undefined` when there is none. */
  member(name: 'params' | 'result' | 'error'): string | undefined;
  /** The same as bytes, of a message that has `wire`. */
  memberBytes(name: 'params' | 'result' | 'error'): Buffer | undefined;
}

/** An element of a batch that is not a JSON-RPC message. */
export interface InvalidElement {
  /** Place in the batch, from 0. */
  readonly index: number;
  /** The first rule it breaks, in words. */
  readonly reason: string;
  /** Its exact text. */
  readonly raw: string;
}

/** What one frame is. Reasons are in words and never quote payload, but for a short `jsonrpc`. */
export type ParsedFrame =
  | {
      readonly type: 'messages';
      /** At least one. */
      readonly messages: readonly RpcMessage[];
      /** Only in a batch. */
      readonly invalid: readonly InvalidElement[];
      /** Was the frame an array? */
      readonly batch: boolean;
    }
  /** Valid JSON, but not JSON-RPC 2.0: the first rule it breaks. */
  | { readonly type: 'json'; readonly reason: string }
  /** Not JSON: the parser's complaint. */
  | { readonly type: 'not-json'; readonly reason: string };

/** A 60 MiB frame can hold 30 million elements; real batches have a handful. */
const MAX_BATCH = 65_536;

const NO_INVALID: readonly InvalidElement[] = [];

/** Validates one frame, given as text without its line end. Never throws; takes time linear in the length. */
export function parseFrame(text: string): ParsedFrame {
  // Log lines are common on the same streams, and an exception costs as much as ten messages.
  if (!beginsLikeJson(text)) return { type: 'not-json', reason: 'does not begin like JSON' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { type: 'not-json', reason: complaint(error) };
  }
  if (Array.isArray(value)) return parseBatch(text, value);
  if (!isObject(value)) return { type: 'json', reason: `${kindOf(value)}, not an object` };
  const reason = violation(value);
  if (reason !== undefined) return { type: 'json', reason };
  return { type: 'messages', messages: [new Message(value, text)], invalid: NO_INVALID, batch: false };
}

function parseBatch(text: string, values: readonly unknown[]): ParsedFrame {
  if (values.length === 0) return { type: 'json', reason: 'empty batch' };
  if (values.length > MAX_BATCH) return { type: 'json', reason: `batch of more than ${MAX_BATCH} elements` };
  const reasons = values.map((value) =>
    isObject(value) ? violation(value) : `${kindOf(value)}, not an object`,
  );
  if (!reasons.includes(undefined)) {
    return { type: 'json', reason: `batch without a valid message: ${reasons[0]}` };
  }
  const messages: RpcMessage[] = [];
  const invalid: InvalidElement[] = [];
  for (const [index, raw] of arrayElements(text).entries()) {
    const reason = reasons[index];
    if (reason === undefined) messages.push(new Message(values[index] as Record<string, unknown>, raw));
    else invalid.push({ index, reason, raw });
  }
  return { type: 'messages', messages, invalid, batch: true };
}

/** The first rule that an object breaks as a JSON-RPC message; `undefined` when it is one. */
export function violation(message: Record<string, unknown>): string | undefined {
  // JSON has no `undefined`, and Object.prototype none of these names: absent is `undefined`.
  const { jsonrpc, id, method, params, result, error } = message;
  if (jsonrpc !== '2.0') return wrongVersion(jsonrpc);
  if (method !== undefined) {
    if (typeof method !== 'string') return `"method" is ${kindOf(method)}`;
    if (result !== undefined) return 'both "method" and "result"';
    if (error !== undefined) return 'both "method" and "error"';
    if (params !== undefined && (typeof params !== 'object' || params === null)) {
      return `"params" is ${kindOf(params)}`;
    }
    return id === undefined ? undefined : wrongId(id);
  }
  if (error === undefined) {
    if (result === undefined) return 'neither "method" nor "result" nor "error"';
    return id === undefined ? '"id" is missing' : wrongId(id);
  }
  if (result !== undefined) return 'both "result" and "error"';
  if (id !== undefined && id !== null && wrongId(id) !== undefined) return wrongId(id);
  if (!isObject(error)) return `"error" is ${kindOf(error)}`;
  if (!Number.isInteger(error.code)) return '"error" has no integer "code"';
  if (typeof error.message !== 'string') return '"error" has no string "message"';
  return undefined;
}

function wrongVersion(jsonrpc: unknown): string {
  if (jsonrpc === undefined) return '"jsonrpc" is missing';
  if (typeof jsonrpc !== 'string') return `"jsonrpc" is ${kindOf(jsonrpc)}`;
  return /^[\w.]{0,8}$/.test(jsonrpc) ? `"jsonrpc" is "${jsonrpc}", not "2.0"` : '"jsonrpc" is not "2.0"';
}

function wrongId(id: unknown): string | undefined {
  if (typeof id === 'string') return undefined;
  if (typeof id !== 'number') return `"id" is ${kindOf(id)}`;
  return Number.isFinite(id) ? undefined : '"id" is out of range';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Which of the three a valid message is. */
export function typeOf(value: Readonly<Record<string, unknown>>): RpcMessage['type'] {
  if (value.method === undefined) return 'response';
  return value.id === undefined ? 'notification' : 'request';
}

class Message implements RpcMessage {
  readonly type: RpcMessage['type'];
  readonly method: string | undefined;
  readonly value: Readonly<Record<string, unknown>>;
  readonly raw: string;
  readonly wire = undefined;
  #members: Members | undefined;
  #id: RpcId | undefined;
  #warnings: readonly string[] | undefined;

  constructor(value: Record<string, unknown>, raw: string) {
    this.method = value.method as string | undefined;
    this.type = typeOf(value);
    this.value = value;
    this.raw = raw;
  }

  get id(): RpcId | undefined {
    const { id } = this.value;
    if (id === undefined || id === null) return undefined;
    if (this.#id === undefined) this.#id = { text: this.#scan().get('id') ?? JSON.stringify(id) };
    return this.#id;
  }

  get warnings(): readonly string[] {
    this.#warnings ??= warningsOf(this.type, this.value, this.#scan().duplicates);
    return this.#warnings;
  }

  member(name: 'params' | 'result' | 'error'): string | undefined {
    return this.value[name] === undefined ? undefined : this.#scan().get(name);
  }

  memberBytes(): undefined {
    return undefined;
  }

  #scan(): Members {
    this.#members ??= objectMembers(this.raw);
    return this.#members;
  }
}

const NO_WARNINGS: readonly string[] = [];
const MAX_WARNINGS = 16;
const MAX_KEY = 64;

export function warningsOf(
  type: RpcMessage['type'],
  message: Readonly<Record<string, unknown>>,
  duplicates: readonly string[],
): readonly string[] {
  const warnings: string[] = [];
  if (type !== 'notification') warnAboutId(message.id, warnings);
  // JSON-RPC allows any array and any result here, MCP only objects.
  if (Array.isArray(message.params)) warnings.push('"params" is an array');
  if (message.result !== undefined && !isObject(message.result)) {
    warnings.push(`"result" is ${kindOf(message.result)}`);
  }
  for (const key of duplicates) {
    if (warnings.length > MAX_WARNINGS) break;
    warnings.push(`duplicate key ${quote(key)}`);
  }
  for (const key in message) {
    if (warnings.length > MAX_WARNINGS) break;
    if (!isMember(type, key)) warnings.push(`unknown member ${quote(key)}`);
  }
  if (warnings.length > MAX_WARNINGS) warnings[MAX_WARNINGS] = 'and more';
  return warnings.length === 0 ? NO_WARNINGS : warnings;
}

function warnAboutId(id: unknown, warnings: string[]): void {
  if (id === undefined) warnings.push('"id" is missing');
  else if (id === null) warnings.push('"id" is null');
  else if (typeof id === 'number') {
    if (!Number.isInteger(id)) warnings.push('"id" is fractional');
    else if (!Number.isSafeInteger(id)) warnings.push('"id" is beyond 2^53');
  }
}

function isMember(type: RpcMessage['type'], key: string): boolean {
  switch (key) {
    case 'jsonrpc':
    case 'id':
      return true;
    case 'method':
    case 'params':
      return type !== 'response';
    case 'result':
    case 'error':
      return type === 'response';
    default:
      return false;
  }
}

function quote(key: string): string {
  return JSON.stringify(key.length > MAX_KEY ? `${key.slice(0, MAX_KEY)}…` : key);
}

/** Is the first character after white space one that a JSON text can begin with? */
function beginsLikeJson(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x20 || c === 0x09 || c === 0x0a || c === 0x0d) continue;
    if (c === 0x7b || c === 0x5b || c === 0x22 || c === 0x2d || (c >= 0x30 && c <= 0x39)) return true;
    return c === 0x74 || c === 0x66 || c === 0x6e;
  }
  return false;
}

/** V8's words for a syntax error, but only from messages that cannot quote the input. */
function complaint(error: unknown): string {
  const message = error instanceof SyntaxError ? error.message : '';
  if (message === 'Unexpected end of JSON input') return message;
  if (message.startsWith('Unexpected token ')) return 'Unexpected token';
  const known = /^([A-Z][A-Za-z ,:'{}[\]-]+?)(?: in| after)? JSON at position (\d+)/.exec(message);
  return known === null ? 'not valid JSON' : `${known[1]} at position ${known[2]}`;
}

/**
 * Key that pairs a response with its request. Strings and numbers never share one; strings are equal when
 * their characters are, numbers when their exact decimal values are: `1`, `1.0` and `1e0`, but not two
 * integers beyond 2^53 that differ in the last digit.
 */
export function idKey(id: RpcId): string {
  const { text } = id;
  if (text.charCodeAt(0) === 0x22) {
    return `"${text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1)}`;
  }
  return /^-?[1-9]\d*$/.test(text) ? text : canonicalNumber(text);
}

/** A double is below 10^309, so no longer integer needs to be written out. */
const MAX_DIGITS = 400;

/** The one spelling of a JSON number's value: plain digits for an integer, `<digits>e<exponent>` otherwise. */
function canonicalNumber(text: string): string {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (parts === null) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = parts;
  const leading = (whole + fraction).replace(/^0+/, '');
  if (leading === '') return '0';
  let end = leading.length;
  while (leading.charCodeAt(end - 1) === 0x30) end--;
  const digits = leading.slice(0, end);
  const power = Number(exponent) - fraction.length + (leading.length - end);
  // So small or large that the power itself is rounded: only the same spelling is surely equal.
  if (!Number.isSafeInteger(power)) return text;
  if (power < 0 || digits.length + power > MAX_DIGITS) return `${sign}${digits}e${power}`;
  return sign + digits + '0'.repeat(power);
}
