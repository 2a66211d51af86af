// SPDX-License-Identifier: Apache-2.0
import type { Endpoint, HttpExchange } from '../streams/frame.ts';

/** What the analyzer knows and wants of the rooms before it. */
export interface StreamControl {
  /**
   * This stream is worth its bytes. For HTTP it is called for each stream of an exchange that is shown, once an
   * exchange, when the first item of that side is: the bytes of this exchange are wanted, whatever was said of others.
   */
  keep(stream: number): void;
  /** This stream is not. Never called for HTTP. */
  stop(stream: number): void;
  /**
   * The rest of this exchange is not wanted; a later exchange on the same connection may be. Called at most once an
   * exchange, as soon as one of these is known, and never for an exchange at a known MCP endpoint or with MCP headers:
   *
   * - its method is neither POST nor GET, or the request's media type none that holds JSON;
   * - the request's body is not JSON-RPC, or a POST has none;
   * - it is a GET whose response is neither an event stream nor a WebSocket, or an event stream with an event whose
   *   data is JSON, but not JSON-RPC;
   * - its request was not seen, and the response is not JSON-RPC;
   * - its JSON-RPC has gone on for 256 KiB or 2048 messages without any of them being MCP's.
   *
   * @param stream The one that carried what decided it.
   */
  stopExchange?(stream: number, exchange: HttpExchange): void;
  /** Is there a TCP connection between these processes that carries TLS? */
  encrypts(client: number, server: number): boolean;
  /** Does it carry what a process writes to its standard error? */
  isStderr(stream: number): boolean;
  /** The opposite direction of the same socket, or 0. */
  pairOf(stream: number): number;
  /** Who was at this end at `time`, as far as known by now. */
  whoAt(stream: number, end: 'writer' | 'reader', time: number): Endpoint | undefined;
  /** Every process seen writing to it. */
  writersOf(stream: number): Iterable<number>;
  /** Is it the standard output of `writer`, read by `reader`? */
  isStdout(stream: number, writer: number, reader: number): boolean;
  /** Everything this process writes is worth its bytes. */
  keepFrom(pid: number): void;
  /** Is `ancestor` the process itself or one that it descends from? */
  descends(pid: number, ancestor: number): boolean;
}
