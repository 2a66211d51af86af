// SPDX-License-Identifier: Apache-2.0
/** What an event says of the HTTP that carried it, with everything secret masked. */
import type { Headers, Side } from '../protocols/http.ts';
import type { HttpExchange, HttpFrame } from '../streams/frame.ts';
import type { Conversation } from './conversation.ts';
import type { HttpInfo } from './events.ts';
import { decodeHeader } from './header-check.ts';
import type { Mask } from './mask.ts';
import type { Place } from './reporter.ts';

/** What a header is to us: shown as it is, decoded, or masked. */
const MCP_HEADERS: ReadonlyMap<string, 'plain' | 'encoded' | 'session' | 'authorization'> = new Map([
  ['mcp-protocol-version', 'plain'],
  ['mcp-method', 'encoded'],
  ['mcp-name', 'encoded'],
  ['last-event-id', 'plain'],
  ['mcp-session-id', 'session'],
  ['authorization', 'authorization'],
]);
const PARAM = 'mcp-param-';
/** Headers shown of one message. */
const HEADERS_MAX = 128;

/** What stays the same for all messages of one side of an exchange. */
type Constant = Pick<HttpInfo, 'method' | 'path' | 'host' | 'status' | 'headers'>;

/** Are there headers that only MCP uses? They say so of every JSON-RPC body that they come with. */
export function hasMcpHeaders(headers: Headers | undefined): boolean {
  return (
    headers?.fields.some(
      ([name]) => name === 'mcp-session-id' || name === 'mcp-protocol-version' || name === 'mcp-method',
    ) ?? false
  );
}

export class HttpInfos {
  readonly #mask: Mask;
  readonly #constant: Readonly<Record<Side, WeakMap<HttpExchange, Constant>>> = {
    request: new WeakMap(),
    response: new WeakMap(),
  };

  constructor(mask: Mask) {
    this.#mask = mask;
  }

  /** @param number Of the exchange, where two ends of it were seen: that of the first. */
  of(place: Place, number: number, http: Omit<HttpFrame, 'eventName'>, conversation: Conversation): HttpInfo {
    const { exchange, side } = http;
    const { source, destination, tls } = place.stream;
    const byWriter = place.from !== undefined || place.to === undefined;
    return {
      exchange: number,
      isRequest: side === 'request',
      form: http.form,
      version: exchange.version,
      ...this.#constantOf(exchange, side),
      sessionId: conversation.sessionId,
      protocolVersion: exchange.request?.headers.get('mcp-protocol-version') ?? conversation.protocolVersion,
      eventId: http.eventId,
      tls,
      process: byWriter ? place.from : place.to,
      local: byWriter ? source : destination,
      remote: byWriter ? destination : source,
    };
  }

  #constantOf(exchange: HttpExchange, side: Side): Constant {
    const known = this.#constant[side].get(exchange);
    if (known) return known;
    const { request, response } = exchange;
    const head = side === 'request' ? request : response;
    const constant: Constant = {
      method: request?.method,
      path: request?.target === undefined ? undefined : this.#mask.path(request.target),
      host: request?.authority === undefined ? undefined : this.#mask.host(request.authority),
      status: side === 'response' ? response?.status : undefined,
      headers: this.#shown(head?.headers),
    };
    if (head) this.#constant[side].set(exchange, constant);
    return constant;
  }

  #shown(headers: Headers | undefined): Readonly<Record<string, string>> {
    const shown: Record<string, string> = {};
    let room = HEADERS_MAX;
    for (const [name, value] of headers?.fields ?? []) {
      const kind = name === undefined ? undefined : (MCP_HEADERS.get(name) ?? kindOfParam(name));
      if (name === undefined || kind === undefined || Object.hasOwn(shown, name)) continue;
      if (room-- === 0) break;
      if (kind === 'session') shown[name] = this.#mask.session(value);
      else if (kind === 'authorization') shown[name] = this.#mask.authorization(value);
      else shown[name] = kind === 'encoded' ? decodeHeader(value) : value;
    }
    return shown;
  }
}

function kindOfParam(name: string): 'encoded' | undefined {
  return name.startsWith(PARAM) ? 'encoded' : undefined;
}
