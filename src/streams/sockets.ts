// SPDX-License-Identifier: Apache-2.0
/** Puts the two directions of each socket together, and says which stream something that they carry belongs to. */
import type { Payload } from '../http/connection.ts';
import { type Direction, Socket } from '../http/socket.ts';
import type { StreamRecord } from '../source/records.ts';
import type { Carrier, HttpExchange, HttpStep } from './frame.ts';
import type { SocketLink, Stream } from './stream.ts';

/** See `SocketSink`, with streams instead of directions. */
export interface SocketsSink {
  lines(stream: Stream, bytes: Buffer, offset: number): void;
  frame(stream: Stream, payload: Payload): void;
  step(stream: Stream, offset: number, exchange: HttpExchange, step: HttpStep['step']): void;
  unwanted(stream: Stream): void;
  /** Neither direction of its socket is worth copying. `hello`: its first bytes, when they are TLS. */
  foreign(stream: Stream, speech: 'tls' | 'unknown', hello: Buffer): void;
}

const SOCKETS: readonly Carrier[] = ['unix', 'tcp', 'tls'];

export class Sockets {
  readonly #sink: SocketsSink;
  readonly #maxMessage: number;
  readonly #streams = new WeakMap<Socket, [Stream | undefined, Stream | undefined]>();
  #connections = 0;
  #exchanges = 0;

  constructor(sink: SocketsSink, maxMessage: number) {
    this.#sink = sink;
    this.#maxMessage = maxMessage;
  }

  /** The socket of a new stream: the one of its opposite direction, if that is known. */
  link(record: StreamRecord, pair: Stream | undefined): SocketLink | undefined {
    if (!SOCKETS.includes(record.carrier)) return undefined;
    const known = pair?.socket;
    if (known) {
      const direction: Direction = known.direction === 0 ? 1 : 0;
      if (!this.#streams.get(known.shared)?.[direction]) return linkOf(known.shared, direction);
    }
    return linkOf(this.#create(record.carrier), 0);
  }

  begin(stream: Stream, { shared, direction }: SocketLink): void {
    const streams = this.#streams.get(shared);
    if (streams) streams[direction] = stream;
    shared.begin(direction, stream, stream.joined);
    // What a client said first may be known before the server's direction is seen: it is not copied, either.
    if (shared.isForeign) this.#sink.foreign(stream, 'unknown', Buffer.alloc(0));
  }

  /** Both directions of the socket of `stream`. */
  both(stream: Stream): readonly Stream[] {
    const streams = stream.socket && this.#streams.get(stream.socket.shared);
    return streams ? streams.filter((each) => each !== undefined) : [stream];
  }

  #create(carrier: Carrier): Socket {
    const streams: [Stream | undefined, Stream | undefined] = [undefined, undefined];
    const on = <T extends unknown[]>(direction: Direction, then: (stream: Stream, ...rest: T) => void) => {
      const stream = streams[direction];
      return (...rest: T) => void (stream && then(stream, ...rest));
    };
    const { lines, frame, step, unwanted, foreign } = this.#sink;
    const socket = new Socket(
      {
        lines: (direction, ...rest) => on(direction, lines)(...rest),
        frame: (direction, ...rest) => on(direction, frame)(...rest),
        step: (direction, ...rest) => on(direction, step)(...rest),
        unwanted: (direction) => on(direction, unwanted)(),
        foreign: (speech, direction, hello) => {
          // Requests may never have been seen.
          const stream = streams[direction] ?? streams[direction === 0 ? 1 : 0];
          if (stream) foreign(stream, speech, hello);
        },
      },
      {
        maxMessage: this.#maxMessage,
        connection: ++this.#connections,
        linesByDefault: carrier === 'unix',
        nextExchange: () => ++this.#exchanges,
      },
    );
    this.#streams.set(socket, streams);
    return socket;
  }
}

function linkOf(shared: Socket, direction: Direction): SocketLink {
  return { shared, direction, callTime: -1, recordTime: -1 };
}
