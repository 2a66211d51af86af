// SPDX-License-Identifier: Apache-2.0
/** One HTTP connection: from the bytes of its two directions to frames, with the exchange that each belongs to. */
import {
  becomesWebSocket,
  type Headers,
  type HttpDecoder,
  type HttpSink,
  type HttpVersion,
  type MessageEnd,
  type RequestHead,
  type ResponseHead,
  type Side,
} from '../protocols/http.ts';
import { Http1Connection } from '../protocols/http1.ts';
import { Http2Connection } from '../protocols/http2.ts';
import type { FrameContent, HttpExchange, HttpFrame, HttpStep, StreamRef } from '../streams/frame.ts';
import { Body, type BodySink } from './body.ts';
import { Exchange } from './exchange.ts';
import { WebSocketTunnel } from './websocket-tunnel.ts';

/** Of an exchange that nobody wants, so many bytes are looked at before the kernel is asked to stop copying. */
const UNWANTED_MAX = 16 << 10;

/** A frame, before anyone knows when and between whom. */
export interface Payload {
  readonly offset: number;
  readonly size: number;
  readonly content: FrameContent;
  readonly http: HttpFrame;
}

/** Takes what a connection carries. Must not call the connection. */
export interface ConnectionSink {
  frame(side: Side, payload: Payload): void;
  step(side: Side, offset: number, exchange: HttpExchange, step: HttpStep['step']): void;
  /** What this direction says until its next message begins is not wanted. */
  unwanted(side: Side): void;
  /** From here on it is nothing that we can read. */
  foreign(): void;
}

export interface ConnectionOptions {
  /** Bytes of the largest frame kept whole. */
  readonly maxMessage: number;
  /** Number of the connection, unique within a capture. */
  readonly connection: number;
  /** Did the capture begin in the middle of this direction? */
  readonly joined: Readonly<Record<Side, boolean>>;
  /** Filled as the directions begin to be followed. */
  readonly streams: Readonly<Partial<Record<Side, StreamRef>>>;
  /** The next number for an exchange, unique within a capture. */
  readonly nextExchange: () => number;
}

export class HttpConnection implements HttpSink {
  readonly #sink: ConnectionSink;
  readonly #options: ConnectionOptions;
  /** Those that are open, by the decoder's own numbers. It bounds how many they are, and ends each. */
  readonly #exchanges = new Map<number, Exchange>();
  /** The same, by their own. */
  readonly #byId = new Map<number, Exchange>();
  readonly #decoder: HttpDecoder;
  /** What an upgrade has made of it. */
  #upgraded: HttpDecoder | undefined;
  #websocket: WebSocketTunnel | undefined;
  /** The exchange that opened it. */
  #opener: Exchange | undefined;
  #version: HttpVersion;
  /** Nothing after the upgrade can be read. */
  #closed = false;
  /** Do the bytes being handled begin a call's? */
  #boundary = false;

  constructor(protocol: 'http1' | 'http2', sink: ConnectionSink, options: ConnectionOptions) {
    this.#sink = sink;
    this.#options = options;
    const { joined } = options;
    this.#version = protocol === 'http1' ? '1.1' : '2';
    this.#decoder =
      protocol === 'http1' ? new Http1Connection(this, { joined }) : new Http2Connection(this, { joined });
  }

  /** See `HttpDecoder.push`. */
  push(side: Side, bytes: Buffer, offset: number, boundary: boolean): void {
    if (this.#closed) return;
    this.#boundary = boundary;
    this.#decoder.push(side, bytes, offset, boundary);
  }

  gap(side: Side, offset: number, bytes: number): void {
    if (!this.#closed) this.#decoder.gap(side, offset, bytes);
  }

  close(side: Side, how: 'closed' | 'stop'): void {
    if (this.#closed) return;
    this.#decoder.end(side, how);
    this.#upgraded?.end(side, how);
    this.#websocket?.end(side, how === 'closed' ? 'end' : 'stop');
  }

  /** The rest of this exchange is not wanted; a later one on the same connection may be. */
  skip(id: number): void {
    if (this.#opener?.id === id) {
      // A WebSocket is the last that a connection carries.
      if (!this.#closed) this.#beForeign();
      return;
    }
    const exchange = this.#byId.get(id);
    if (!exchange) return;
    exchange.skipped = true;
    exchange.websocket = undefined;
    for (const body of exchange.bodies.values()) body.skip();
  }

  // ---- from the decoder ---------------------------------------------------

  request(number: number, head: RequestHead, offset: number): void {
    // In the middle of HTTP/2, the response may have been seen first.
    const exchange = this.#exchanges.get(number) ?? this.#open(number, head.version);
    exchange.request = head;
    this.#sink.step('request', offset, exchange, { type: 'head' });
    this.#begin(exchange, 'request', head.headers);
  }

  response(number: number, head: ResponseHead, offset: number): void {
    const exchange = this.#exchanges.get(number) ?? this.#open(number, head.version);
    exchange.response = head;
    this.#sink.step('response', offset, exchange, { type: 'head' });
    this.#begin(exchange, 'response', head.headers);
    if (becomesWebSocket(exchange.request, head) && !exchange.skipped)
      exchange.websocket = this.#tunnel(exchange);
  }

  body(number: number, side: Side, bytes: Buffer, offset: number): void {
    const exchange = this.#exchanges.get(number);
    if (!exchange) return;
    if (exchange.websocket) exchange.websocket.push(side, bytes, offset, this.#boundary);
    else exchange.bodies.get(side)?.push(bytes, offset);
    if (!exchange.skipped || this.#version === '2') return;
    exchange.unwanted += bytes.length;
    if (exchange.unwanted > UNWANTED_MAX) this.#sink.unwanted(side);
  }

  lost(number: number, side: Side, offset: number, bytes: number): void {
    const exchange = this.#exchanges.get(number);
    if (exchange?.websocket) exchange.websocket.lost(side, bytes);
    else exchange?.bodies.get(side)?.lost(offset, bytes);
  }

  end(number: number, side: Side, how: MessageEnd, offset: number): void {
    const exchange = this.#exchanges.get(number);
    if (!exchange || exchange.over.has(side)) return;
    exchange.over.add(side);
    exchange.websocket?.end(side, how === 'stop' ? 'stop' : 'end');
    const body = exchange.bodies.get(side);
    exchange.bodies.delete(side);
    body?.end(how);
    const { size = 0, frames = 0, head } = body ?? {};
    this.#sink.step(side, offset, exchange, { type: 'end', how, size, frames, body: head });
    // The request of a response that was seen without one does not come later, but in HTTP/2.
    const alone = side === 'response' && !exchange.request && exchange.version !== '2';
    if (exchange.over.size === 2 || alone) this.#forget(number, exchange);
  }

  upgrade(number: number, protocol: string): void {
    const exchange = this.#exchanges.get(number);
    if (protocol === 'h2c') {
      this.#version = '2';
      this.#upgraded = new Http2Connection(this, {
        joined: { request: false, response: false },
        upgraded: number,
      });
      return;
    }
    if (protocol === 'websocket' && exchange) {
      this.#forget(number, exchange);
      this.#opener = exchange;
      this.#websocket = this.#tunnel(exchange);
      return;
    }
    this.#beForeign();
  }

  tunnel(side: Side, bytes: Buffer, offset: number): void {
    if (this.#websocket) this.#websocket.push(side, bytes, offset, this.#boundary);
    else this.#upgraded?.push(side, bytes, offset, this.#boundary);
  }

  tunnelLost(side: Side, offset: number, bytes: number): void {
    if (this.#websocket) this.#websocket.lost(side, bytes);
    else this.#upgraded?.gap(side, offset, bytes);
  }

  // ---- exchanges ------------------------------------------------------------

  #open(number: number, version: HttpVersion): Exchange {
    const { connection, streams, nextExchange } = this.#options;
    const exchange = new Exchange(nextExchange(), connection, version, streams);
    this.#exchanges.set(number, exchange);
    this.#byId.set(exchange.id, exchange);
    return exchange;
  }

  #tunnel(exchange: Exchange): WebSocketTunnel {
    return new WebSocketTunnel(exchange, this.#options.maxMessage, (side, payload) =>
      this.#sink.frame(side, payload),
    );
  }

  #forget(number: number, exchange: Exchange): void {
    this.#exchanges.delete(number);
    this.#byId.delete(exchange.id);
  }

  #beForeign(): void {
    this.#closed = true;
    this.#websocket = undefined;
    this.#sink.foreign();
  }

  #begin(exchange: Exchange, side: Side, headers: Headers): void {
    const sink: BodySink = {
      frame: ({ offset, size, content, ...event }) =>
        this.#sink.frame(side, { offset, size, content, http: { exchange, side, ...event } }),
      event: ({ offset, name, data, id }) =>
        this.#sink.step(side, offset, exchange, { type: 'event', name, data, id }),
    };
    const body = new Body(sink, {
      contentType: headers.get('content-type'),
      contentEncoding: headers.list('content-encoding'),
      maxMessage: this.#options.maxMessage,
      unsure: !headers.complete,
      joined:
        side === 'request' ? exchange.request?.method === undefined : exchange.response?.status === undefined,
      side,
    });
    if (exchange.skipped) body.skip();
    exchange.bodies.set(side, body);
  }
}
