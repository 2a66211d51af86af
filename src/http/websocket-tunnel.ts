// SPDX-License-Identifier: Apache-2.0
/** A WebSocket that an HTTP connection has become: its messages, with the exchange that opened it. */
import type { Side } from '../protocols/http.ts';
import { parsePermessageDeflate } from '../protocols/permessage-deflate.ts';
import { type EmitWebSocket, WebSocketDecoder } from '../protocols/websocket.ts';
import type { HttpExchange } from '../streams/frame.ts';
import type { Payload } from './connection.ts';

export class WebSocketTunnel {
  readonly #decoders: Readonly<Record<Side, WebSocketDecoder>>;
  readonly #emit: Readonly<Record<Side, EmitWebSocket>>;

  /** @param maxSize Bytes of the largest message kept whole. */
  constructor(exchange: HttpExchange, maxSize: number, emit: (side: Side, payload: Payload) => void) {
    const accepted = parsePermessageDeflate(exchange.response?.headers.list('sec-websocket-extensions'));
    const decoder = (side: Side) => new WebSocketDecoder({ side, maxSize, deflate: accepted?.[side] });
    this.#decoders = { request: decoder('request'), response: decoder('response') };
    const emitter =
      (side: Side): EmitWebSocket =>
      (said) => {
        if (said.type !== 'message' || said.opcode !== 'text') return;
        const { offset, size, content } = said;
        emit(side, { offset, size, content, http: { exchange, side, form: 'websocket' } });
      };
    this.#emit = { request: emitter('request'), response: emitter('response') };
  }

  push(side: Side, bytes: Buffer, offset: number, boundary: boolean): void {
    this.#decoders[side].push(bytes, offset, boundary, this.#emit[side]);
  }

  /** @param bytes How many are lost; 0 if that is not known. */
  lost(side: Side, bytes: number): void {
    this.#decoders[side].gap(bytes, this.#emit[side]);
  }

  end(side: Side, reason: 'end' | 'stop'): void {
    this.#decoders[side].end(reason, this.#emit[side]);
  }
}
