// SPDX-License-Identifier: Apache-2.0
/** A request and its response, while they go on. */
import type { RequestHead, ResponseHead, Side } from '../protocols/http.ts';
import type { HttpExchange, StreamRef } from '../streams/frame.ts';
import type { Body } from './body.ts';
import type { WebSocketTunnel } from './websocket-tunnel.ts';

export class Exchange implements HttpExchange {
  readonly id: number;
  readonly connection: number;
  readonly version: HttpExchange['version'];
  readonly #streams: Readonly<Partial<Record<Side, StreamRef>>>;
  request: RequestHead | undefined;
  response: ResponseHead | undefined;
  /** The bodies that have begun and are not over. */
  readonly bodies = new Map<Side, Body>();
  /** What its DATA frames are in HTTP/2 once a WebSocket has been accepted (RFC 8441). */
  websocket: WebSocketTunnel | undefined;
  /** The sides that are over. */
  readonly over = new Set<Side>();
  /** Nobody wants the rest of it. */
  skipped = false;
  /** Bytes of its bodies that came after that. */
  unwanted = 0;

  constructor(
    id: number,
    connection: number,
    version: HttpExchange['version'],
    streams: Readonly<Partial<Record<Side, StreamRef>>>,
  ) {
    this.id = id;
    this.connection = connection;
    this.version = version;
    this.#streams = streams;
  }

  get requests(): StreamRef | undefined {
    return this.#streams.request;
  }

  get responses(): StreamRef | undefined {
    return this.#streams.response;
  }
}
