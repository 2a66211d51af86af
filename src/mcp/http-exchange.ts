// SPDX-License-Identifier: Apache-2.0
/** An HTTP exchange as the analyzer knows it: what it turned out to be, and whose it is. */
import { becomesWebSocket, type MessageEnd, type RequestHead, type Side } from '../protocols/http.ts';
import type { Endpoint, HttpExchange } from '../streams/frame.ts';
import type { HttpConversation } from './http-conversation.ts';
import { hasMcpHeaders } from './http-info.ts';
import { pathOf } from './mask.ts';

/** How one side's message ended. */
export interface SideEnd {
  readonly how: MessageEnd;
  /** Bytes of its body on the wire. */
  readonly size: number;
  readonly body: string | undefined;
}

/** Who wrote and who read. */
interface Ends {
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
}

export class HttpExchangeState {
  /** Its number within the capture. */
  readonly id: number;
  readonly exchange: HttpExchange;
  /** The same, as the other end of its connection saw it. */
  secondEnd: HttpExchange | undefined;
  conversation: HttpConversation | undefined;
  /** Not MCP: nothing of it is looked at any more. */
  foreign = false;
  /** Both sides are over, and what there was to say has been said. */
  over = false;
  /** CLOCK_MONOTONIC of the request's head, nanoseconds. */
  began: number | undefined;
  /** Position of the request in its stream. */
  offset = 0;
  /** Events seen whose data is no JSON. */
  strays = 0;
  /** Who is at the client's end, as far as any item of it has told. */
  client: Endpoint | undefined;
  server: Endpoint | undefined;
  readonly ends: Partial<Record<Side, SideEnd>> = {};
  /** JSON-RPC messages, by side. */
  readonly messages: Record<Side, number> = { request: 0, response: 0 };
  /** It carries an `initialize`. */
  opening = false;
  /** The beginning of a JSON body of the response that is not JSON-RPC. */
  body: string | undefined;
  /** A message of it has been shown. */
  shown = false;
  /** The streams that carried anything of it: more than two when both its ends were seen. */
  readonly streams = new Set<number>();
  /** Streams that were told to be worth their bytes for it. */
  readonly kept = new Set<number>();
  /** Version of the protocol that a request of it speaks, by its `_meta`. */
  version: string | undefined;

  constructor(exchange: HttpExchange) {
    this.id = exchange.id;
    this.exchange = exchange;
  }

  /** The head of the request, whichever end told it. */
  get request(): HttpExchange['request'] {
    return this.exchange.request ?? this.secondEnd?.request;
  }

  get response(): HttpExchange['response'] {
    return this.exchange.response ?? this.secondEnd?.response;
  }

  get method(): string | undefined {
    return this.request?.method;
  }

  /** Path without the query. */
  get path(): string | undefined {
    const target = this.request?.target;
    return target === undefined ? undefined : pathOf(target);
  }

  get status(): number | undefined {
    return this.response?.status;
  }

  get hasMcpHeaders(): boolean {
    return hasMcpHeaders(this.request?.headers) || hasMcpHeaders(this.response?.headers);
  }

  /** The session that this exchange names: its client's, or the one that the server opens with it. */
  get session(): string | undefined {
    return this.request?.headers.get('mcp-session-id') ?? this.response?.headers.get('mcp-session-id');
  }

  get lastEventId(): string | undefined {
    return this.request?.headers.get('last-event-id');
  }

  /** Can the server's events be such that it has sent before? */
  get mayReplay(): boolean {
    const { request } = this;
    if (!request) return false;
    return this.lastEventId !== undefined || (this.method !== 'POST' && hidden(request.headers.fields));
  }

  /** Does the response hold events? */
  get isEventStream(): boolean {
    return mediaType(this.response) === 'text/event-stream';
  }

  get isWebSocket(): boolean {
    return this.status === 101 || becomesWebSocket(this.request, this.response);
  }

  /** Whoever is at the ends of this item is at the ends of the exchange. */
  learnEnds(side: Side, { from, to }: Ends): void {
    const [client, server] = side === 'request' ? [from, to] : [to, from];
    if (client) this.client = client;
    if (server) this.server = server;
  }

  /** The ends of an item, completed by what others of the exchange have told. */
  endsOf(side: Side, { from, to }: Ends = { from: undefined, to: undefined }): Ends {
    const [writer, reader] = side === 'request' ? [this.client, this.server] : [this.server, this.client];
    return { from: from ?? writer, to: to ?? reader };
  }

  /** Has it been seen to its end? What began before the capture has no request. */
  get isOver(): boolean {
    const { request, response } = this.ends;
    return response !== undefined && (request !== undefined || !this.request);
  }
}

/** Does the client want an event stream (2025-11-25, Transports, "Listening for Messages from the Server")? */
export function asksForEvents(request: Pick<RequestHead, 'headers'> | undefined): boolean {
  return request?.headers.list('accept')?.includes('text/event-stream') ?? false;
}

/** May the body be JSON or text? Without a media type anything may be. */
export function holdsJson(head: HttpExchange['request'] | HttpExchange['response']): boolean {
  const type = mediaType(head);
  return type === undefined || type.startsWith('text/') || type.includes('json');
}

/** Media type in lower case, without parameters; `undefined` when the head does not say. */
export function mediaType(head: HttpExchange['request'] | HttpExchange['response']): string | undefined {
  return head?.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
}

/** Are there fields whose names a lost table would have told? */
function hidden(fields: readonly (readonly [name: string | undefined, value: string])[]): boolean {
  return fields.some(([name]) => name === undefined);
}
