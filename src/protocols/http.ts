// SPDX-License-Identifier: Apache-2.0
/**
 * What the decoders of HTTP/1 and HTTP/2 have in common: bytes of the two directions of one connection go in,
 * and what is said in them comes out here. No clock, no pid, no socket. The terms are those of RFC 9110.
 */

/** The direction from client to server, or the one back. */
export type Side = 'request' | 'response';

/** HTTP version of an exchange. */
export type HttpVersion = '1.0' | '1.1' | '2';

/** Header fields in their order. */
export class Headers {
  /** Names in lower case; `undefined` for a name that HPACK's lost table would have told. Values as latin1. */
  readonly fields: readonly (readonly [name: string | undefined, value: string])[];
  /** Are these all, with their names? If not, what is not here may yet have been sent. */
  readonly complete: boolean;

  /** @param cut Some are missing. */
  constructor(fields: readonly (readonly [name: string | undefined, value: string])[] = [], cut = false) {
    this.fields = fields;
    this.complete = !cut && fields.every(([name]) => name !== undefined);
  }

  /** The first value of this name (lower case). */
  get(name: string): string | undefined {
    return this.fields.find(([each]) => each === name)?.[1];
  }

  /** All values of this name, joined as RFC 9110, section 5.3 allows; `undefined` if there is none. */
  list(name: string): string | undefined {
    const values = this.fields.filter(([each]) => each === name).map(([, value]) => value);
    return values.length ? values.join(', ') : undefined;
  }
}

export interface RequestHead {
  /** `undefined` where the capture began too late to know. */
  readonly method: string | undefined;
  /** Request target as sent: origin form, absolute form, authority form or `*`; `:path` in HTTP/2. */
  readonly target: string | undefined;
  /** Host field or `:authority`. */
  readonly authority: string | undefined;
  readonly version: HttpVersion;
  readonly headers: Headers;
}

export interface ResponseHead {
  readonly status: number | undefined;
  readonly version: HttpVersion;
  readonly headers: Headers;
}

/** Does an extended CONNECT of HTTP/2 ask for a WebSocket (RFC 8441, section 4)? */
export function asksForWebSocket(request: Pick<RequestHead, 'method' | 'headers'> | undefined): boolean {
  return request?.method === 'CONNECT' && request.headers.get(':protocol') === 'websocket';
}

/** Has it been accepted: are the bodies of both sides the WebSocket's from here on (section 5)? */
export function becomesWebSocket(
  request: Pick<RequestHead, 'method' | 'headers'> | undefined,
  response: Pick<ResponseHead, 'status'> | undefined,
): boolean {
  const { status = 0 } = response ?? {};
  return asksForWebSocket(request) && status >= 200 && status < 300;
}

/** How a message came to its end. */
export type MessageEnd =
  /** As its framing says. */
  | 'complete'
  /** The connection closed before that. */
  | 'closed'
  /** RST_STREAM. */
  | 'reset'
  /** Bytes were lost and with them the place where it ended. */
  | 'gap'
  /** The capture was over first. */
  | 'stop';

/**
 * Takes what was decoded, in order. `exchange` numbers the exchanges of one connection from 1. Must not throw
 * and must not call the decoder.
 */
export interface HttpSink {
  /** The head of a request is complete. `offset`: place of its first byte in its direction's stream. */
  request(exchange: number, head: RequestHead, offset: number): void;
  /** The head of a final response. An exchange joined in the middle has had no `request`. */
  response(exchange: number, head: ResponseHead, offset: number): void;
  /** A piece of a body: transfer coding and padding removed, content coding not. Valid only during the call. */
  body(exchange: number, side: Side, bytes: Buffer, offset: number): void;
  /** Bytes of this body are lost, the message goes on behind them. `bytes` 0: their number is not known. */
  lost(exchange: number, side: Side, offset: number, bytes: number): void;
  /** The message of this side is over. `offset`: place of the byte behind it. */
  end(exchange: number, side: Side, how: MessageEnd, offset: number): void;
  /** The connection speaks something else from here on: `websocket`, `h2c`, `connect`, … (lower case). */
  upgrade(exchange: number, protocol: string): void;
  /** After `upgrade`: the bytes of the other protocol. Valid only during the call. */
  tunnel(side: Side, bytes: Buffer, offset: number): void;
  /** After `upgrade`: bytes of the other protocol are lost. */
  tunnelLost(side: Side, offset: number, bytes: number): void;
}

/** One connection's decoder. Bytes of both directions in the order in which they moved. */
export interface HttpDecoder {
  /**
   * @param bytes Valid only during the call.
   * @param offset Place of the first byte in its direction's stream.
   * @param boundary These bytes begin a system call's: a place to try where the decoder has lost its way.
   */
  push(side: Side, bytes: Buffer, offset: number, boundary: boolean): void;
  /** `bytes` bytes from `offset` on are lost. */
  gap(side: Side, offset: number, bytes: number): void;
  /** No more will come in this direction. */
  end(side: Side, how: 'closed' | 'stop'): void;
  /** Does this side wait for a place where it can begin again? Its bytes mean nothing until then. */
  lost(side: Side): boolean;
}
