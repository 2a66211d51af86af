// SPDX-License-Identifier: Apache-2.0
/**
 * WebSockets (RFC 6455, with permessage-deflate of RFC 7692): the bytes of one direction in, messages out; no
 * clock and no I/O. The bytes are hostile: time is linear in their number, and in that of the decompressed ones,
 * and memory limited by the largest message allowed.
 */
import type { FrameContent } from '../streams/frame.ts';
import { ContentBuffer, checkMaxSize, contentOf } from './content.ts';
import type { Side } from './http.ts';
import { type DeflateParameters, MessageInflater } from './permessage-deflate.ts';
import {
  beginsFrame,
  CONTROL_MAX,
  type FrameHeader,
  HEADER_MAX,
  headerSize,
  OPCODE,
  parseHeader,
  unmask,
} from './websocket-frame.ts';

/** A message, of one frame or of several. */
export interface WebSocketMessage {
  readonly type: 'message';
  readonly opcode: 'text' | 'binary';
  /** Decompressed. */
  readonly content: FrameContent;
  /** Place in the stream of the first byte of its first frame's header. */
  readonly offset: number;
  /** Bytes of its payload as sent, so perhaps compressed; headers do not count. */
  readonly size: number;
}

/** This direction is over (RFC 6455, section 5.5.1). */
export interface WebSocketClose {
  readonly type: 'close';
  /** Status code; `undefined` if none was given. */
  readonly code: number | undefined;
  readonly reason: string;
  readonly offset: number;
}

/** Takes what was said, in the order in which it was completed. Must not throw and must not call the decoder. */
export type EmitWebSocket = (said: WebSocketMessage | WebSocketClose) => void;

export interface WebSocketDecoderOptions {
  /** `request`: what the client sends. */
  readonly side: Side;
  /** Bytes of the largest message kept whole, decompressed; at least 1, at most 2^29 - 25. */
  readonly maxSize: number;
  /** For this side, as `parsePermessageDeflate` says it. */
  readonly deflate?: DeflateParameters | undefined;
}

/** Decompressed bytes of one message, as a multiple of the largest kept, before decompression is given up. */
const BOMB = 16;

/** Masked bytes uncovered at once where they are not kept. */
const SCRATCH = 65536;

/** The message that the next data frame belongs to: none, one begun, or one of which a part is missing. */
type MessageState = 'none' | 'begun' | 'lost';

/** Decodes one direction of one WebSocket, from its first byte on. */
export class WebSocketDecoder {
  readonly #side: Side;
  readonly #maxSize: number;
  readonly #inflater: MessageInflater | undefined;
  #synchronous = true;
  #closed = false;

  // The frame begun.
  readonly #head = Buffer.allocUnsafeSlow(HEADER_MAX);
  #headLength = 0;
  #frameOffset = 0;
  /** `undefined` while its header is not complete. */
  #frame: FrameHeader | undefined;
  /** Bytes of its payload that are still to come, and that have come. */
  #remaining = 0;
  #phase = 0;
  readonly #control: ContentBuffer;
  #controlLost = false;

  // The message begun.
  #message: MessageState = 'none';
  #opcode: 'text' | 'binary' = 'text';
  #compressed = false;
  /** It is compressed and cannot be undone, or not further. */
  #sealed = false;
  #offset = 0;
  #size = 0;
  readonly #content: ContentBuffer;

  /** @throws RangeError if `maxSize` is out of range. */
  constructor(options: WebSocketDecoderOptions) {
    checkMaxSize(options.maxSize);
    this.#side = options.side;
    this.#maxSize = options.maxSize;
    this.#inflater = options.deflate && new MessageInflater(options.deflate);
    this.#content = new ContentBuffer(options.maxSize);
    this.#control = new ContentBuffer(CONTROL_MAX);
  }

  /** Does it wait for a place where a frame surely begins? */
  get lost(): boolean {
    return !this.#synchronous;
  }

  /** Has this side said that it will send no more? What follows is ignored. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes of memory held for a message that is not complete. */
  get held(): number {
    return this.#content.held;
  }

  /**
   * Takes the next bytes. Where they break the protocol, they are no WebSocket or the decoder has lost its way:
   * then it goes on as after a loss.
   * @param bytes Read during the call only.
   * @param offset Place of `bytes[0]` in the stream.
   * @param boundary These bytes begin a system call's: a place where a frame may begin, see `beginsFrame`.
   */
  push(bytes: Buffer, offset: number, boundary: boolean, emit: EmitWebSocket): void {
    if (!this.#synchronous) {
      const masked = this.#side === 'request';
      if (!boundary || !beginsFrame(bytes, masked, this.#inflater !== undefined, this.#maxSize)) return;
      this.#synchronous = true;
    }
    let at = 0;
    while (at < bytes.length && this.#synchronous && !this.#closed) {
      if (!this.#frame) {
        if (this.#headLength === 0) this.#frameOffset = offset + at;
        at = this.#takeHead(bytes, at, emit);
        continue;
      }
      const end = Math.min(bytes.length, at + this.#remaining);
      this.#payload(bytes, at, end, emit);
      this.#remaining -= end - at;
      this.#phase += end - at;
      at = end;
      if (this.#remaining === 0) this.#endFrame(emit);
    }
  }

  /**
   * Bytes are missing. Within the payload of one frame the place of the next is still known, and only the message
   * is lost; else frames are found again where a call's bytes look like one.
   * @param bytes How many; 0 if that is not known.
   */
  gap(bytes: number, emit: EmitWebSocket): void {
    if (this.#closed || !this.#synchronous) return;
    if (!this.#frame || bytes === 0 || bytes > this.#remaining) {
      this.#loseSync(emit);
      return;
    }
    if (this.#frame.opcode >= OPCODE.close) this.#controlLost = true;
    else this.#giveUp('gap', emit);
    this.#remaining -= bytes;
    this.#phase += bytes;
    if (this.#remaining === 0) this.#endFrame(emit);
  }

  /** No more bytes: a message begun is emitted as incomplete. Releases the memory. */
  end(reason: 'end' | 'gap' | 'stop', emit: EmitWebSocket): void {
    this.#giveUp(reason, emit);
    this.#closed = true;
    this.#inflater?.close();
  }

  /** @returns Where to go on. */
  #takeHead(bytes: Buffer, from: number, emit: EmitWebSocket): number {
    const head = this.#head;
    let at = from;
    let wanted = this.#headLength < 2 ? 2 : headerSize(head[1] ?? 0);
    while (at < bytes.length && this.#headLength < wanted) {
      head[this.#headLength++] = bytes[at++] ?? 0;
      if (this.#headLength === 2) wanted = headerSize(head[1] ?? 0);
    }
    if (this.#headLength < wanted) return at;
    this.#headLength = 0;
    const frame = parseHeader(head, 0, this.#inflater !== undefined);
    if (!frame || !this.#beginFrame(frame)) {
      this.#loseSync(emit);
      return at;
    }
    this.#frame = frame;
    this.#remaining = frame.length;
    this.#phase = 0;
    if (frame.length === 0) this.#endFrame(emit);
    return at;
  }

  /** @returns False if this frame must not come now. */
  #beginFrame({ opcode, compressed, length }: FrameHeader): boolean {
    if (opcode >= OPCODE.close) return true;
    if (opcode === OPCODE.continuation) {
      if (this.#message === 'begun') this.#size += length;
      return this.#message !== 'none';
    }
    if (this.#message === 'begun') return false;
    this.#message = 'begun';
    this.#opcode = opcode === OPCODE.text ? 'text' : 'binary';
    this.#compressed = compressed;
    this.#sealed = compressed && this.#inflater?.usable !== true;
    this.#offset = this.#frameOffset;
    this.#size = length;
    return true;
  }

  #payload(bytes: Buffer, from: number, to: number, emit: EmitWebSocket): void {
    const frame = this.#frame;
    if (!frame) return;
    if (frame.opcode >= OPCODE.close) {
      this.#keep(this.#control, bytes, from, to);
    } else if (this.#message === 'begun' && !this.#sealed) {
      if (this.#compressed) this.#inflate(bytes, from, to);
      else if (
        frame.fin &&
        frame.opcode !== OPCODE.continuation &&
        !frame.masked &&
        to - from === frame.length
      ) {
        // All of it is here: no need to gather it.
        this.#complete(contentOf(bytes.subarray(from, to), this.#maxSize), emit);
      } else this.#keep(this.#content, bytes, from, to);
    }
  }

  /** Adds a piece of the frame's payload, unmasked. */
  #keep(content: ContentBuffer, bytes: Buffer, from: number, to: number): void {
    const kept = content.add(bytes, from, to);
    if (this.#frame?.masked && kept > 0) {
      const all = content.bytes;
      unmask(all.subarray(all.length - kept), this.#maskingKey, this.#phase);
    }
  }

  get #maskingKey(): Buffer {
    const size = this.#frame?.size ?? 4;
    return this.#head.subarray(size - 4, size);
  }

  readonly #inflated = (bytes: Buffer): boolean => {
    this.#content.add(bytes, 0, bytes.length);
    return this.#content.size <= this.#maxSize * BOMB;
  };

  #inflate(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to && !this.#sealed; at += SCRATCH) {
      let piece = bytes.subarray(at, Math.min(to, at + SCRATCH));
      if (this.#frame?.masked) {
        piece = Buffer.from(piece);
        unmask(piece, this.#maskingKey, this.#phase + at - from);
      }
      if (!this.#inflater?.write(piece, this.#inflated)) this.#seal();
    }
  }

  #seal(): void {
    this.#sealed = true;
    this.#inflater?.lost();
  }

  #endFrame(emit: EmitWebSocket): void {
    const frame = this.#frame;
    this.#frame = undefined;
    if (!frame) return;
    if (frame.opcode >= OPCODE.close) {
      if (frame.opcode === OPCODE.close) this.#close(emit);
      this.#control.reset();
      this.#controlLost = false;
    } else if (frame.fin) {
      if (this.#message === 'begun') this.#endMessage(emit);
      this.#message = 'none';
    }
  }

  #endMessage(emit: EmitWebSocket): void {
    if (this.#compressed && !this.#sealed && !this.#inflater?.endMessage(this.#inflated)) this.#seal();
    const cut = this.#sealed && this.#content.size <= this.#maxSize;
    this.#complete(cut ? this.#content.takeIncomplete('gap') : this.#content.take(), emit);
  }

  #complete(content: FrameContent, emit: EmitWebSocket): void {
    this.#message = 'none';
    emit({ type: 'message', opcode: this.#opcode, content, offset: this.#offset, size: this.#size });
  }

  #close(emit: EmitWebSocket): void {
    const { bytes } = this.#control;
    const told = bytes.length >= 2 && !this.#controlLost;
    const code = told ? bytes.readUInt16BE(0) : undefined;
    const reason = told ? bytes.toString('utf8', 2) : '';
    emit({ type: 'close', code, reason, offset: this.#frameOffset });
    this.#closed = true;
    this.#inflater?.close();
  }

  /** The message begun will not be completed. */
  #giveUp(reason: 'end' | 'gap' | 'stop', emit: EmitWebSocket): void {
    if (this.#message === 'begun') {
      // Of a frame of this message, only what came counts.
      if (this.#frame && this.#frame.opcode < OPCODE.close) this.#size -= this.#remaining;
      if (this.#compressed && !this.#sealed) this.#seal();
      this.#complete(this.#content.takeIncomplete(reason), emit);
    }
    this.#message = 'lost';
  }

  /** Where the next frame begins is not known, nor what is missed until then. */
  #loseSync(emit: EmitWebSocket): void {
    this.#giveUp('gap', emit);
    this.#inflater?.lost();
    this.#synchronous = false;
    this.#frame = undefined;
    this.#headLength = 0;
    this.#remaining = 0;
    this.#control.reset();
    this.#controlLost = false;
  }
}
