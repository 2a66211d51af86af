// SPDX-License-Identifier: Apache-2.0
/** What leaves `streams/`: whole frames, gaps and ends, in time order, with both endpoints as far as known. */

import type { HttpVersion, MessageEnd, RequestHead, ResponseHead, Side } from '../protocols/http.ts';

/** A process as it was when a frame passed. Unknown parts are absent, never guessed. */
export interface Endpoint {
  /** Thread-group id in the initial pid namespace. */
  readonly pid: number;
  /** Name of the thread-group leader, at most 15 bytes (`/proc/PID/comm`). */
  readonly comm: string;
  /** Path of the running program. */
  readonly exe?: string;
  /** Command line; cut at 4096 bytes. */
  readonly argv?: readonly string[];
}

/** What carries a stream. `tls`: the clear text inside TLS, seen at one end. */
export type Carrier = 'pipe' | 'unix' | 'unix-seqpacket' | 'stderr' | 'tcp' | 'tls';

/** An end of a TCP connection. */
export interface Address {
  /** As in `127.0.0.1` or `2001:db8::1`; IPv4 in IPv6 as IPv4. */
  readonly ip: string;
  readonly port: number;
}

/** One direction of bytes between two endpoints. */
export interface StreamRef {
  /** Unique within a capture. */
  readonly id: number;
  readonly carrier: Carrier;
  /** Of the writing end, where it can be known. */
  readonly source?: Address | undefined;
  /** Of the reading end. */
  readonly destination?: Address | undefined;
  /** The TLS library that was asked to read or write, e.g. `OpenSSL`; absent where nothing is encrypted. */
  readonly tls?: string | undefined;
  /** Of the clear text inside TLS: at which of its ends it was read. */
  readonly seenAt?: 'writer' | 'reader' | undefined;
  /** The same: the TCP stream that carries it, by its id, once that is known. */
  readonly carriedBy?: number | undefined;
  /** It may have carried bytes before the first that were seen. */
  readonly joined?: boolean;
}

/** A request and its response, as HTTP sees them; one object, filled as the exchange goes on. */
export interface HttpExchange {
  /** Unique within a capture. */
  readonly id: number;
  /** Number of the connection that carries it, unique within a capture. */
  readonly connection: number;
  readonly version: HttpVersion;
  /** The stream that carries requests. `undefined` while only the response has been seen. */
  readonly requests: StreamRef | undefined;
  readonly responses: StreamRef | undefined;
  /** `undefined` where the capture began behind it. */
  readonly request: RequestHead | undefined;
  /** `undefined` until it comes. */
  readonly response: ResponseHead | undefined;
}

/** How HTTP carried a frame. */
export interface HttpFrame {
  readonly exchange: HttpExchange;
  /** In the request, or in the response. Of a WebSocket: sent by the client, or by the server. */
  readonly side: Side;
  /** A body of its own, an event of an event stream, or a message of a WebSocket. */
  readonly form: 'body' | 'sse' | 'websocket';
  /** `id` of the event: the last one given on this event stream (HTML standard, 9.2.6); absent if none was. */
  readonly eventId?: string;
  /** `event` of the event; absent when it is `message`. */
  readonly eventName?: string;
}

/** Why bytes are missing. */
export type LossCause =
  /** The ring had no room: the monitor was too slow. */
  | 'ring-full'
  /** User memory could not be read. */
  | 'unreadable'
  /** No room left to follow one more process or stream. */
  | 'map-full'
  /** `splice`, `tee`, `vmsplice` or `sendfile` moved them. */
  | 'splice'
  /** io_uring moved them. */
  | 'io_uring'
  /** A 32-bit program's system call. */
  | 'compat'
  /** The kernel left our program out: it was at work already, on the same processor. Perhaps nothing was missed. */
  | 'skipped'
  /** The capture began in the middle of a message. */
  | 'joined'
  /** Copying had been stopped: the stream had not shown itself to be MCP by then. */
  | 'stopped'
  /** The bytes never arrived and no cause was given. */
  | 'unknown';

/** One message as it stood on the wire, before anyone has looked inside. */
export interface Frame {
  readonly kind: 'frame';
  /** CLOCK_MONOTONIC, nanoseconds, of the call that completed the frame. */
  readonly time: number;
  readonly stream: StreamRef;
  /** Position in the stream of the first byte. */
  readonly offset: number;
  /** Bytes on the wire, without the line end. */
  readonly size: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
  /** Who wrote or read it is not known, and may yet turn out. */
  readonly unattributed?: true;
  readonly content: FrameContent;
  /** Present when HTTP carried it. */
  readonly http?: HttpFrame;
}

/** What HTTP did beside carrying frames. */
export interface HttpStep {
  readonly kind: 'http';
  readonly time: number;
  /** The one of `side`. */
  readonly stream: StreamRef;
  readonly offset: number;
  readonly exchange: HttpExchange;
  readonly side: Side;
  readonly step: /** The head of the request or of the final response is complete. */
    | { readonly type: 'head' }
    /** An event of an event stream that is no JSON: `endpoint` of HTTP+SSE, for one. */
    | {
        readonly type: 'event';
        readonly name: string;
        readonly data: string;
        readonly id: string | undefined;
      }
    /** The message of this side is over. */
    | {
        readonly type: 'end';
        readonly how: MessageEnd;
        /** Bytes of its body, as sent. */
        readonly size: number;
        /** How many frames it held. */
        readonly frames: number;
        /** The first 1024 bytes of a decoded body that held no frame, as text. */
        readonly body: string | undefined;
      };
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
}

export type FrameContent =
  /** The exact text. A large one comes as a `WireText`, whose `text` is made when it is asked for. */
  | { readonly type: 'text'; readonly text: string; readonly bytes?: Buffer }
  /** Not UTF-8: the exact bytes. */
  | { readonly type: 'binary'; readonly bytes: Buffer }
  /** Larger than the maximum, or there was no room for it beside others (`crowded`): only its head was kept. */
  | { readonly type: 'oversize'; readonly head: string; readonly crowded?: true }
  /** Begun, never completed: a stream's end, a gap or the end of the capture came first. */
  | { readonly type: 'incomplete'; readonly head: string; readonly reason: 'end' | 'gap' | 'stop' };

/** Bytes known to be lost, with their place and number. */
export interface Gap {
  readonly kind: 'gap';
  readonly time: number;
  readonly stream: StreamRef;
  readonly offset: number;
  readonly bytes: number;
  /** Frames lost, when it can be known exactly. */
  readonly frames: number | undefined;
  readonly cause: LossCause;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
}

/** No more bytes will come. */
export interface StreamEnd {
  readonly kind: 'end';
  readonly time: number;
  readonly stream: StreamRef;
}

export type StreamItem = Frame | HttpStep | Gap | StreamEnd;
