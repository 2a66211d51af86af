// SPDX-License-Identifier: Apache-2.0
/** The few control messages between the sensor and the monitor. Payload never travels here. */
import type { Address } from '../streams/frame.ts';
import type { Backend, BackendChoice } from './backend.ts';
import type { UprobeKind } from './uprobes.ts';

/** A process as the sensor reads it from /proc. */
export interface ProcessInfo {
  readonly pid: number;
  readonly comm: string;
  readonly exe?: string;
  readonly argv?: readonly string[];
}

/** A process that holds an end of a pipe or socket. */
export interface Holder extends ProcessInfo {
  readonly fd: number;
  /** Is it watched? Then its own calls will tell. */
  readonly inScope: boolean;
}

/** Which file to look for in the descriptors of all processes. */
export type HolderQuery = FileQuery | TcpQuery;

/** The socket of a TCP connection, in the network namespace of the process `near`. */
export interface TcpQuery {
  readonly carrier: 'tcp';
  readonly near: number;
  /** Addresses as that socket sees them. */
  readonly local: Address;
  readonly remote: Address;
}

/** A socket of a connection on this machine, and the only process that holds it. */
export interface HeldSocket {
  /** As that socket sees them. */
  readonly local: Address;
  readonly remote: Address;
  readonly process: ProcessInfo;
}

/** There is a connection on this machine, in the network namespace of the process `near`: who is at its ends? */
export interface ConnectionMessage {
  readonly type: 'connection';
  readonly near: number;
  readonly source: Address;
  readonly destination: Address;
}

export interface FileQuery {
  readonly inode: number;
  /** Of a pipe; sockets are known by inode alone. */
  readonly device: number;
  readonly carrier: 'pipe' | 'socket';
  /** Which end of a pipe; both ends of a socket are files of their own. */
  readonly end: 'read' | 'write';
}

/** What the capture needs to know before it can begin. */
export interface StartMessage {
  readonly type: 'start';
  /** Bytes, a power of two. */
  readonly ringSize: number;
  readonly backend: BackendChoice;
  readonly wholeMachine: boolean;
  readonly pids: readonly number[];
  /** Processes never to be watched. */
  readonly ignore: readonly number[];
  /**
   * What `run` will start. Said here, before the monitor has seen a byte that others chose, so
   * that a monitor taken over by such bytes cannot have root start something else.
   */
  readonly command: WatchedCommand | undefined;
}

/** A user account. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
  /** Does the machine know it, and so its groups? */
  readonly listed: boolean;
}

/** A command to start inside the scope, as the given user. */
export interface WatchedCommand {
  readonly file: string;
  readonly argv: readonly string[];
  readonly user: Account | undefined;
}

export type ToSensor =
  | StartMessage
  /** Descriptors of the files that the monitor writes lines to; once. */
  | { readonly type: 'outputs'; readonly descriptors: readonly number[] }
  /** Starts the command that was named at the start; once. */
  | { readonly type: 'run' }
  | { readonly type: 'signal'; readonly signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' }
  | { readonly type: 'holders'; readonly request: number; readonly query: HolderQuery }
  | { readonly type: 'process'; readonly request: number; readonly pid: number }
  | ConnectionMessage
  | { readonly type: 'stop' };

/** Bytes, records and newlines lost for one cause (see `enum loss_cause` in bpf/record.h). */
export interface LossCount {
  readonly cause: number;
  readonly bytes: number;
  readonly records: number;
  readonly lines: number;
}

/** Losses that the kernel could not tell of in time. */
export interface PendingLoss {
  readonly stream: number;
  /** Where they begin; `undefined` when only their number is known. */
  readonly offset: number | undefined;
  /** `enum record_flags` in bpf/record.h. */
  readonly flags: number;
  readonly bytes: number;
  readonly lines: number;
  readonly cause: number;
}

/** A TLS library in a process. */
export interface TlsLibrary {
  readonly library: string;
  /** Is what it encrypts captured in clear? */
  readonly readable: boolean;
  /** Why it is not. */
  readonly reason?: string;
}

export interface ReadyMessage {
  readonly type: 'ready';
  readonly backend: Backend;
  /** Map ids. */
  readonly maps: Readonly<Record<'data' | 'gaps' | 'control' | 'verdicts' | 'asleep', number>>;
  readonly ringSize: number;
  readonly gapsSize: number;
  readonly controlSize: number;
  readonly verdictSlots: number;
  /** Is io_uring noticed? Its tracepoint is not on every kernel. */
  readonly ioUring: boolean;
  /** How TLS libraries are probed. */
  readonly tls: UprobeKind;
}

/** Who is there. Comes once, and where there are many after `ready`: to describe thousands takes half a second. */
export interface IntroducedMessage {
  readonly type: 'introduced';
  /** Processes in scope when the capture began. */
  readonly processes: readonly ProcessInfo[];
  /** The other ends of their connections on this machine. */
  readonly peers: readonly HeldSocket[];
}

export type FromSensor =
  | ReadyMessage
  | IntroducedMessage
  | { readonly type: 'failed'; readonly code: number; readonly message: string }
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'notStarted'; readonly message: string; readonly code: number }
  | { readonly type: 'ended'; readonly code: number | null; readonly signal: string | null }
  | { readonly type: 'holders'; readonly request: number; readonly holders: readonly Holder[] }
  | { readonly type: 'process'; readonly request: number; readonly process: ProcessInfo | null }
  /** Ends of connections that the monitor has told of; nothing where they are not to be found. */
  | { readonly type: 'held'; readonly held: readonly HeldSocket[] }
  /** All TLS libraries known to be in a process by now. */
  | { readonly type: 'tls'; readonly pid: number; readonly libraries: readonly TlsLibrary[] }
  /** Processes in scope whose beginning or end the kernel programs have not told of. */
  | {
      readonly type: 'caughtUp';
      readonly processes: readonly ProcessInfo[];
      readonly ended: readonly number[];
    }
  | { readonly type: 'losses'; readonly losses: readonly LossCount[] }
  | {
      readonly type: 'stopped';
      readonly losses: readonly LossCount[];
      readonly pending: readonly PendingLoss[];
    };
