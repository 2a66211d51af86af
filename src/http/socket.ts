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

/** What comes out of a socket, and of which of its streams. One sink serves all: there are many sockets. */
export interface SocketSink<T> {
  /** Bytes of a direction that speaks in lines. Valid only during the call. */
  lines(stream: T, bytes: Buffer, offset: number): void;
  frame(stream: T, payload: Payload): void;
  step(stream: T, offset: number, exchange: HttpExchange, step: HttpStep['step']): void;
  /** What this direction says is not wanted until a message of HTTP/1 begins. */
  unwanted(stream: T): void;
  /** Neither direction is worth copying. `hello`: the first bytes, when they are TLS. */
  foreign(stream: T, speech: 'tls' | 'unknown', hello: Buffer): void;
}

/** The same for all sockets of a kind. */
export interface SocketOptions {
  readonly maxMessage: number;
  /** What is unknown is lines: a server's standard output may say anything. */
  readonly linesByDefault: boolean;
  readonly nextExchange: () => number;
}

interface End<T> {
  readonly stream: T;
  joined: boolean;
  /** First bytes, while they do not suffice. */
  pending: GatheredBytes | undefined;
  offset: number;
  calls: number;
}

export class Socket<T extends StreamRef = StreamRef> {
  readonly #sink: SocketSink<T>;
  readonly #options: SocketOptions;
  readonly #connection: number;
  readonly #ends: [End<T> | undefined, End<T> | undefined] = [undefined, undefined];
  #speech: Speech['protocol'] | undefined;
  #http: HttpConnection | undefined;
  /** Which direction carries requests. */
  #requests: Direction = 0;
  /** Of HTTP: the streams of its two sides. */
  #streams: Partial<Record<Side, T>> | undefined;

  /** @param connection Its number, unique within a capture. */
  constructor(sink: SocketSink<T>, options: SocketOptions, connection: number) {
    this.#sink = sink;
    this.#options = options;
    this.#connection = connection;
  }

  /** A direction begins to be followed. `joined`: in the middle. */
  begin(direction: Direction, stream: T, joined: boolean): void {
    this.#ends[direction] = { stream, joined, pending: undefined, offset: 0, calls: 0 };
    if (this.#streams) this.#streams[this.#side(direction)] = stream;
  }

  /** The stream of this direction, if that is followed. */
  stream(direction: Direction): T | undefined {
    return this.#ends[direction]?.stream;
  }

  /** Is it known that it speaks in lines? Then its bytes need not come here. */
  get speaksLines(): boolean {
    return this.#speech === 'lines';
  }

  /** Is nothing known of it yet, so that it is lines unless something else shows? */
  get mayTurnOutLines(): boolean {
    return !this.#speech && this.#options.linesByDefault;
  }

  /** Is it known that neither direction is worth copying? */
  get isForeign(): boolean {
    return this.#speech === 'tls' || this.#speech === 'unknown';
  }

  /** @param boundary These bytes begin a call's. */
  push(direction: Direction, bytes: Buffer, offset: number, boundary: boolean): void {
    if (this.#http) this.#http.push(this.#side(direction), bytes, offset, boundary);
    else if (this.#speech === 'lines') this.#lines(direction, bytes, offset);
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
    if (!this.#speech && end?.pending && this.#options.linesByDefault) this.#speakLines();
    this.#http?.close(this.#side(direction), how);
  }

  /** The rest of this exchange is not wanted. */
  skip(exchange: number): void {
    this.#http?.skip(exchange);
  }

  #side(direction: Direction): Side {
    return direction === this.#requests ? 'request' : 'response';
  }

  #lines(direction: Direction, bytes: Buffer, offset: number): void {
    const stream = this.stream(direction);
    if (stream) this.#sink.lines(stream, bytes, offset);
  }

  #decide(direction: Direction, bytes: Buffer, offset: number, boundary: boolean): void {
    const end = this.#ends[direction];
    if (!end) return;
    // In the middle of something, only the beginning of a call can be the beginning of a message.
    if (end.joined && boundary) end.pending = undefined;
    else if (end.joined && !end.pending) return;
    if (!end.pending) {
      end.pending = new GatheredBytes();
      end.offset = offset;
      end.calls++;
    }
    const { pending } = end;
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
    } else if (speech.protocol === 'tls') this.#foreign('tls', direction, take(end));
    else if (speech.protocol === 'unknown') this.#giveUp(direction, end);
    else this.#speakHttp(speech.protocol, speech.side === 'request' ? direction : opposite(direction));
  }

  /** Unknown so far: final for a connection seen from its beginning; one joined in the middle gets more chances. */
  #giveUp(direction: Direction, end: End<T>): void {
    const first = take(end);
    if (!end.joined || end.calls >= CALLS_MAX) this.#foreign('unknown', direction, first);
  }

  #foreign(speech: 'tls' | 'unknown', direction: Direction, hello: Buffer): void {
    this.#speech = speech;
    for (const end of this.#ends) if (end) end.pending = undefined;
    // Requests may never have been seen.
    const stream = this.stream(direction) ?? this.stream(opposite(direction));
    if (stream) this.#sink.foreign(stream, speech, hello);
  }

  #lostUndecided(direction: Direction): void {
    const end = this.#ends[direction];
    if (!end) return;
    end.joined = true;
    // Of lines it is the beginning of one that is cut.
    if (this.#options.linesByDefault)
      this.#release(direction, (bytes, offset) => this.#lines(direction, bytes, offset));
    end.pending = undefined;
  }

  #speakLines(): void {
    this.#speech = 'lines';
    for (const direction of [0, 1] as const)
      this.#release(direction, (bytes, offset) => this.#lines(direction, bytes, offset));
  }

  #speakHttp(protocol: 'http1' | 'http2', requests: Direction): void {
    const { maxMessage, nextExchange } = this.#options;
    this.#speech = protocol;
    this.#requests = requests;
    const responses = opposite(requests);
    const [request, response] = [this.#ends[requests], this.#ends[responses]];
    const streams: Partial<Record<Side, T>> = {};
    this.#streams = streams;
    if (request) streams.request = request.stream;
    if (response) streams.response = response.stream;
    // A direction that has not been seen yet was joined if the other was.
    const joined = (end: End<T> | undefined, other: End<T> | undefined) => (end ?? other)?.joined ?? false;
    const http = new HttpConnection(
      protocol,
      {
        frame: (side, payload) => {
          const stream = streams[side];
          if (stream) this.#sink.frame(stream, payload);
        },
        step: (side, offset, exchange, step) => {
          const stream = streams[side];
          if (stream) this.#sink.step(stream, offset, exchange, step);
        },
        unwanted: (side) => {
          const stream = streams[side];
          if (stream) this.#sink.unwanted(stream);
        },
        foreign: () => this.#foreign('unknown', requests, Buffer.alloc(0)),
      },
      {
        maxMessage,
        connection: this.#connection,
        nextExchange,
        joined: { request: joined(request, response), response: joined(response, request) },
        streams,
      },
    );
    this.#http = http;
    // The request's direction first: what waits in the other one may be its answer.
    for (const direction of [requests, responses] as const)
      this.#release(direction, (bytes, offset) => http.push(this.#side(direction), bytes, offset, true));
  }

  #release(direction: Direction, push: (bytes: Buffer, offset: number) => void): void {
    const end = this.#ends[direction];
    if (end?.pending) push(take(end), end.offset);
  }
}

function opposite(direction: Direction): Direction {
  return direction === 0 ? 1 : 0;
}

/** The first bytes, which are kept no longer. */
function take(end: End<unknown>): Buffer {
  const bytes = end.pending?.take() ?? Buffer.alloc(0);
  end.pending = undefined;
  return bytes;
}
