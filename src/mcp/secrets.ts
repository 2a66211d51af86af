// SPDX-License-Identifier: Apache-2.0
/** What of an exchange is secret, found again where a server repeats it: in the body of an error. */
import type { Headers } from '../protocols/http.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import { HIDDEN, type Mask, secretsInQuery } from './mask.ts';

/** Header fields whose value opens something; and in which form it stands there. */
const AUTHORIZATION = /^(?:proxy-)?authorization$/;
const COOKIES = /^(?:set-)?cookie$/;
const KEYS = /(?:^|-)(?:api-?key|token|secret)$/;
/** What is shorter is no secret, and would be found in any text. */
const SHORTEST = 4;
/** At the end of a text that was cut off, so much of the beginning of a secret is one. */
const CUT = 4;

/** @param session Its own mask tells it from others; whatever else is secret is hidden. */
interface Secret {
  readonly text: string;
  readonly session: boolean;
}

/** `text` with everything masked that a header or the query of this exchange holds and that is masked there. */
export function maskRepeated(text: string, state: HttpExchangeState, mask: Mask): string {
  let masked = text;
  // Long ones first: one may be a part of another.
  for (const secret of secretsOf(state).sort((a, b) => b.text.length - a.text.length))
    for (const form of formsOf(secret.text)) {
      const instead = secret.session ? mask.session(secret.text) : HIDDEN;
      masked = withoutBeginning(
        masked.replaceAll(form, () => instead),
        form,
      );
    }
  return masked;
}

/** As it is, as a JSON string has it, and as a URI has it. */
function formsOf(secret: string): Set<string> {
  const escaped = JSON.stringify(secret).slice(1, -1);
  return new Set([
    secret,
    escaped,
    escaped.replaceAll('/', '\\/'),
    encodeURIComponent(secret.toWellFormed()),
  ]);
}

/** A text may have been cut off within the secret. */
function withoutBeginning(text: string, secret: string): string {
  for (let length = Math.min(secret.length - 1, text.length); length >= CUT; length--)
    if (text.endsWith(secret.slice(0, length))) return text.slice(0, -length) + HIDDEN;
  return text;
}

function secretsOf({ request, response }: HttpExchangeState): Secret[] {
  const found = new Map<string, Secret>();
  const add = (text: string | undefined, session = false) => {
    if (text !== undefined && text.length >= SHORTEST && !found.has(text)) found.set(text, { text, session });
  };
  for (const { session, value } of secretsInQuery(request?.target ?? '')) add(value, session);
  for (const headers of [request?.headers, response?.headers]) {
    add(headers?.get('mcp-session-id'), true);
    for (const text of inHeaders(headers)) add(text);
  }
  return [...found.values()];
}

function* inHeaders(headers: Headers | undefined): Generator<string> {
  for (const [name = '', value] of headers?.fields ?? []) {
    if (AUTHORIZATION.test(name)) yield* inCredentials(value);
    else if (name === 'cookie') yield* value.split(';').map(cookieValue);
    else if (COOKIES.test(name)) yield cookieValue(value.split(';', 1)[0] ?? '');
    else if (KEYS.test(name)) yield value;
  }
}

/** A scheme and what comes behind it (RFC 9110, section 11.4); of `Basic` what it encodes, too (RFC 7617). */
function* inCredentials(value: string): Generator<string> {
  const [, scheme = '', credentials = value] = /^(\S+) +(.*)$/.exec(value) ?? [];
  yield credentials;
  if (scheme.toLowerCase() !== 'basic') return;
  const pair = Buffer.from(credentials, 'base64').toString();
  yield pair;
  yield pair.slice(pair.indexOf(':') + 1);
}

/** RFC 6265, section 4.1.1: `name=value`, where the value may be quoted. */
function cookieValue(pair: string): string {
  return pair
    .slice(pair.indexOf('=') + 1)
    .trim()
    .replace(/^"(.*)"$/, '$1');
}
