// SPDX-License-Identifier: Apache-2.0
/** Puts the two directions of each socket together. */
import { type Direction, Socket, type SocketOptions, type SocketSink } from '../http/socket.ts';
import type { StreamRecord } from '../source/records.ts';
import type { Carrier } from './frame.ts';
import type { SocketLink, Stream } from './stream.ts';

const SOCKETS: readonly Carrier[] = ['unix', 'tcp', 'tls'];

export class Sockets {
  readonly #sink: SocketSink<Stream>;
  readonly #options: SocketOptions;
  readonly #unixOptions: SocketOptions;
  #connections = 0;
  #exchanges = 0;

  constructor(sink: SocketSink<Stream>, maxMessage: number) {
    this.#sink = sink;
    this.#options = { maxMessage, linesByDefault: false, nextExchange: () => ++this.#exchanges };
    this.#unixOptions = { ...this.#options, linesByDefault: true };
  }

  /** The socket of a new stream: the one of its opposite direction, if that is known. */
  link(record: StreamRecord, pair: Stream | undefined): SocketLink | undefined {
    if (!SOCKETS.includes(record.carrier)) return undefined;
    const known = pair?.socket;
    if (known) {
      const direction: Direction = known.direction === 0 ? 1 : 0;
      if (!known.shared.stream(direction)) return linkOf(known.shared, direction);
    }
    const options = record.carrier === 'unix' ? this.#unixOptions : this.#options;
    return linkOf(new Socket(this.#sink, options, ++this.#connections), 0);
  }

  begin(stream: Stream, { shared, direction }: SocketLink): void {
    shared.begin(direction, stream, stream.joined);
    // What a client said first may be known before the server's direction is seen: it is not copied, either.
    if (shared.isForeign) this.#sink.foreign(stream, 'unknown', Buffer.alloc(0));
  }

  /** Both directions of the socket of `stream`. */
  both(stream: Stream): readonly Stream[] {
    const shared = stream.socket?.shared;
    if (!shared) return [stream];
    return [shared.stream(0), shared.stream(1)].filter((each) => each !== undefined);
  }
}

function linkOf(shared: Socket<Stream>, direction: Direction): SocketLink {
  return { shared, direction, callTime: -1, recordTime: -1 };
}
