// SPDX-License-Identifier: Apache-2.0
/** The clear text inside TLS: whose it is, and which connection carries it; and connections that nothing more is known of. */
import type { Addresses } from '../source/records.ts';
import { Encrypted } from './encrypted.ts';
import type { ProcessTable } from './processes.ts';
import type { Sockets } from './sockets.ts';
import type { Stream } from './stream.ts';
import type { StreamTable } from './table.ts';

export class TlsStreams {
  /** What was seen of TLS, and whose clear text was not. */
  readonly encrypted = new Encrypted();
  readonly #processes: ProcessTable;
  readonly #sockets: Sockets;
  readonly #table: StreamTable;
  /** Those of each process. */
  readonly #of = new Map<number, Set<Stream>>();
  /** Whose beginning was missed, and told of. */
  readonly #late = new WeakSet<Stream>();

  constructor(processes: ProcessTable, sockets: Sockets, table: StreamTable) {
    this.#processes = processes;
    this.#sockets = sockets;
    this.#table = table;
  }

  /** A connection begins with TLS. `hello`: its first bytes. */
  began(stream: Stream, hello: Buffer): void {
    if (stream.carrier !== 'tcp' || !stream.net) return;
    stream.net.hello = { bytes: hello, counted: new Set() };
    for (const { pid } of [stream.writer, stream.reader]) if (pid !== undefined) this.#encrypts(pid, stream);
  }

  /** This process is at an end of a stream. */
  seen(stream: Stream, pid: number): void {
    if (stream.carrier === 'tls') {
      if (this.#isFirstSeen(stream)) this.encrypted.read(pid);
      const streams = this.#of.get(pid);
      if (streams) streams.add(stream);
      else this.#of.set(pid, new Set([stream]));
      this.#tellLate(stream);
    }
    this.#encrypts(pid, stream);
  }

  /** Is it one more process with TLS? It may have been presumed there before. */
  #encrypts(pid: number, { net }: Stream): void {
    const hello = net?.hello;
    const process = this.#processes.get(pid);
    if (!process || !hello || hello.counted.has(process.pid)) return;
    hello.counted.add(process.pid);
    this.encrypted.connection(process, hello.bytes);
  }

  /** Has TLS been seen on a TCP connection between these two processes? */
  between(one: number, other: number): boolean {
    for (const { net, writer, reader } of this.#table.values()) {
      if (!net?.hello) continue;
      const [from, to] = [writer.pid, reader.pid];
      if ((from === one && to === other) || (from === other && to === one)) return true;
    }
    return false;
  }

  /** It has turned out which connection carries this stream. */
  tied(stream: Stream, { source, destination }: Addresses): void {
    for (const each of this.#sockets.both(stream)) {
      if (!each.net) continue;
      each.net.source = each === stream ? source : destination;
      each.net.destination = each === stream ? destination : source;
      this.findCarrier(each);
    }
  }

  /** Addresses are used again: which connection they stand for is to be known while it is there. */
  findCarrier(stream: Stream): void {
    const { carrier, net } = stream;
    if (carrier !== 'tls' || !net || net.carriedBy !== undefined) return;
    const { source, destination } = net;
    if (!source || !destination) return;
    net.carriedBy = this.#table.between(source, destination)?.id;
    this.#tellLate(stream);
  }

  /** Nobody tells of the end of a library's object when the memory it lay in is given up: takes those of this process. */
  takeOf(pid: number): Iterable<Stream> {
    const streams = this.#of.get(pid);
    this.#of.delete(pid);
    return streams ?? [];
  }

  forget(stream: Stream): void {
    if (stream.carrier === 'tls') this.#of.get(stream.writer.pid ?? stream.reader.pid ?? 0)?.delete(stream);
  }

  /** Had clear text passed on a connection that began in sight, before the functions of its library were watched? */
  #tellLate(stream: Stream): void {
    const { joined, carriedBy, tls, writer, reader } = stream;
    const carrier = carriedBy === undefined ? undefined : this.#table.get(carriedBy);
    const process = this.#processes.get(writer.pid ?? reader.pid ?? 0);
    if (!joined || !tls || !process || carrier?.joined !== false) return;
    const both = this.#sockets.both(stream);
    if (!both.some((each) => this.#late.has(each))) this.encrypted.late(process, tls);
    for (const each of both) this.#late.add(each);
  }

  /** Has nobody been seen at the opposite direction of its socket? */
  #isFirstSeen(stream: Stream): boolean {
    return this.#sockets
      .both(stream)
      .every((each) => each === stream || (each.writer.pid === undefined && each.reader.pid === undefined));
  }
}
