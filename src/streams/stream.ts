// SPDX-License-Identifier: Apache-2.0
/** One direction of bytes: merges what both ends supply, cuts it into frames, knows who is at each end. */
import type { Direction, Socket } from '../http/socket.ts';
import type { LineFramer } from '../protocols/lines.ts';
import type { StreamRecord } from '../source/records.ts';
import type { Drained } from './drained.ts';
import type { Address, Carrier, StreamRef } from './frame.ts';
import type { Merge } from './merge.ts';
import type { Written } from './written.ts';

/** For how long a stream is not worth copying: for good, or until a call begins with the head of an HTTP/1 message. */
export type StopUntil = 'always' | 'http1-head';

/** What is known of one end. */
export interface End {
  pid: number | undefined;
  /** The descriptor it uses. */
  fd: number | undefined;
  /** CLOCK_MONOTONIC of its first call, nanoseconds. */
  since: number;
  /** Found in /proc, not seen calling. */
  presumed: boolean;
}

/** Of a socket. */
export interface SocketLink {
  /** Decides what the socket speaks, together with the opposite direction. */
  readonly shared: Socket<Stream>;
  readonly direction: Direction;
  /** CLOCK_MONOTONIC of the last call seen, nanoseconds: pieces of one call have the same. */
  callTime: number;
  /** CLOCK_MONOTONIC of the last record, wanted or not, nanoseconds. */
  recordTime: number;
}

/** What only streams of a network have. */
interface Net {
  source: Address | undefined;
  destination: Address | undefined;
  readonly tls: string | undefined;
  readonly seenAt: 'writer' | 'reader' | undefined;
  carriedBy: number | undefined;
  /** Of the clear text inside TLS: which connection carries it could not be told in time. */
  untied: boolean;
  /** It carries TLS: what was said first, and for which processes it has been counted. */
  hello: { readonly bytes: Buffer; readonly counted: Set<number> } | undefined;
}

/** What a stream is made of. */
export interface Parts {
  readonly merge: Merge<Stream>;
  readonly framer: LineFramer;
  readonly socket: SocketLink | undefined;
}

/** There may be 50,000: what few of them have is made, or set, with the first use. */
export class Stream implements StreamRef {
  readonly id: number;
  /** What the kernel calls it now; `id` stays. */
  kernelId: number;
  readonly carrier: Carrier;
  readonly inode: number;
  readonly peerInode: number;
  readonly device: number;
  readonly pair: number;
  /** Of TCP and of the clear text inside TLS. */
  readonly net: Net | undefined;
  readonly merge: Merge<Stream>;
  readonly framer: LineFramer;
  readonly socket: SocketLink | undefined;
  readonly writer: End = unknownEnd();
  /** Replaced, not changed, when its process has ended: frames before have their own reader. */
  reader: End = unknownEnd();
  /** The processes seen writing before `writer`, if any: a wrapper and the server it started may share a descriptor. */
  formerWriters: Set<number> | undefined;
  /** Which of them wrote what the reader's calls have supplied; made when they have supplied something. */
  written: Written | undefined;
  /** CLOCK_MONOTONIC of its last bytes, nanoseconds. */
  lastTime: number;
  /** The time under which its last frame or gap went into the queue. */
  lastOut: number;
  /** Where its reader leaves the bytes to its writer. */
  drained: Drained | undefined;
  /** Bytes seen since the last line end. */
  unframed = 0;
  readonly joined: boolean;
  stderr: boolean;
  /** Somebody downstream has recognised it: it is never given up for being large. */
  kept = false;
  ended = false;
  /** Has a frame come out of it? */
  begun = false;
  /** Has /proc been asked who holds the ends? */
  asked = false;
  /** /proc has been asked and has answered. */
  answered = false;
  /** The monitor does not want its bytes, for so long. */
  stopped: StopUntil | undefined;

  constructor(record: StreamRecord, { merge, framer, socket }: Parts) {
    this.id = record.stream;
    this.kernelId = record.stream;
    this.carrier = record.carrier;
    this.inode = record.inode;
    this.peerInode = record.peerInode;
    this.device = record.device;
    this.pair = record.pair;
    this.net = record.addresses || record.carrier === 'tls' ? netOf(record) : undefined;
    this.merge = merge;
    this.framer = framer;
    this.socket = socket;
    this.lastTime = record.time;
    this.lastOut = record.time;
    this.joined = record.joined;
    this.stderr = record.carrier === 'stderr';
    merge.of = this;
  }

  get source(): Address | undefined {
    return this.net?.source;
  }

  get destination(): Address | undefined {
    return this.net?.destination;
  }

  get tls(): string | undefined {
    return this.net?.tls;
  }

  get seenAt(): 'writer' | 'reader' | undefined {
    return this.net?.seenAt;
  }

  get carriedBy(): number | undefined {
    return this.net?.carriedBy;
  }
}

function netOf({ carrier, addresses, tls, pair }: StreamRecord): Net {
  const inside = carrier === 'tls';
  return {
    source: addresses?.source,
    destination: addresses?.destination,
    tls: inside ? tls : undefined,
    // The direction that is read is the pair of the one that is written.
    seenAt: inside ? (pair ? 'reader' : 'writer') : undefined,
    carriedBy: undefined,
    untied: false,
    hello: undefined,
  };
}

/** Every process seen writing. */
export function writersOf({ writer, formerWriters }: Stream): readonly number[] {
  return [...(formerWriters ?? []), ...(writer.pid === undefined ? [] : [writer.pid])];
}

/** Has this process been seen writing? Asked of all streams again and again: nothing is made for the answer. */
export function hasWritten({ writer, formerWriters }: Stream, pid: number): boolean {
  return writer.pid === pid || formerWriters?.has(pid) === true;
}

/** `pid` is about to become the writer. */
export function noteFormerWriter(stream: Stream, pid: number): void {
  const before = stream.writer.pid;
  if (before === undefined) return;
  stream.formerWriters ??= new Set();
  stream.formerWriters.add(before).delete(pid);
}

/** An end of which nothing is known. */
export function unknownEnd(): End {
  return { pid: undefined, fd: undefined, since: 0, presumed: false };
}

/** One direction between two addresses. */
export function addressKey(source: Address, destination: Address): string {
  // Joined, and not a template: V8 would keep the pieces for as long as the whole.
  return [source.ip, source.port, destination.ip, destination.port].join(' ');
}
