// SPDX-License-Identifier: Apache-2.0
/** What a source delivers, decoded. Times are CLOCK_MONOTONIC nanoseconds. */
import type { Address, Carrier, LossCause } from '../streams/frame.ts';

/** Bytes that moved through a stream. */
export interface DataRecord {
  readonly type: 'data';
  readonly time: number;
  readonly pid: number;
  readonly stream: number;
  /** The descriptor of the call. */
  readonly fd: number;
  /** Position in the stream of the first byte. */
  readonly offset: number;
  /** From the reader's call; else from the writer's. */
  readonly fromReader: boolean;
  /** The carrier keeps message boundaries and one is at the end of these bytes. */
  readonly packetEnd: boolean;
  /** Copying had been stopped until a message would begin; here it does. */
  readonly resumed?: boolean;
  /** Several processes have written to the stream: both ends hand over all that they move. */
  readonly shared?: boolean;
  /** The call has moved more than this: the other end may be far ahead of what is told of it. */
  readonly batch?: boolean;
  /**
   * Valid only while the record is being handled: it lies in the ring. None where a reader leaves what it reads to
   * its writer's calls: it has had all that went in, `offset` bytes by its own count, which began at another byte.
   */
  readonly bytes: Buffer;
}

/** Bytes that could not be captured. */
export interface GapRecord {
  readonly type: 'gap';
  readonly time: number;
  readonly stream: number;
  /** Position of the first; `undefined` for losses that have added up and whose places are not known. */
  readonly offset: number | undefined;
  readonly bytes: number;
  /** Newlines among them, when known. */
  readonly lines: number | undefined;
  /** Is the last of them a newline? `undefined` when that is not known. */
  readonly endsLine: boolean | undefined;
  readonly cause: LossCause;
  /** The other end's calls may still supply them. */
  readonly mayArrive: boolean;
  /** The reader's call moved them unseen; else the writer's. */
  readonly fromReader: boolean;
}

/** A stream begins to be followed. */
export interface StreamRecord {
  readonly type: 'stream';
  readonly time: number;
  /** Whose call began it; 0 when that is not known. */
  readonly pid: number;
  readonly stream: number;
  readonly carrier: Carrier;
  /** Of the pipe, or of the writing socket; 0 when not known. */
  readonly inode: number;
  /** Of the reading socket; 0 when not known. */
  readonly peerInode: number;
  readonly device: number;
  /** The opposite direction of the same socket, or 0. */
  readonly pair: number;
  /** It may have carried bytes before. */
  readonly joined: boolean;
  /** Of TCP. */
  readonly addresses?: Addresses | undefined;
  /** Of TLS: the library. */
  readonly tls?: string | undefined;
}

/** Where the bytes of one direction come from and go to. */
export interface Addresses {
  readonly source: Address;
  readonly destination: Address;
}

/** The clear text of this stream travels encrypted over these addresses. */
export interface TieRecord {
  readonly type: 'tie';
  readonly time: number;
  readonly stream: number;
  readonly addresses: Addresses;
}

/** A process was seen at an end of a stream. */
export interface EndpointRecord {
  readonly type: 'endpoint';
  readonly time: number;
  readonly stream: number;
  readonly pid: number;
  readonly fd: number;
  readonly reader: boolean;
  readonly comm: string;
  /** It is out of scope: it has connected or accepted, and may be gone by now. */
  readonly stranger?: true | undefined;
}

/** A reader met the end of a stream. */
export interface EofRecord {
  readonly type: 'eof';
  readonly time: number;
  readonly stream: number;
}

export interface ForkRecord {
  readonly type: 'fork';
  readonly time: number;
  readonly pid: number;
  readonly parent: number;
  readonly comm: string;
}

export interface ExecRecord {
  readonly type: 'exec';
  readonly time: number;
  readonly pid: number;
  readonly comm: string;
  /** As given to execve, after `#!`; may be relative. */
  readonly exe: string;
  readonly argv: readonly string[];
}

export interface ExitRecord {
  readonly type: 'exit';
  readonly time: number;
  readonly pid: number;
}

export type ControlRecord =
  | StreamRecord
  | TieRecord
  | EndpointRecord
  | EofRecord
  | ForkRecord
  | ExecRecord
  | ExitRecord;
export type SourceRecord = DataRecord | GapRecord | ControlRecord;

/** Consumes records in the order in which things happened. */
export interface RecordSink {
  record(record: SourceRecord): void;
  /**
   * All that had happened up to `time` has been delivered.
   * @returns whether something still waits for a moment to pass: then this is called again soon.
   */
  settled(time: number): boolean;
}
