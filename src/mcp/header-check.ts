// SPDX-License-Identifier: Apache-2.0
/**
 * The headers in which 2026-07-28 repeats what the body says (Streamable HTTP, Request Headers), so that whoever
 * stands between need not parse it: a server must refuse a request whose two accounts differ.
 */
import type { Headers } from '../protocols/http.ts';
import { member } from './hostile.ts';
import type { RpcMessage } from './jsonrpc.ts';
import { targetOf } from './methods.ts';

/** The first version in which these headers are required. */
export const HEADERS_REQUIRED = '2026-07-28';

/** The methods whose target `Mcp-Name` repeats; the tasks are an extension's (SEP-2663). */
const NAMED = new Set(['tools/call', 'resources/read', 'prompts/get']);
const NAMED_TASKS = new Set(['tasks/get', 'tasks/update', 'tasks/cancel']);

const PARAM = 'mcp-param-';
/** Characters of a value that a warning quotes. */
const QUOTED = 64;
/** Values looked through for one that `Mcp-Param-*` repeats. */
const VALUES_MAX = 1000;
/** Warnings about one message. */
const WARNINGS_MAX = 8;

const BASE64 = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Undoes `=?base64?…?=`, which stands for a text that a header cannot hold; anything else is as it is. */
export function decodeHeader(value: string): string {
  const encoded = BASE64.exec(value)?.[1];
  if (encoded === undefined) return value;
  try {
    return utf8.decode(Buffer.from(encoded, 'base64'));
  } catch {
    return value;
  }
}

/** The version of the protocol that a message says it speaks, in its `_meta`. */
export function versionIn(message: RpcMessage): string | undefined {
  const meta = member(message.value['params'], '_meta');
  const version = member(meta, 'io.modelcontextprotocol/protocolVersion');
  return typeof version === 'string' ? version : undefined;
}

/**
 * What the headers of a request say otherwise than its body: one sentence each, as in
 * `header Mcp-Name says "x", the body "y"`. Missing ones count from 2026-07-28 on, and only where all names are known.
 */
export function checkHeaders(headers: Headers, message: RpcMessage): string[] {
  const warnings: string[] = [];
  const { method } = message;
  if (method === undefined) return warnings;
  const meta = versionIn(message);
  const said = headers.get('mcp-protocol-version');
  const version = said ?? meta ?? '';
  const required = version >= HEADERS_REQUIRED && headers.fields.every(([name]) => name !== undefined);
  const compare = (name: string, body: string | undefined, missing: boolean) => {
    const header = headers.get(name.toLowerCase());
    if (header === undefined) {
      if (missing) warnings.push(`header ${name} is missing`);
    } else if (decodeHeader(header) !== body) {
      const other = body === undefined ? 'the body does not' : `the body ${quote(body)}`;
      warnings.push(`header ${name} says ${quote(decodeHeader(header))}, ${other}`);
    }
  };
  if (said !== undefined ? meta !== undefined : required) compare('MCP-Protocol-Version', meta, required);
  compare('Mcp-Method', method, required);
  const name = NAMED.has(method) || NAMED_TASKS.has(method) ? nameIn(message, method) : undefined;
  compare('Mcp-Name', name, required && NAMED.has(method) && name !== undefined);
  if (method === 'tools/call') warnings.push(...paramWarnings(headers, message));
  return warnings.slice(0, WARNINGS_MAX);
}

/** A large message is known in outline only. */
function nameIn(message: RpcMessage, method: string): string | undefined {
  return targetOf(method, message.value['params']);
}

/**
 * Which argument `Mcp-Param-Region` repeats, only the tool's schema says. But when no argument has that value, the
 * two accounts differ for certain.
 */
function paramWarnings(headers: Headers, message: RpcMessage): string[] {
  // Of a large message not every value is there to look at.
  if (message.wire) return [];
  const given = headers.fields.filter(([name]) => name?.startsWith(PARAM));
  if (given.length === 0) return [];
  const values = primitives(member(message.value['params'], 'arguments'));
  if (!values) return [];
  return given.slice(0, WARNINGS_MAX).flatMap(([name, value]) => {
    const said = decodeHeader(value);
    const number = said.trim() === '' ? Number.NaN : Number(said);
    const found = values.has(said) || values.has(number);
    return found
      ? []
      : [`header ${titleOf(name?.slice(0, QUOTED) ?? PARAM)} says ${quote(said)}, no argument does`];
  });
}

/** All texts and numbers below a value, true and false as texts; `undefined` when there are too many. */
function primitives(root: unknown): Set<string | number> | undefined {
  const found = new Set<string | number>();
  const queue = [root];
  for (let next = 0; next < queue.length; next++) {
    if (queue.length > VALUES_MAX) return undefined;
    const value = queue[next];
    if (typeof value === 'string' || typeof value === 'number') found.add(value);
    else if (typeof value === 'object' && value !== null) {
      for (const each of Object.values(value)) {
        queue.push(each);
        if (queue.length > VALUES_MAX) return undefined;
      }
    } else found.add(String(value));
  }
  return found;
}

/** As the specification writes it: `Mcp-Param-Region`. */
function titleOf(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase());
}

function quote(text: string): string {
  return JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);
}
