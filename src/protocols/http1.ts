// SPDX-License-Identifier: Apache-2.0
/** HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112), as seen from beside a connection. */
import { Headers, type HttpDecoder, type HttpSink, type MessageEnd, type Side } from './http.ts';
import { type AwaitedResponse, AwaitedResponses } from './http1-awaited.ts';
import { requestFraming, responseFraming } from './http1-body.ts';
import { Direction, type DirectionListener, type Following } from './http1-direction.ts';
import { parseHead, parseRequestLine, parseStatusLine } from './http1-head.ts';

export interface Http1Options {
  /** Did the capture begin in the middle of this direction? Then it is read from the next beginning of a message. */
  readonly joined: Readonly<Record<Side, boolean>>;
}

/** No exchange. */
const NONE = 0;

// What is known of an event stream joined in the middle.
const EVENT_STREAM = ['content-type', 'text/event-stream'] as const;
const CHUNKED = ['transfer-encoding', 'chunked'] as const;

/**
 * Decodes one connection. What the interface leaves open:
 *
 * - Interim responses (1xx) are not handed on. 101 is, followed by `upgrade`, unless the protocol is `h2c`, in
 *   which the final response is yet to come. There is no `end` of a response that opens a tunnel.
 * - Each exchange that had a `request` gets one `end` for each side, but for a tunnel's. One for a response that
 *   never began says why: `closed`, `stop`, or `gap` where it cannot be known as this request's any more.
 * - A message whose framing is broken ends with `gap`, as the place where it ends is not known.
 * - A response whose request was not seen has a new exchange number, and is read as the answer to a GET. It ends
 *   with `gap` where a call begins with the next status line, as after a HEAD.
 * - An event stream that is joined in the middle has a `response` without status; its version and header fields,
 *   `content-type` and, if it comes in chunks, `transfer-encoding`, are inferred from its bytes.
 * - Only `chunked` is removed of the transfer codings; those before it are told by `transfer-encoding`.
 * - Trailer fields are passed over.
 *
 * Memory: at most one head (256 KiB) a direction, 64 KiB behind a request for an upgrade, and 4096 requests that
 * wait for their response.
 */
export class Http1Connection implements HttpDecoder {
  readonly #sink: HttpSink;
  readonly #requests: Direction;
  readonly #responses: Direction;
  readonly #awaited: AwaitedResponses;
  /** The newest exchange. */
  #newest = 0;

  /** The request that is being sent. */
  #asking: AwaitedResponse | undefined;
  /** What the response that has begun answers, if that is known. */
  #answering: AwaitedResponse | undefined;
  /** The exchange of the response whose head was handed on. */
  #answer = NONE;
  /** How the responses ended. */
  #responsesOver: MessageEnd | undefined;

  constructor(sink: HttpSink, options: Http1Options) {
    this.#sink = sink;
    this.#awaited = new AwaitedResponses((exchange) => this.#unanswered(exchange));
    this.#requests = new Direction('request', this.#requestListener(), options.joined.request);
    this.#responses = new Direction('response', this.#responseListener(), options.joined.response);
  }

  push(side: Side, bytes: Buffer, offset: number, boundary: boolean): void {
    this.#direction(side).push(bytes, offset, boundary);
  }

  gap(side: Side, offset: number, bytes: number): void {
    this.#direction(side).gap(offset, bytes);
  }

  end(side: Side, how: 'closed' | 'stop'): void {
    if (side === 'request') {
      this.#requests.end(how);
      return;
    }
    this.#responsesOver ??= how;
    this.#responses.end(how);
    this.#awaited.clear();
    this.#requests.release();
  }

  lost(side: Side): boolean {
    return this.#direction(side).lost;
  }

  #direction(side: Side): Direction {
    return side === 'request' ? this.#requests : this.#responses;
  }

  #requestListener(): DirectionListener {
    const sink = this.#sink;
    const exchange = () => this.#asking?.exchange ?? NONE;
    return {
      newest: () => this.#newest,
      begins: () => {},
      head: (text, offset) => this.#request(text, offset),
      headCut: () => {},
      joins: () => {},
      body: (bytes, offset) => sink.body(exchange(), 'request', bytes, offset),
      lost: (offset, bytes) => sink.lost(exchange(), 'request', offset, bytes),
      end: (how, offset) => {
        sink.end(exchange(), 'request', how, offset);
        return how === 'complete' && this.#mayUpgrade();
      },
      strayed: () => {},
      tunnel: (bytes, offset) => sink.tunnel('request', bytes, offset),
      tunnelLost: (offset, bytes) => sink.tunnelLost('request', offset, bytes),
    };
  }

  #responseListener(): DirectionListener {
    const sink = this.#sink;
    return {
      newest: () => this.#newest,
      begins: (newest) => {
        this.#answering ??= this.#awaited.take(newest);
        this.#settleHeld();
      },
      head: (text, offset) => this.#response(text, offset),
      headCut: (lost) => this.#responseHeadCut(lost),
      joins: (chunked, offset) => this.#joinEvents(chunked, offset),
      body: (bytes, offset) => sink.body(this.#answer, 'response', bytes, offset),
      lost: (offset, bytes) => sink.lost(this.#answer, 'response', offset, bytes),
      end: (how, offset) => {
        sink.end(this.#answer, 'response', how, offset);
        this.#answer = NONE;
        return false;
      },
      strayed: (lost) => this.#responsesStrayed(lost),
      tunnel: (bytes, offset) => sink.tunnel('response', bytes, offset),
      tunnelLost: (offset, bytes) => sink.tunnelLost('response', offset, bytes),
    };
  }

  #request(text: string, offset: number): Following | undefined {
    const { start, headers } = parseHead(text);
    const line = parseRequestLine(start);
    if (!line) return undefined;
    this.#awaited.settle();
    const exchange = ++this.#newest;
    const { method, target } = line;
    this.#asking = { exchange, method, upgrade: headers.get('upgrade') };
    this.#sink.request(
      exchange,
      { ...line, authority: authorityOf(method, target, headers), headers },
      offset,
    );
    if (this.#responsesOver)
      this.#sink.end(exchange, 'response', this.#responsesOver, this.#responses.position);
    else this.#awaited.add(this.#asking);
    return { framing: requestFraming(headers), guess: false };
  }

  /** Does the response to the request just sent decide whose the bytes behind it are? */
  #mayUpgrade(): boolean {
    const asking = this.#asking;
    if (!asking || (asking.upgrade === undefined && asking.method !== 'CONNECT')) return false;
    return asking === this.#answering || this.#awaited.has(asking.exchange);
  }

  #response(text: string, offset: number): Following | undefined {
    const { start, headers } = parseHead(text);
    const line = parseStatusLine(start);
    if (!line) return undefined;
    const { status } = line;
    if (status < 200 && status !== 101) return 'interim';
    const answering = this.#answering;
    this.#answering = undefined;
    const exchange = answering?.exchange ?? ++this.#newest;
    const protocol = protocolAfter(status, headers, answering);
    if (protocol !== 'h2c') this.#sink.response(exchange, { ...line, headers }, offset);
    if (protocol !== undefined) {
      this.#sink.upgrade(exchange, protocol);
      this.#requests.openTunnel();
      return 'tunnel';
    }
    this.#answer = exchange;
    this.#settleHeld();
    // Without its request, it may as well be the answer to HEAD, which has no body.
    return { framing: responseFraming(headers, status, answering?.method), guess: !answering };
  }

  #responseHeadCut(lost: boolean): void {
    const answering = this.#answering;
    this.#answering = undefined;
    if (!answering) return;
    if (lost) this.#awaited.putBack(answering);
    else this.#unanswered(answering.exchange);
  }

  #unanswered(exchange: number): void {
    this.#sink.end(exchange, 'response', this.#responsesOver ?? 'gap', this.#responses.position);
  }

  #joinEvents(chunked: boolean, offset: number): void {
    const exchange = this.#awaited.takeBegun()?.exchange ?? ++this.#newest;
    this.#answer = exchange;
    const headers = new Headers(chunked ? [EVENT_STREAM, CHUNKED] : [EVENT_STREAM]);
    this.#sink.response(exchange, { status: undefined, version: '1.1', headers }, offset);
    this.#settleHeld();
  }

  #responsesStrayed(lost: boolean): void {
    // The answer to a request for an upgrade may be what is missing. What is held is then in doubt as well, hence first.
    if (lost) this.#requests.release();
    if (lost) this.#awaited.lost();
    else this.#awaited.passed();
  }

  /** What is held are messages as soon as the response that could say otherwise says nothing, or cannot be known. */
  #settleHeld(): void {
    if (this.#requests.holds && !this.#mayUpgrade()) this.#requests.release();
  }
}

/** The protocol that the connection speaks behind this response, in lower case; `undefined`: HTTP/1 as before. */
function protocolAfter(
  status: number,
  headers: Headers,
  answering: AwaitedResponse | undefined,
): string | undefined {
  if (status === 101) {
    // Several are layers, of which the first lies on the connection (RFC 9110, section 7.8).
    const [protocol = ''] = (headers.get('upgrade') ?? answering?.upgrade ?? '').split(',');
    return protocol.trim().toLowerCase() || 'unknown';
  }
  return answering?.method === 'CONNECT' && status >= 200 && status < 300 ? 'connect' : undefined;
}

/** Of the target where it has one (RFC 9112, section 3.3), without user and password; else the Host field. */
function authorityOf(method: string, target: string, headers: Headers): string | undefined {
  if (method === 'CONNECT') return target;
  const [, authority] = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(target) ?? [];
  return authority === undefined ? headers.get('host') : authority.slice(authority.lastIndexOf('@') + 1);
}
