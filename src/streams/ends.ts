// SPDX-License-Identifier: Apache-2.0
/** Who is at the ends of a stream: seen calling, found in /proc, or not known. */

import type { HeldSocket, Holder, HolderQuery, ProcessInfo } from '../sensor/messages.ts';
import type { Addresses, EndpointRecord, StreamRecord } from '../source/records.ts';
import { keepYoungest } from '../youngest.ts';
import { Born } from './born.ts';
import type { Address, Endpoint, FrameContent, HttpFrame } from './frame.ts';
import { LocalAddresses } from './local-addresses.ts';
import type { ProcessTable } from './processes.ts';
import { addressKey, type End, type Stream, unknownEnd } from './stream.ts';

/** What the tracker asks of the privileged side. */
export interface Lookup {
  holders(query: HolderQuery): Promise<readonly Holder[]>;
  process(pid: number): Promise<ProcessInfo | null>;
  /** Has the ends of a connection on this machine looked for; what is found comes to `Ends.held`. */
  connection(near: number, addresses: Addresses): void;
}

/** How long what is written in clear text may take to reach its socket: the thread may have to wait for a processor. */
const TIE_WRITTEN_NS = 1e9;
/** What is read has left its socket: only an answer to it, or something written at the same time, can still tell which that is … */
const TIE_READ_NS = 50e6;
/** … or, where the connection is younger than the capture, its handshake, for which the probes may be on their way. */
const TIE_READ_NEW_NS = 500e6;

/** How often /proc is asked for the holder of a connection, and how many times: about as long as a frame is held. */
const ACCEPT_MS = 50;
const ACCEPT_TRIES = 40;
/** So long after a connection has begun, the ends that no call has shown are looked for. */
const YOUNG_MS = 5;
/** Sockets whose holder is remembered. */
const HELD_MAX = 16384;

export class Ends {
  readonly #processes: ProcessTable;
  readonly #lookup: Lookup;
  readonly #carrying: (source: Address, destination: Address) => Stream | undefined;
  readonly #local = new LocalAddresses();
  readonly #asking = new Set<number>();
  /** Who alone held a socket soon after its connection began, by its addresses; the oldest first. */
  readonly #held = new Map<string, Endpoint>();
  /** Connections that have just begun. */
  readonly #young: { readonly near: number; readonly addresses: Addresses }[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #born = new Born((stream) => void this.#askBoth(stream));

  /** @param carrying The TCP stream between two addresses. */
  constructor(
    processes: ProcessTable,
    lookup: Lookup,
    carrying: (source: Address, destination: Address) => Stream | undefined,
  ) {
    this.#processes = processes;
    this.#lookup = lookup;
    this.#carrying = carrying;
  }

  /** A TCP connection begins to be followed. `known`: its other direction has said so before. */
  begun({ pid, addresses, joined }: StreamRecord, known: boolean): void {
    if (
      !addresses ||
      known ||
      !this.#local.has(addresses.source.ip) ||
      !this.#local.has(addresses.destination.ip)
    )
      return;
    // Who held these addresses before it is somebody else.
    if (!joined) for (const key of keysOf(addresses)) this.#held.delete(key);
    if (!pid) return;
    this.#young.push({ near: pid, addresses });
    this.#timer ??= setTimeout(() => this.#askYoung(), YOUNG_MS).unref();
  }

  #askYoung(): void {
    this.#timer = undefined;
    for (const { near, addresses } of this.#young.splice(0)) {
      const stream = this.#carrying(addresses.source, addresses.destination);
      // Where both are in scope their calls have told by now.
      if (stream?.writer.pid === undefined || stream.reader.pid === undefined)
        this.#lookup.connection(near, addresses);
    }
  }

  held(sockets: readonly HeldSocket[]): void {
    for (const { local, remote, process } of sockets) {
      const key = addressKey(local, remote);
      this.#processes.learn(process);
      this.#held.delete(key);
      this.#held.set(key, this.#processes.get(process.pid) ?? process);
    }
    keepYoungest(this.#held, HELD_MAX);
  }

  /** A process out of scope has connected, or accepted the connection; by now it may be gone, and its pid another's. */
  stranger({ source, destination }: Stream, { pid, comm, reader }: EndpointRecord): void {
    if (!source || !destination) return;
    const [local, remote] = reader ? [destination, source] : [source, destination];
    this.held([{ local, remote, process: { pid, comm } }]);
    this.#lookup.process(pid).then((process) => {
      if (process?.comm === comm) this.held([{ local, remote, process }]);
    });
  }

  /** Who alone held the socket at this end when the connection was young; its calls were not seen. */
  #holderOf({ carrier, source, destination }: Stream, end: 'writer' | 'reader'): Endpoint | undefined {
    if ((carrier !== 'tcp' && carrier !== 'tls') || !source || !destination) return undefined;
    return this.#held.get(
      end === 'writer' ? addressKey(source, destination) : addressKey(destination, source),
    );
  }

  /** May a frame go that is held until both ends are known? Those that cannot be JSON-RPC need not wait. */
  whenKnown(stream: Stream, content: FrameContent, time: number, http?: HttpFrame): (now: number) => boolean {
    if (stream.stderr || !(stream.kept || looksLikeRpc(content))) return always;
    if (stream.carrier === 'tls')
      return (now) =>
        this.#tied(stream, now - time, http?.side === 'request') &&
        this.#knownBelow(stream, 'writer') &&
        this.#knownBelow(stream, 'reader');
    this.#forgetEnded(stream, time);
    if (stream.reader.pid === undefined || stream.writer.pid === undefined) this.ask(stream);
    const { reader } = stream;
    return () => this.#known(stream, stream.writer) && this.#known(stream, reader);
  }

  /**
   * Is it known which connection carries a TLS stream, or has that been `waited` for, nanoseconds?
   * `isAnswered`: by something that will be written.
   */
  #tied(stream: Stream, waited: number, isAnswered: boolean): boolean {
    const { net } = stream;
    if (!net || net.source || net.untied || stream.ended) return true;
    // What is encrypted goes into the socket a moment later. One that did not is not waited for again.
    const read = stream.joined ? TIE_READ_NS : TIE_READ_NEW_NS;
    const written = isAnswered || stream.writer.pid !== undefined;
    net.untied = waited > (written ? TIE_WRITTEN_NS : read);
    return net.untied;
  }

  /** Of a TLS stream one end is in sight; the other one is that of the connection below, if that ends here, too. */
  #knownBelow(stream: Stream, end: 'writer' | 'reader'): boolean {
    const { source, destination } = stream;
    if (stream[end].pid !== undefined || !source || !destination) return true;
    const below = this.#carrying(source, destination);
    if (!below || !this.#local.has((end === 'writer' ? source : destination).ip)) return true;
    if (below[end].pid === undefined) this.ask(below);
    return below.ended || this.#known(below, below[end]);
  }

  /** A new process will read what is written, by `time`, after a restarted server's predecessor has ended. */
  #forgetEnded(stream: Stream, time: number): void {
    const { pid } = stream.reader;
    if (pid === undefined || !this.#processes.hasEnded(pid, time)) return;
    stream.reader = unknownEnd();
    stream.asked = false;
    stream.answered = false;
  }

  #known(stream: Stream, end: End): boolean {
    if (end.pid === undefined) return stream.ended || !this.#awaited(stream, end);
    const process = this.#processes.get(end.pid);
    // A process seen before its description arrived: the answer takes milliseconds.
    return process !== undefined && (!stream.asked || stream.answered || stream.ended);
  }

  /** May somebody on this machine yet turn out to be at this end? */
  #awaited(stream: Stream, end: End): boolean {
    if (stream.carrier === 'tls') return false;
    if (stream.carrier !== 'tcp') return true;
    const address = end === stream.writer ? stream.source : stream.destination;
    return !stream.answered && address !== undefined && this.#local.has(address.ip);
  }

  /** May it yet turn out who, on this machine, has written or read what is told of this stream now? */
  mayTurnOut(stream: Stream): boolean {
    const { carrier, source, destination } = stream;
    const below = carrier === 'tls' && source && destination ? this.#carrying(source, destination) : stream;
    if (!below) return false;
    const missing = (end: 'writer' | 'reader', address: Address | undefined) =>
      !this.whoWas(below[end], Number.POSITIVE_INFINITY) &&
      (below.carrier !== 'tcp' || (address !== undefined && this.#local.has(address.ip)));
    return below.carrier !== 'tls' && (missing('writer', source) || missing('reader', destination));
  }

  /** Who was there at `time`, or came after: a frame may wait in the pipe for a process that is yet to begin. */
  whoWas({ pid, since }: End, time: number): Endpoint | undefined {
    return pid === undefined ? undefined : this.#processes.at(pid, Math.max(time, since));
  }

  /** The same of a stream's end. Behind one end of TLS there is the one that reads or writes the connection below. */
  who(stream: Stream, end: 'writer' | 'reader', time: number): Endpoint | undefined {
    const known = this.whoWas(stream[end], time);
    if (known) return known;
    const below =
      stream.carrier === 'tls' && stream.source && stream.destination
        ? this.#carrying(stream.source, stream.destination)
        : undefined;
    return (below && this.whoWas(below[end], time)) ?? this.#holderOf(stream, end);
  }

  askProcess(pid: number): void {
    if (this.#asking.has(pid)) return;
    this.#asking.add(pid);
    this.#lookup.process(pid).then((info) => {
      this.#asking.delete(pid);
      if (info) this.#processes.learn(info);
    });
  }

  /** Who holds the ends that no call has shown? Asked once. */
  ask(stream: Stream): void {
    if (!stream.asked) this.#askHolders(stream);
  }

  /** Out of scope, /proc is the only witness. */
  #askHolders(stream: Stream): void {
    stream.asked = true;
    if (stream.carrier === 'tcp') {
      this.#askTcp(stream);
      return;
    }
    if (!stream.inode || stream.carrier === 'stderr' || stream.carrier === 'tls') {
      stream.answered = true;
      return;
    }
    // Made in scope, it is held by processes in scope: mostly they tell by their next call, and nobody has to look.
    if (stream.joined) void this.#askBoth(stream);
    else this.#born.add(stream);
  }

  async #askBoth(stream: Stream): Promise<void> {
    try {
      await Promise.all([this.#ask(stream, true), this.#ask(stream, false)]);
    } finally {
      stream.answered = true;
    }
  }

  async #ask(stream: Stream, reader: boolean): Promise<void> {
    const end = reader ? stream.reader : stream.writer;
    // Whoever held an end of what is over by now has gone from it.
    if (end.pid !== undefined || stream.ended) return;
    const socket = stream.carrier !== 'pipe';
    const inode = socket && reader ? stream.peerInode : stream.inode;
    const query: HolderQuery = {
      inode,
      device: stream.device,
      carrier: socket ? 'socket' : 'pipe',
      end: reader ? 'read' : 'write',
    };
    const holders = inode ? await this.#lookup.holders(query) : [];
    this.#presume(stream, reader, holders);
  }

  /** The other end of a connection on this machine: whose socket has its addresses? */
  #askTcp(stream: Stream): void {
    const { source, destination } = stream;
    const reader = stream.reader.pid === undefined;
    const near = reader ? stream.writer.pid : stream.reader.pid;
    const address = reader ? destination : source;
    if (!source || !destination || near === undefined || !address || !this.#local.has(address.ip)) {
      stream.answered = true;
      return;
    }
    const [local, remote] = reader ? [destination, source] : [source, destination];
    const query: HolderQuery = { carrier: 'tcp', near, local, remote };
    const again = (tries: number) => {
      if ((reader ? stream.reader : stream.writer).pid !== undefined) {
        stream.answered = true;
        return;
      }
      this.#lookup.holders(query).then((holders) => {
        this.#presume(stream, reader, holders);
        const end = reader ? stream.reader : stream.writer;
        // A connection that waits to be accepted has no holder yet; one that had one, and has none, is over there.
        const gone = !holders.length && this.#holderOf(stream, reader ? 'reader' : 'writer');
        if (end.pid === undefined && !stream.ended && !gone && tries > 0)
          setTimeout(() => again(tries - 1), ACCEPT_MS).unref();
        else stream.answered = true;
      });
    };
    // A process in scope is about to tell by its call, and looking costs the kernel tens of milliseconds.
    if (stream.joined) again(ACCEPT_TRIES);
    else setTimeout(() => again(ACCEPT_TRIES), ACCEPT_MS).unref();
  }

  /**
   * Takes a holder from /proc for an end only when it cannot be anybody else: it is the
   * only one, and it is out of scope, so that no call of its will ever tell.
   */
  #presume(stream: Stream, reader: boolean, holders: readonly Holder[]): void {
    const end = reader ? stream.reader : stream.writer;
    const other = reader ? stream.writer : stream.reader;
    const candidates = holders.filter((holder) => holder.pid !== other.pid);
    const [only] = candidates;
    if (end.pid !== undefined || !only || candidates.length > 1) return;
    // Of TCP only who has accepted a connection holds it: its calls will say the same.
    if (only.inScope && stream.carrier !== 'tcp') return;
    this.#processes.learn(only);
    end.pid = only.pid;
    end.fd = only.fd;
    end.since = 0;
    end.presumed = true;
  }
}

const always = () => true;

/** Both sockets of a connection, by their addresses. */
function keysOf({ source, destination }: Addresses): [string, string] {
  return [addressKey(source, destination), addressKey(destination, source)];
}

const RPC_MARK = '"jsonrpc"';
/** In a large frame the mark is looked for so far from either end. */
const MARK_RANGE = 4096;

/** Only a frame that may be JSON-RPC is worth making others wait for. */
function looksLikeRpc(content: FrameContent): boolean {
  if (content.type === 'oversize') return true;
  if (content.type !== 'text') return false;
  if (!content.bytes) return content.text.includes(RPC_MARK);
  return (
    content.bytes.subarray(0, MARK_RANGE).includes(RPC_MARK) ||
    content.bytes.subarray(-MARK_RANGE).includes(RPC_MARK)
  );
}
