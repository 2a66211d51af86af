// SPDX-License-Identifier: Apache-2.0
/** HTTP/2 (RFC 9113), as seen from beside a connection. Flow control is not ours to check. */
import type { HeaderField } from './hpack.ts';
import { Headers, type HttpDecoder, type HttpSink, type MessageEnd, type Side } from './http.ts';
import { FLAG, FRAME, type FrameHead } from './http2-frame-head.ts';
import { FrameReader } from './http2-frames.ts';
import { type HeaderBlock, HeaderBlocks } from './http2-header-blocks.ts';
import { type Head, has, isHead, newStream, type Stream, statusOf } from './http2-stream.ts';

export interface Http2Options {
  /** Did the capture begin in the middle of this direction? */
  readonly joined: Readonly<Record<Side, boolean>>;
  /** Number of the HTTP/1.1 exchange whose request became stream 1 (h2c); that request is over. */
  readonly upgraded?: number;
}

/** Streams followed at once. Beyond that so many of the oldest are given up together. */
const STREAMS_MAX = 10_000;
const GIVEN_UP = 256;
/** Streams that are over, of which at least so many are remembered. */
const OVER_MAX = 1024;
/** A graceful shutdown takes two (section 6.8); of those beyond this nothing is believed. */
const GO_AWAY_MAX = 16;

const SIDES: readonly Side[] = ['request', 'response'];

interface Direction {
  readonly frames: FrameReader;
  readonly blocks: HeaderBlocks;
  /** Streams whose message has begun, is not over, and has been heard of since the way was last lost. */
  readonly followed: Set<Stream>;
  goAways: number;
  ended: 'closed' | 'stop' | undefined;
}

/**
 * Decodes one connection. What the interface leaves open:
 *
 * - Each stream is an exchange. Interim responses (1xx), promised requests and trailer fields are not handed on; a
 *   pushed response is an exchange without a `request`.
 * - Each exchange that had a `request` gets one `end` for each side; one without gets it for its response. The end
 *   of a message that may have been lost, because its stream was not heard of after a loss, is told as `gap`.
 * - A direction joined in the middle, or that has lost its way, is followed from the next call on that begins with
 *   frames. A stream whose head was not seen has, when DATA comes, a `request` or `response` of which nothing is
 *   known. A header field whose name only the unseen part of HPACK's table would tell has none.
 * - Of a head that is cut by a loss, or too large, the fields before that are told. A response head whose status is
 *   not known may be that of an interim response: it is told when something follows that shows it is not.
 * - A `response` may come before its `request` where the calls are seen in that order. Only a request whose method
 *   is known comes behind it.
 * - After RST_STREAM nothing of the stream is handed on, though the peer may not have heard of it yet.
 *
 * Memory: 10,000 streams, and a direction's frame (256 KiB), header block (512 KiB) and dynamic table (1 MiB).
 */
export class Http2Connection implements HttpDecoder {
  readonly #sink: HttpSink;
  /** Those that are not over, by their number; the oldest first. */
  readonly #streams = new Map<number, Stream>();
  readonly #directions: Readonly<Record<Side, Direction>>;
  /** The newest exchange. */
  #exchanges: number;
  /** The highest stream that a client has opened, as far as seen. */
  #opened = 0;
  /** Streams that are over, of late and before that. */
  #over = new Set<number>();
  #overBefore: ReadonlySet<number> = new Set();

  constructor(sink: HttpSink, { joined, upgraded }: Http2Options) {
    this.#sink = sink;
    this.#directions = {
      request: this.#direction('request', joined.request),
      response: this.#direction('response', joined.response),
    };
    this.#exchanges = upgraded ?? 0;
    if (upgraded === undefined) return;
    const stream = newStream(1, upgraded);
    stream.begun.add('request');
    stream.over.add('request');
    this.#streams.set(1, stream);
    this.#opened = 1;
  }

  push(side: Side, bytes: Buffer, offset: number, boundary: boolean): void {
    const { frames, ended } = this.#directions[side];
    if (!ended) frames.push(bytes, offset, boundary);
  }

  gap(side: Side, offset: number, bytes: number): void {
    const { frames, ended } = this.#directions[side];
    if (!ended) frames.gap(offset, bytes);
  }

  end(side: Side, how: 'closed' | 'stop'): void {
    this.#directions[side].ended ??= how;
    for (const stream of [...this.#streams.values()])
      for (const each of SIDES) {
        const { ended, followed } = this.#directions[each];
        if (!ended) continue;
        const lost = stream.begun.has(each) && !followed.has(stream);
        this.#endMessage(stream, each, lost ? 'gap' : ended);
      }
  }

  lost(side: Side): boolean {
    return this.#directions[side].frames.lost;
  }

  #direction(side: Side, joined: boolean): Direction {
    const sink = this.#sink;
    const frames = new FrameReader(
      {
        data: ({ stream: id }, bytes, offset) => {
          const stream = this.#follow(id, side, offset);
          if (stream) sink.body(stream.exchange, side, bytes, offset);
        },
        dataLost: ({ stream: id }, offset, bytes) => {
          const stream = this.#follow(id, side, offset);
          if (stream) sink.lost(stream.exchange, side, offset, bytes);
        },
        dataEnd: ({ stream: id, flags }, offset) => {
          if (!(flags & FLAG.endStream)) return;
          this.#follow(id, side, offset);
          const stream = this.#streams.get(id);
          if (stream) this.#endMessage(stream, side, 'complete', offset);
        },
        whole: (head, payload) => this.#whole(side, head, payload),
        lost: (offset) => this.#loseWay(side, offset),
      },
      { side, joined },
    );
    const blocks = new HeaderBlocks(joined, (block) => {
      // What a server promises to push is decoded for the table's sake only.
      if (block.head.type === FRAME.headers) this.#headers(side, block);
    });
    return { frames, blocks, followed: new Set(), goAways: 0, ended: undefined };
  }

  /** What is open goes on: its DATA may be found again. */
  #loseWay(side: Side, offset: number): void {
    const { blocks, followed } = this.#directions[side];
    blocks.lose(offset);
    for (const stream of followed) {
      this.#settle(side, stream);
      this.#sink.lost(stream.exchange, side, offset, 0);
    }
    followed.clear();
  }

  #whole(side: Side, head: FrameHead, payload: Buffer): void {
    if (head.type === FRAME.rstStream) this.#reset(side, head);
    else if (head.type !== FRAME.goAway) this.#directions[side].blocks.frame(head, payload);
    else if (payload.length >= 4) this.#goAway(side, payload);
  }

  /** RST_STREAM (section 6.4): neither side of the stream goes on. */
  #reset(side: Side, { stream: id, offset, length }: FrameHead): void {
    const stream = this.#streams.get(id);
    if (!stream) this.#remember(id);
    else
      for (const each of SIDES)
        this.#endMessage(stream, each, 'reset', each === side ? offset + length : undefined);
  }

  /** GOAWAY (section 6.8): of the peer's streams those after the one named were not and will not be handled. */
  #goAway(side: Side, payload: Buffer): void {
    if (++this.#directions[side].goAways > GO_AWAY_MAX) return;
    const last = payload.readUInt32BE(0) % 2 ** 31;
    const parity = side === 'response' ? 1 : 0;
    for (const stream of [...this.#streams.values()])
      if (stream.id > last && stream.id % 2 === parity)
        for (const each of SIDES) this.#endMessage(stream, each, 'reset');
  }

  #headers(side: Side, block: HeaderBlock): void {
    const { head, fields } = block;
    const [name] = fields[0] ?? [];
    // Pseudo-header fields come first and are in every head, but never in trailers (section 8.3).
    const trailers = name !== undefined && !name.startsWith(':');
    const known = this.#streams.get(head.stream);
    const stream = known?.inferred.has(side) && isHead(side, fields) ? this.#begunAnew(known) : known;
    this.#message(side, stream ?? this.#unknown(side, head.stream, fields, trailers), block, trailers);
  }

  #message(side: Side, stream: Stream | undefined, block: HeaderBlock, trailers: boolean): void {
    if (!stream || stream.over.has(side)) return;
    const { head, fields, end } = block;
    const endsStream = (head.flags & FLAG.endStream) !== 0;
    if (!stream.begun.has(side)) {
      const status = side === 'response' ? statusOf(fields) : undefined;
      const late = stream.begun.has('response') && !has(fields, ':method');
      const final = status === undefined ? endsStream : status >= 200;
      if (trailers) this.#infer(side, stream, head.offset);
      else if (side === 'request' ? !late : final) this.#head(side, stream, block);
      else if (side === 'response' && status === undefined) {
        // 1xx: the final response is still to come. Perhaps also here, where it cannot be known.
        stream.perhaps = block;
        this.#directions[side].followed.add(stream);
      }
    }
    if (endsStream) this.#endMessage(stream, side, 'complete', end);
  }

  /** A message goes on that has had no head. */
  #infer(side: Side, stream: Stream, offset: number): void {
    this.#settle(side, stream);
    // Where every head was seen, that is an error, and no message.
    if (stream.begun.has('response') || this.#directions[side].frames.complete) return;
    stream.inferred.add(side);
    this.#head(side, stream, { head: { offset }, fields: [], cut: true });
  }

  /** What may have been an interim response was the final one. */
  #settle(side: Side, stream: Stream): void {
    if (side === 'request' || !stream.perhaps || stream.begun.has(side)) return;
    stream.inferred.add(side);
    this.#head(side, stream, stream.perhaps);
  }

  /** What was taken for a message was none, or another: heads come first. */
  #begunAnew(stream: Stream): Stream {
    for (const side of SIDES) this.#endMessage(stream, side, 'gap');
    return this.#open(stream.id);
  }

  /** @returns the stream of which these are the first header fields; `undefined` if they are the last of another. */
  #unknown(side: Side, id: number, fields: readonly HeaderField[], trailers: boolean): Stream | undefined {
    if (trailers || this.#isOver(id)) return undefined;
    // A client opens streams in ascending order (section 5.1.1).
    if (side === 'request' && id <= this.#opened && !has(fields, ':method')) return undefined;
    return this.#open(id);
  }

  #head(side: Side, stream: Stream, { head: { offset }, fields, cut }: Head): void {
    const { begun } = stream;
    const pseudo = (name: string) => fields.find(([each]) => each === name)?.[1];
    const protocol = pseudo(':protocol');
    const headers = new Headers(
      [
        ...(protocol === undefined ? [] : [[':protocol', protocol] as const]),
        ...fields.filter(([name]) => !name?.startsWith(':')),
      ],
      cut,
    );
    if (begun.size === 0) stream.exchange = ++this.#exchanges;
    const { exchange } = stream;
    begun.add(side);
    this.#directions[side].followed.add(stream);
    if (side === 'response') {
      stream.perhaps = undefined;
      this.#sink.response(exchange, { status: statusOf(fields), version: '2', headers }, offset);
      return;
    }
    const authority = pseudo(':authority') ?? headers.get('host');
    const line = { method: pseudo(':method'), target: pseudo(':path'), authority };
    this.#sink.request(exchange, { ...line, version: '2', headers }, offset);
    const { ended } = this.#directions.response;
    // It may have ended before there was an exchange to tell it of.
    if (stream.untold) this.#sink.end(exchange, 'response', stream.untold.how, stream.untold.offset);
    else if (ended) this.#endMessage(stream, 'response', ended);
    stream.untold = undefined;
  }

  /**
   * The stream of a DATA frame. Of one whose head was not seen, nothing is known.
   * @returns `undefined` if its content is not handed on.
   */
  #follow(id: number, side: Side, offset: number): Stream | undefined {
    const { frames, followed } = this.#directions[side];
    let stream = this.#streams.get(id);
    // Where every head was seen, the stream is one that was reset or given up.
    if (!stream && (frames.complete || this.#isOver(id))) return undefined;
    stream ??= this.#open(id);
    if (stream.over.has(side)) return undefined;
    if (!stream.begun.has(side)) this.#infer(side, stream, offset);
    if (!stream.begun.has(side)) return undefined;
    followed.add(stream);
    return stream;
  }

  #open(id: number): Stream {
    const stream = newStream(id, 0);
    this.#streams.set(id, stream);
    if (id % 2 === 1) this.#opened = Math.max(this.#opened, id);
    if (this.#streams.size > STREAMS_MAX) this.#giveUpOldest();
    return stream;
  }

  #giveUpOldest(): void {
    for (const stream of [...this.#streams.values()].slice(0, GIVEN_UP)) {
      for (const side of SIDES) this.#endMessage(stream, side, 'gap');
    }
  }

  /** @param offset Place of the byte behind it; where the direction stands unless given. */
  #endMessage(stream: Stream, side: Side, how: MessageEnd, offset?: number): void {
    const { begun, over } = stream;
    if (over.has(side)) return;
    this.#settle(side, stream);
    const { frames, followed } = this.#directions[side];
    over.add(side);
    followed.delete(stream);
    const unanswered = side === 'response' && begun.has('request');
    const place = offset ?? frames.position;
    if (begun.has(side) || unanswered) this.#sink.end(stream.exchange, side, how, place);
    else if (side === 'response') stream.untold = { how, offset: place };
    // Behind the response, nothing is worth waiting for that may never come.
    if (side === 'response' && !this.#isAwaited(stream)) this.#endMessage(stream, 'request', 'gap');
    if (over.size < SIDES.length || this.#streams.get(stream.id) !== stream) return;
    this.#streams.delete(stream.id);
    this.#remember(stream.id);
  }

  /** Is it sure that the end of the request is still to come, if it has not? */
  #isAwaited(stream: Stream): boolean {
    const { frames, followed, ended } = this.#directions.request;
    if (stream.begun.has('request')) return followed.has(stream);
    return stream.id % 2 === 1 && frames.complete && !ended;
  }

  #isOver(id: number): boolean {
    return this.#over.has(id) || this.#overBefore.has(id);
  }

  #remember(id: number): void {
    this.#over.add(id);
    if (this.#over.size < OVER_MAX) return;
    this.#overBefore = this.#over;
    this.#over = new Set();
  }
}
