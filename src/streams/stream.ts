// SPDX-License-Identifier: Apache-2.0
/** One direction of bytes: merges what both ends supply, cuts it into frames, knows who is at each end. */
import type { Direction, Socket } from '../http/socket.ts';
import type { LineFramer } from '../protocols/lines.ts';
import type { StreamRecord } from '../source/records.ts';
import type { Drained } from './drained.ts';
import type { Address, StreamRef } from './frame.ts';
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

/** There may be 50,000: what few of them have is made, or set, with the first use. */
export interface Stream extends StreamRef, Pick<StreamRecord, 'inode' | 'peerInode' | 'device' | 'pair'> {
  source: Address | undefined;
  destination: Address | undefined;
  carriedBy?: number | undefined;
  readonly joined: boolean;
  /** What the kernel calls it now; `id` stays. */
  kernelId: number;
  readonly merge: Merge<Stream>;
  readonly framer: LineFramer;
  readonly socket: SocketLink | undefined;
  readonly writer: End;
  /** Replaced, not changed, when its process has ended: frames before have their own reader. */
  reader: End;
  /** The processes seen writing before `writer`, if any: a wrapper and the server it started may share a descriptor. */
  formerWriters: Set<number> | undefined;
  /** Which of them wrote what the reader's calls have supplied; made when they have supplied something. */
  written: Written | undefined;
  stderr: boolean;
  /** Of the clear text inside TLS: which connection carries it could not be told in time. */
  untied?: boolean;
  /** It carries TLS: what was said first, and for which processes it has been counted. */
  hello: { readonly bytes: Buffer; readonly counted: Set<number> } | undefined;
  /** The monitor does not want its bytes, for so long. */
  stopped: StopUntil | undefined;
  /** Somebody downstream has recognised it: it is never given up for being large. */
  kept: boolean;
  ended: boolean;
  /** CLOCK_MONOTONIC of its last bytes, nanoseconds. */
  lastTime: number;
  /** The time under which its last frame or gap went into the queue. */
  lastOut: number;
  /** Where its reader leaves the bytes to its writer. */
  drained?: Drained;
  /** Bytes seen since the last line end. */
  unframed: number;
  /** Has a frame come out of it? */
  begun: boolean;
  /** Has /proc been asked who holds the ends? */
  asked: boolean;
  /** /proc has been asked and has answered. */
  answered: boolean;
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
