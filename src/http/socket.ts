// SPDX-License-Identifier: Apache-2.0
/**
 * One socket's two directions, before and after it is known what they speak. The first bytes of either decide:
 * HTTP is decoded here, lines are handed on to be cut, everything else is not ours.
 */
import type { Side } from '../protocols/http.ts';
import { GatheredBytes } from '../protocols/http1-gathered.ts';
import type { HttpExchange, HttpStep, StreamRef } from '../streams/frame.ts';
import { HttpConnection, type Payload } from './connection.ts';
import { recognise, type Speech } from './recognise.ts';

/** 0: from the end that was seen first, 1: to it. */
export type Direction = 0 | 1;

/** Bytes looked at before a direction that says nothing known is given up. */
const UNDECIDED_MAX = 16 << 10;
/** The same for one that was joined in the middle, in calls: each may be the beginning of a message. */
const CALLS_MAX = 256;

/** Within so many bytes all is told that no line end tells. */
const TELLING = 64;
const NEWLINE = 0x0a;

const UNKNOWN: Speech = { protocol: 'unknown' };

export interface SocketSink {
  /** Bytes of a direction that speaks in lines. Valid only during the call. */
  lines(direction: Direction, bytes: Buffer, offset: number): void;
  frame(direction: Direction, payload: Payload): void;
  step(direction: Direction, offset: number, exchange: HttpExchange, step: HttpStep['step']): void;
  /** What this direction says is not wanted until a message of HTTP/1 begins. */
  unwanted(direction: Direction): void;
  /** Neither direction is worth copying. `hello`: the first bytes, when they are TLS. */
  foreign(speech: 'tls' | 'unknown', direction: Direction, hello: Buffer): void;
}

export interface SocketOptions {
  readonly maxMessage: number;
  /** Number of the connection, unique within a capture. */
  readonly connection: number;
  /** What is unknown is lines: a server's standard output may say anything. */
  readonly linesByDefault: boolean;
  readonly nextExchange: () => number;
}

interface End {
  readonly stream: StreamRef;
  readonly joined: boolean;
  /** First bytes, while they do not suffice. */
  readonly pending: GatheredBytes;
  offset: number;
  calls: number;
}

export class Socket {
  readonly #sink: SocketSink;
  readonly #options: SocketOptions;
  readonly #ends: [End | undefined, End | undefined] = [undefined, undefined];
  #speech: Speech['protocol'] | undefined;
  #http: HttpConnection | undefined;
  /** Which direction carries requests. */
  #requests: Direction = 0;
  readonly #streams: Partial<Record<Side, StreamRef>> = {};

  constructor(sink: SocketSink, options: SocketOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** A direction begins to be followed. `joined`: in the middle. */
  begin(direction: Direction, stream: StreamRef, joined: boolean): void {
    this.#ends[direction] = { stream, joined, pending: new GatheredBytes(), offset: 0, calls: 0 };
    if (this.#http) this.#streams[this.#side(direction)] = stream;
  }

  /** Is it known that it speaks in lines? Then its bytes need not come here. */
  get speaksLines(): boolean {
    return this.#speech === 'lines';
  }

  /** Is it known that neither direction is worth copying? */
  get isForeign(): boolean {
    return this.#speech === 'tls' || this.#speech === 'unknown';
  }

  /** @param boundary These bytes begin a call's. */
  push(direction: Direction, bytes: Buffer, offset: number, boundary: boolean): void {
    if (this.#http) this.#http.push(this.#side(direction), bytes, offset, boundary);
    else if (this.#speech === 'lines') this.#sink.lines(direction, bytes, offset);
    else if (!this.#speech) this.#decide(direction, bytes, offset, boundary);
  }

  /** Not for one that speaks in lines. */
  gap(direction: Direction, offset: number, bytes: number): void {
    if (this.#http) this.#http.gap(this.#side(direction), offset, bytes);
    else if (!this.#speech) this.#lostUndecided(direction);
  }

  /** No more will come in this direction. */
  end(direction: Direction, how: 'closed' | 'stop'): void {
    const end = this.#ends[direction];
    if (!this.#speech && end && end.pending.length > 0 && this.#options.linesByDefault) this.#speakLines();
    this.#http?.close(this.#side(direction), how);
  }

  /** The rest of this exchange is not wanted. */
  skip(exchange: number): void {
    this.#http?.skip(exchange);
  }

  #side(direction: Direction): Side {
    return direction === this.#requests ? 'request' : 'response';
  }

  #direction(side: Side): Direction {
    return side === 'request' ? this.#requests : this.#requests === 0 ? 1 : 0;
  }

  #decide(direction: Direction, bytes: Buffer, offset: number, boundary: boolean): void {
    const end = this.#ends[direction];
    if (!end) return;
    // In the middle of something, only the beginning of a call can be the beginning of a message.
    const { pending } = end;
    if (end.joined && boundary) pending.clear();
    else if (end.joined && pending.length === 0) return;
    if (pending.length === 0) {
      end.offset = offset;
      end.calls++;
    }
    pending.add(bytes, 0, bytes.length);
    // Of a long line only its end can tell more. Else a line that comes byte by byte would be looked at each time.
    if (
      pending.length - bytes.length > TELLING &&
      pending.length <= UNDECIDED_MAX &&
      !bytes.includes(NEWLINE)
    )
      return;
    const first = pending.bytes;
    const speech = recognise(first, end.joined) ?? (first.length > UNDECIDED_MAX ? UNKNOWN : undefined);
    const { linesByDefault } = this.#options;
    if (!speech) return;
    if (speech.protocol === 'lines' || (speech.protocol === 'unknown' && linesByDefault)) {
      this.#speakLines();
    } else if (speech.protocol === 'tls') this.#foreign('tls', direction, pending.take());
    else if (speech.protocol === 'unknown') this.#giveUp(direction, end);
    else this.#speakHttp(speech.protocol, speech.side === 'request' ? direction : direction === 0 ? 1 : 0);
  }

  /** Unknown so far: final for a connection seen from its beginning; one joined in the middle gets more chances. */
  #giveUp(direction: Direction, end: End): void {
    const pending = end.pending.take();
    if (!end.joined || end.calls >= CALLS_MAX) this.#foreign('unknown', direction, pending);
  }

  #foreign(speech: 'tls' | 'unknown', direction: Direction, hello: Buffer): void {
    this.#speech = speech;
    this.#sink.foreign(speech, direction, hello);
  }

  #lostUndecided(direction: Direction): void {
    const end = this.#ends[direction];
    if (!end) return;
    this.#ends[direction] = { ...end, joined: true, pending: new GatheredBytes() };
  }

  #speakLines(): void {
    this.#speech = 'lines';
    for (const direction of [0, 1] as const)
      this.#release(direction, (bytes, offset) => this.#sink.lines(direction, bytes, offset));
  }

  #speakHttp(protocol: 'http1' | 'http2', requests: Direction): void {
    const { maxMessage, connection, nextExchange } = this.#options;
    this.#speech = protocol;
    this.#requests = requests;
    const [request, response] = [this.#ends[requests], this.#ends[requests === 0 ? 1 : 0]];
    if (request) this.#streams.request = request.stream;
    if (response) this.#streams.response = response.stream;
    // A direction that has not been seen yet was joined if the other was.
    const joined = (end: End | undefined, other: End | undefined) => (end ?? other)?.joined ?? false;
    const http = new HttpConnection(
      protocol,
      {
        frame: (side, payload) => this.#sink.frame(this.#direction(side), payload),
        step: (side, offset, exchange, step) =>
          this.#sink.step(this.#direction(side), offset, exchange, step),
        unwanted: (side) => this.#sink.unwanted(this.#direction(side)),
        foreign: () => this.#foreign('unknown', requests, Buffer.alloc(0)),
      },
      {
        maxMessage,
        connection,
        nextExchange,
        joined: { request: joined(request, response), response: joined(response, request) },
        streams: this.#streams,
      },
    );
    this.#http = http;
    // The request's direction first: what waits in the other one may be its answer.
    for (const direction of [requests, requests === 0 ? 1 : 0] as const)
      this.#release(direction, (bytes, offset) => http.push(this.#side(direction), bytes, offset, true));
  }

  #release(direction: Direction, push: (bytes: Buffer, offset: number) => void): void {
    const end = this.#ends[direction];
    if (!end || end.pending.length === 0) return;
    push(end.pending.take(), end.offset);
  }
}
