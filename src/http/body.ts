// SPDX-License-Identifier: Apache-2.0
/** The body of one HTTP message: from its pieces to the frames that it holds. */
import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import { ContentBuffer, isJsonSpace } from '../protocols/content.ts';
import {
  type CodingLimits,
  type ContentDecoder,
  codingSeen,
  contentDecoder,
} from '../protocols/content-coding.ts';
import type { MessageEnd, Side } from '../protocols/http.ts';
import { SseDecoder, type SseEvent } from '../protocols/sse.ts';
import type { FrameContent, HttpFrame } from '../streams/frame.ts';

/** A frame of a body. */
export interface BodyFrame extends Pick<HttpFrame, 'form' | 'eventId' | 'eventName'> {
  /** Place in the stream of the body's first byte, or of the event's, or of the compressed piece that told it. */
  readonly offset: number;
  /** Bytes of the body as sent; of an event: decoded, with its field names, without the blank line. */
  readonly size: number;
  readonly content: FrameContent;
}

/** An event that holds no JSON. */
export interface BodyEvent {
  /** As of a frame. */
  readonly offset: number;
  readonly name: string;
  /** At most the first 4096 characters. */
  readonly data: string;
  readonly id: string | undefined;
}

/** Takes what a body holds, in order. Must not throw and must not call the body. */
export interface BodySink {
  frame(frame: BodyFrame): void;
  event(event: BodyEvent): void;
}

export interface BodyOptions {
  /** The value of `Content-Type`; `undefined` if there is none or the head was not seen. */
  readonly contentType: string | undefined;
  /** The value of `Content-Encoding`, likewise. */
  readonly contentEncoding: string | undefined;
  /** Bytes of the largest frame kept whole, decoded; at least 1, at most 2^29 - 25. */
  readonly maxMessage: number;
  /** The head was not seen, and the body may have begun before. */
  readonly joined: boolean;
  /** Fields of the head may be missing: what it does not tell, the body has to. */
  readonly unsure: boolean;
  readonly side: Side;
}

/** Bytes kept of a body that holds no frame. */
const HEAD = 1024;

/** Characters kept of an event that holds no JSON. */
const EVENT_MAX = 4096;

/** Decoded bytes for one sent; deflate reaches 1032. Only what is larger than two frames is measured. */
const RATIO_MAX = 2000;

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
const OBJECT = 0x7b;
const ARRAY = 0x5b;

/**
 * An event stream gives a frame for each event that holds JSON. Any other body gives one, itself, if it begins
 * like JSON, whatever its type is called; a byte order mark and white space around it are no part of it. Of the
 * rest only the size and the beginning are kept.
 */
export class Body {
  readonly #sink: BodySink;
  readonly #maxMessage: number;
  readonly #joined: boolean;
  readonly #limits: CodingLimits;
  #decoder: ContentDecoder;
  /** The first bytes have to tell the content coding. */
  #codingUntold: boolean;
  #sse: SseDecoder | undefined;
  #json: ContentBuffer | undefined;
  /** Nothing but the byte order mark and white space has been decoded so far. */
  #undecided: boolean;
  /** What comes is only counted. */
  #over = false;
  /** So it will be, from the next piece on. */
  #enough = false;

  #offset = 0;
  #size = 0;
  #decoded = 0;
  #frames = 0;
  #headBuffer: Buffer | undefined;
  #headLength = 0;

  /** @throws RangeError if `maxMessage` is out of range. */
  constructor(sink: BodySink, options: BodyOptions) {
    const { contentType, contentEncoding, maxMessage, joined, unsure, side } = options;
    this.#sink = sink;
    this.#maxMessage = maxMessage;
    this.#joined = joined;
    this.#limits = {
      maxBytes: Number.POSITIVE_INFINITY,
      maxRatio: RATIO_MAX,
      ratioFloor: 2 * maxMessage,
    };
    this.#decoder = contentDecoder(contentEncoding, this.#limits);
    this.#codingUntold = contentEncoding === undefined && (joined || unsure);
    const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
    const sse = side === 'response' && type === 'text/event-stream';
    // Where the head was not seen, or not all of it, it may be one.
    const maybeSse = side === 'response' && type === undefined && (joined || unsure);
    if (sse || maybeSse) this.#sse = new SseDecoder({ maxSize: maxMessage, joined });
    this.#undecided = !sse;
  }

  /** Bytes as sent, without those lost. */
  get size(): number {
    return this.#size;
  }

  /** Frames emitted. */
  get frames(): number {
    return this.#frames;
  }

  /** The first 1024 bytes, decoded, as text; `undefined` if there are none or a frame has been emitted. */
  get head(): string | undefined {
    if (this.#frames > 0 || !this.#headBuffer || this.#headLength === 0) return undefined;
    return new StringDecoder('utf8').write(this.#headBuffer.subarray(0, this.#headLength));
  }

  /** Bytes of memory held for frames that are not complete. What a decompressor holds does not count. */
  get held(): number {
    return (this.#sse?.held ?? 0) + (this.#json?.held ?? 0);
  }

  /**
   * @param bytes A piece as sent, without transfer coding; read during the call only.
   * @param offset Place of its first byte in the stream.
   */
  push(bytes: Buffer, offset: number): void {
    if (this.#size === 0) this.#offset = offset;
    this.#size += bytes.length;
    if (this.#over) return;
    if (this.#codingUntold) {
      this.#codingUntold = false;
      const coding = codingSeen(bytes);
      if (coding) this.#decoder = contentDecoder(coding, this.#limits);
    }
    const step = this.#decoder.identity ? 1 : 0;
    this.#decoder.push(bytes, (decoded) => this.#take(decoded, offset, step));
    if (this.#decoder.problem) this.#breakOff();
    else if (this.#enough) this.#stop();
  }

  /** Bytes are missing here. An event stream goes on with a later event if it is not compressed. */
  lost(_offset: number, _bytes: number): void {
    if (this.#over) return;
    this.#decoder.lost();
    if (this.#decoder.problem) {
      this.#breakOff();
      return;
    }
    this.#undecided = false;
    this.#endJson('gap', false);
    this.#sse?.lost(this.#event);
    if (!this.#sse) this.#stop();
  }

  /** What it holds is not wanted, nor what is to come, but for `size`. Nothing is emitted any more. */
  skip(): void {
    this.#sse = undefined;
    this.#json = undefined;
    this.#headBuffer = undefined;
    this.#stop();
  }

  /** The body is over. Emits what is left of it and releases the memory. */
  end(how: MessageEnd): void {
    if (this.#over) return;
    const reason = how === 'stop' || how === 'gap' ? how : 'end';
    this.#decoder.end();
    this.#sse?.end(reason, this.#event);
    this.#endJson(reason, how === 'complete' && !this.#decoder.problem);
    this.#stop();
  }

  #take(bytes: Buffer, offset: number, step: 0 | 1): void {
    // A compressed piece may tell more than is wanted.
    if (this.#enough || this.#over) return;
    const from = this.#undecided ? this.#decide(bytes) : 0;
    if (this.#json) this.#json.add(bytes, from, bytes.length);
    else this.#keepHead(bytes);
    this.#sse?.push(bytes, offset, this.#event, step);
    if (!this.#undecided && !this.#json && !this.#sse && this.#headLength === HEAD) this.#enough = true;
  }

  /** @returns Place of the first byte that tells what the body is; the length if there is none. */
  #decide(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      const place = this.#decoded++;
      if (byte === BYTE_ORDER_MARK[place] || isJsonSpace(byte)) continue;
      this.#undecided = false;
      if (byte === OBJECT || byte === ARRAY) {
        this.#json = new ContentBuffer(this.#maxMessage);
        this.#headLength = 0;
      }
      return at;
    }
    return bytes.length;
  }

  #keepHead(bytes: Buffer): void {
    if (this.#headLength === HEAD || this.#frames > 0) return;
    this.#headBuffer ??= Buffer.allocUnsafe(HEAD);
    this.#headLength += bytes.copy(this.#headBuffer, this.#headLength);
  }

  readonly #event = (event: SseEvent): void => {
    if (this.#over) return;
    // It was an event stream after all.
    this.#json = undefined;
    const { data, name, id, offset, size } = event;
    if (beginsLikeJson(data)) {
      this.#emit({
        form: 'sse',
        ...(id !== undefined && { eventId: id }),
        ...(name !== 'message' && { eventName: name }),
        offset,
        size,
        content: data,
      });
    } else if (data.type !== 'incomplete') {
      this.#sink.event({ offset, name, data: headOf(data), id });
    }
  };

  /** The JSON begun is over. `whole`: its end is where the body's is. */
  #endJson(reason: 'end' | 'gap' | 'stop', whole: boolean): void {
    const json = this.#json;
    if (!json) return;
    this.#json = undefined;
    json.trimEnd();
    // Where its beginning or its end is not sure, only what is JSON is whole.
    const content =
      (whole && !this.#joined) || json.isCut || isJson(json.bytes)
        ? json.take()
        : json.takeIncomplete(reason);
    // What was joined in the middle may be the tail of a message, and is none then.
    if (this.#joined && content.type !== 'text') return;
    this.#emit({ form: 'body', offset: this.#offset, size: this.#size, content });
  }

  /** It cannot be decoded any further. */
  #breakOff(): void {
    this.#endJson('gap', false);
    this.#sse?.end('gap', this.#event);
    this.#stop();
  }

  #emit(frame: BodyFrame): void {
    this.#frames++;
    this.#headBuffer = undefined;
    this.#sink.frame(frame);
  }

  #stop(): void {
    this.#over = true;
    this.#sse = undefined;
    this.#json = undefined;
    this.#decoder.close();
  }
}

function isJson(bytes: Buffer): boolean {
  if (!isUtf8(bytes)) return false;
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function beginsLikeJson(content: FrameContent): boolean {
  if (content.type === 'text' && !content.bytes) return /^[ \n\r\t]*[[{]/.test(content.text);
  if (content.type === 'oversize' || content.type === 'incomplete')
    return /^[ \n\r\t]*[[{]/.test(content.head);
  const first = content.bytes?.find((byte) => !isJsonSpace(byte));
  return first === OBJECT || first === ARRAY;
}

function headOf(content: FrameContent): string {
  if (content.type === 'oversize' || content.type === 'incomplete') return content.head;
  if (content.bytes) return new StringDecoder('utf8').write(content.bytes.subarray(0, EVENT_MAX));
  return content.type === 'text' ? content.text.slice(0, EVENT_MAX) : '';
}
