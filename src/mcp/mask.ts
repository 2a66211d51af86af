// SPDX-License-Identifier: Apache-2.0
/** Hides secrets in what HTTP says around a message: sessions, tokens, keys. The message itself stays exact. */
import { createHmac, randomBytes } from 'node:crypto';

/** Instead of a secret of which nothing may be seen. */
export const HIDDEN = '***';
/** Characters of a session id that stay, of one that is at least four times as long. */
const SHOWN = 4;
/** Sessions whose masked form is remembered. */
const REMEMBERED = 1024;
/** Names in a query whose value is a session's id. */
const SESSION = /^(?:session[_-]?id|sid)$/i;
/** Names in a query whose value opens something. */
const SECRET = /token|key|secret|passw|pwd|auth|credential|code|jwt|signature|^sig$/i;

/** What these names are for: the session's id in the URI that an `endpoint` event gave (HTTP+SSE, 2024-11-05). */
export function sessionInQuery(target: string): string | undefined {
  const query = target.indexOf('?');
  if (query < 0) return undefined;
  for (const part of target.slice(query + 1).split('&')) {
    const { name, value } = parameter(part);
    if (SESSION.test(name) && value) return decoded(value);
  }
  return undefined;
}

/** What `Mask.path` masks, decoded. */
export function secretsInQuery(target: string): { readonly value: string; readonly session: boolean }[] {
  const query = target.indexOf('?');
  if (query < 0) return [];
  return target
    .slice(query + 1)
    .split('&')
    .map(parameter)
    .filter(({ name, value }) => value && (SESSION.test(name) || SECRET.test(name)))
    .map(({ name, value }) => ({ value: decoded(value), session: SESSION.test(name) }));
}

export class Mask {
  /** Of this capture: without it nobody can try out which id belongs to a hash. */
  readonly #key = randomBytes(16);
  readonly #sessions = new Map<string, string>();

  /** Its first 4 characters, `…` and 4 hexadecimal digits that tell it from others that begin alike. */
  session(id: string): string {
    const known = this.#sessions.get(id);
    if (known !== undefined) return known;
    const shown = Math.min(SHOWN, Math.floor(id.length / 4));
    const digest = createHmac('sha256', this.#key).update(id).digest('hex');
    const masked = `${id.slice(0, shown)}…${digest.slice(0, 4)}`;
    if (this.#sessions.size >= REMEMBERED) this.#sessions.clear();
    this.#sessions.set(id, masked);
    return masked;
  }

  /** `Bearer ***`: the scheme, if there is one, and that something was there. */
  authorization(value: string): string {
    const scheme = /^[A-Za-z][A-Za-z0-9-]{0,31}(?= )/.exec(value)?.[0];
    return scheme === undefined ? HIDDEN : `${scheme} ${HIDDEN}`;
  }

  /** Path and query of a request target in any form, with what is secret in the query masked. */
  path(target: string): string {
    const path = pathAndQuery(target);
    const query = path.indexOf('?');
    if (query < 0) return path;
    const parts = path.slice(query + 1).split('&');
    return `${path.slice(0, query)}?${parts.map((part) => this.#parameter(part)).join('&')}`;
  }

  /** Host and port, without the user and password that may stand before. */
  host(authority: string): string {
    return authority.slice(authority.lastIndexOf('@') + 1);
  }

  #parameter(part: string): string {
    const { name, value } = parameter(part);
    if (!value) return part;
    const start = part.slice(0, part.indexOf('=') + 1);
    if (SESSION.test(name)) return start + this.session(decoded(value));
    return SECRET.test(name) ? start + HIDDEN : part;
  }
}

/** Path and query of a request target (RFC 9112, section 3.2): origin form, or cut from the absolute form. */
export function pathAndQuery(target: string): string {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/.exec(target)?.[0];
  if (absolute === undefined) return target;
  const rest = target.slice(absolute.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** The path alone. */
export function pathOf(target: string): string {
  const path = pathAndQuery(target);
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

function parameter(part: string): { name: string; value: string } {
  const equals = part.indexOf('=');
  if (equals < 0) return { name: decoded(part), value: '' };
  return { name: decoded(part.slice(0, equals)), value: part.slice(equals + 1) };
}

function decoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
