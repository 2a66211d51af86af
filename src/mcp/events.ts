// SPDX-License-Identifier: Apache-2.0
/** The vocabulary of the bus: what everything after `mcp/` sees. */
import type { HttpVersion, MessageEnd } from '../protocols/http.ts';
import type { Address, Endpoint, LossCause } from '../streams/frame.ts';

/**
 * A JSON-RPC id, kept exactly: `text` is the token as it stood on the wire (`7`, `"a"`,
 * `12345678901234567890`), which is also valid JSON.
 */
export interface RpcId {
  readonly text: string;
}

/** What became of a request, as far as known when the event was made. */
export type Status =
  /** A request: no answer yet. */
  | 'pending'
  | 'ok'
  /** A JSON-RPC error. */
  | 'error'
  /** A result with `isError: true`. */
  | 'tool_error'
  /** A `notifications/cancelled` that took back an open request. */
  | 'cancelled'
  /** A response that came after its request had been cancelled. */
  | 'late'
  /** A response whose request was not seen. */
  | 'orphan';

/** Where the same message was seen before, on its way through a relay. */
export interface Hop {
  /** 2 for the second hop, and so on. */
  readonly number: number;
  /** `seq` of the same message on the hop before. */
  readonly previous: number;
  /** `seq` of the same message where it was seen first. */
  readonly origin: number;
}

/** How HTTP carried a message. Secrets are masked already: `Authorization`, cookies and session ids. */
export interface HttpInfo {
  /** Number of the exchange within the capture: the messages of one request and its response share it. */
  readonly exchange: number;
  /** Was it in a request (from the client), or in a response? */
  readonly isRequest: boolean;
  readonly form: 'body' | 'sse' | 'websocket';
  readonly version: HttpVersion;
  readonly method: string | undefined;
  /** Path and query, with secrets in the query masked. */
  readonly path: string | undefined;
  /** Host and port as the client named them. */
  readonly host: string | undefined;
  /** Of the response; on a message of a request `undefined`. */
  readonly status: number | undefined;
  /** Masked: enough of it to tell sessions apart, not enough to use one. */
  readonly sessionId: string | undefined;
  /** `MCP-Protocol-Version`, or what the session agreed on. */
  readonly protocolVersion: string | undefined;
  /** The headers that MCP defines and that were sent with this message, by lower-case name, decoded and masked. */
  readonly headers: Readonly<Record<string, string>>;
  /** Id of the event of an event stream. */
  readonly eventId: string | undefined;
  /** Library that encrypts; `undefined` for clear text. */
  readonly tls: string | undefined;
  /** The process at whose end it was seen: the one of `from` and `to` that is known, the writing one if both are. */
  readonly process: Endpoint | undefined;
  /** Address of that process' end. */
  readonly local: Address | undefined;
  /** Address of the other end. */
  readonly remote: Address | undefined;
}

/** Common to everything that was seen on a stream. */
interface Seen {
  /** 1, 2, 3, … in output order. */
  readonly seq: number;
  /** Wall clock, nanoseconds since the epoch (a double: exact to about 0.3 µs). */
  readonly time: number;
  /** It comes after something younger: too long it was not known to be MCP. */
  readonly late?: true;
  readonly transport: 'stdio' | 'http';
  /** Present when `transport` is `http`. */
  readonly http?: HttpInfo;
  /** Number of the connection within the capture. */
  readonly connection: number;
  readonly stream: number;
  /** Position in the stream of the first byte. */
  readonly offset: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
}

export interface MessageEvent extends Seen {
  readonly kind: 'message';
  readonly type: 'request' | 'response' | 'notification';
  readonly id: RpcId | undefined;
  /** On a response: the method of its request. */
  readonly method: string | undefined;
  /** Is the method in the table of any MCP version? `undefined` without a method. */
  readonly known: boolean | undefined;
  /** Short human description of a known method. */
  readonly description: string | undefined;
  /** What the call is about: tool or prompt name, resource URI. On a response: that of its request. */
  readonly target: string | undefined;
  readonly status: Status | undefined;
  /** Kernel time between request and response, milliseconds. */
  readonly durationMs: number | undefined;
  /** Of a response with `error`. */
  readonly error: { readonly code: number; readonly message: string } | undefined;
  /** Exact JSON text of the members, cut from `raw`. */
  readonly params: string | undefined;
  readonly result: string | undefined;
  readonly errorText: string | undefined;
  /** Place in a batch array. */
  readonly batch: { readonly index: number; readonly size: number } | undefined;
  readonly hop: Hop | undefined;
  /** Not MCP, but JSON-RPC (`--all-jsonrpc`). */
  readonly foreign: boolean;
  /** Oddities that do not make it invalid, e.g. `duplicate key "method"`. */
  readonly warnings: readonly string[];
  /** The message's exact text; for one of a batch, its own part. */
  readonly raw: string;
  /** Bytes of `raw` on the wire. */
  readonly size: number;
  /**
   * A large message's text and members as bytes, which cost nothing to hand on; `raw`, `params`, `result`
   * and `errorText` are then made when they are asked for.
   */
  readonly wire?: {
    readonly raw: Buffer;
    readonly params?: Buffer;
    readonly result?: Buffer;
    readonly error?: Buffer;
  };
}

/** On an MCP stream, but not a valid JSON-RPC message. */
export interface InvalidEvent extends Seen {
  readonly kind: 'invalid';
  readonly reason: string;
  /** Bytes on the wire. */
  readonly size: number;
  /** The exact text, or its head when `size` says there was more. */
  readonly raw: string | undefined;
  /** Instead of `raw` when the bytes are not UTF-8. */
  readonly rawBase64: string | undefined;
}

/** It has turned out who wrote and read a message that was told without. */
export interface EndsEvent {
  readonly kind: 'ends';
  /** When: wall clock, nanoseconds since the epoch. */
  readonly time: number;
  /** `seq` of the message. */
  readonly message: number;
  readonly method: string | undefined;
  readonly id: RpcId | undefined;
  readonly connection: number;
  readonly stream: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
}

/** One line that an MCP server wrote to its standard error. */
export interface StderrEvent extends Seen {
  readonly kind: 'stderr';
  readonly text: string;
}

/**
 * An exchange at an MCP endpoint that says something by itself: an HTTP error or a redirection without a JSON-RPC
 * body, the end of a session (DELETE), a stream that was refused (405), a connection that closed before any response
 * (`http.status` is `undefined`), or a request of 2026-07-28 that was cancelled by closing its response (`left`).
 */
export interface HttpEvent extends Seen {
  readonly kind: 'http';
  readonly http: HttpInfo;
  /** How the response ended. */
  readonly end: MessageEnd;
  /** Between the head of the request and the end of the response, milliseconds. */
  readonly durationMs: number | undefined;
  /** Bytes of the response's body on the wire. */
  readonly size: number;
  /** The first 1024 bytes of the response's body. */
  readonly body: string | undefined;
  /** The requests that this leaves without an answer; absent when there are none. */
  readonly left?: readonly LeftRequest[];
}

/** A request that will not be answered, for what happened to its HTTP exchange. */
export interface LeftRequest {
  readonly id: RpcId;
  readonly method: string;
  readonly target: string | undefined;
  /**
   * `cancelled`: the response's event stream was closed before the final response, which is how 2026-07-28 cancels.
   * `error`: the response is no answer to it.
   */
  readonly status: 'cancelled' | 'error';
}

/** Bytes known to be lost. */
export interface GapEvent extends Seen {
  readonly kind: 'gap';
  readonly cause: LossCause;
  readonly bytes: number;
  /** Frames lost, when it can be known exactly. */
  readonly frames: number | undefined;
}

/** A server introduced itself. */
export interface ServerEvent {
  readonly kind: 'server';
  readonly time: number;
  readonly connection: number;
  readonly server: Party | undefined;
  readonly client: Party | undefined;
  readonly protocolVersion: string | undefined;
  /** The HTTP session, masked; absent when there is none. */
  readonly sessionId?: string;
}

/** Who is at an end of a conversation, by its own words and by the kernel's. */
export interface Party {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly endpoint: Endpoint | undefined;
}

/** Drops by cause: totals since the capture began. */
export type Losses = Partial<
  Record<LossCause, { readonly bytes: number; readonly records: number; readonly frames: number }>
>;

/** Everything that was captured, in numbers. */
export interface Summary {
  /** Wall clock at the end of the capture, nanoseconds since the epoch. */
  readonly time: number;
  /** Seconds from ready to stop. */
  readonly seconds: number;
  /** MCP payload bytes, line ends not counted. */
  readonly bytes: number;
  /** Frames by kind: `request`, `response`, `notification`, `invalid`, `stderr`, `http`, `gap`. */
  readonly frames: Readonly<Record<string, number>>;
  readonly methods: readonly CallStatistics[];
  readonly tools: readonly CallStatistics[];
  /** Requests by what became of those that did not simply succeed. */
  readonly pending: number;
  readonly cancelled: number;
  readonly orphans: number;
  /** Messages that came again and were not shown again; absent when there were none. */
  readonly repeats?: Repeats;
  readonly servers: readonly ServerStatistics[];
  /** Which kernel hook delivered the bytes. */
  readonly backend?: string;
  /** TLS that was seen and could not be read. */
  readonly undecoded?: readonly UndecodedTls[];
  readonly losses: Losses;
  /** What was lost of streams of which nothing else was seen, so that nobody knows what it was; absent when nothing. */
  readonly unseen?: Unseen;
}

/** Streams that were lost as a whole. */
export interface Unseen {
  readonly streams: number;
  readonly bytes: number;
}

/** Messages that were seen again without having been sent again. */
export interface Repeats {
  /** Events that a server sent once more when its client resumed an event stream (`Last-Event-ID`). */
  readonly replayed: number;
  /** Messages inside TLS that were seen at both ends of their connection. */
  readonly bothEnds: number;
}

/** TLS whose clear text cannot be had. */
export interface UndecodedTls {
  readonly process: Endpoint;
  /** What encrypts there, as far as it can be told: `Go crypto/tls`, `rustls`, `BoringSSL without symbols`. */
  readonly library: string;
  readonly reason: string;
  /** Number of connections. */
  readonly connections: number;
  /** Server names the clients asked for (SNI), at most 8. */
  readonly hosts: readonly string[];
}

export interface CallStatistics {
  /** Method, or tool name. */
  readonly name: string;
  readonly calls: number;
  /** JSON-RPC errors and `isError` results. */
  readonly errors: number;
  /** Milliseconds over the answered calls; `undefined` when none was. */
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly max: number | undefined;
}

export interface ServerStatistics {
  readonly connection: number;
  readonly server: Party;
  readonly client: Party;
  readonly protocolVersion: string | undefined;
  /** The HTTP session, masked; absent when there is none. */
  readonly sessionId?: string;
  readonly messages: number;
}

/** What a capture says of itself first. */
export interface CaptureInfo {
  readonly time: number;
  readonly version: string;
  readonly host: string;
  readonly kernel: string;
  readonly arch: string;
  /** Which kernel hook delivers the bytes. */
  readonly backend: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Everything on the bus, by name. */
export interface BusEvents {
  capture: [CaptureInfo];
  message: [MessageEvent];
  invalid: [InvalidEvent];
  stderr: [StderrEvent];
  http: [HttpEvent];
  gap: [GapEvent];
  ends: [EndsEvent];
  server: [ServerEvent];
  summary: [Summary];
}
