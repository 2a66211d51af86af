// SPDX-License-Identifier: Apache-2.0
/** The frames of WebSockets (RFC 6455, section 5.2): their headers and their masks. */
import { isUtf8 } from 'node:buffer';

/** RFC 6455, section 11.8. */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Bytes of the largest header. */
export const HEADER_MAX = 14;

/** Payload of a control frame, bytes (RFC 6455, section 5.5). */
export const CONTROL_MAX = 125;

export interface FrameHeader {
  readonly fin: boolean;
  /** RSV1: the message is compressed (RFC 7692, section 6). */
  readonly compressed: boolean;
  readonly opcode: number;
  readonly masked: boolean;
  /** Bytes of the header. */
  readonly size: number;
  /** Bytes of the payload. */
  readonly length: number;
}

/** How many bytes the header has that begins with these two, or at least two. */
export function headerSize(second: number): number {
  const extended = (second & 0x7f) === 127 ? 8 : (second & 0x7f) === 126 ? 2 : 0;
  return 2 + extended + ((second & 0x80) !== 0 ? 4 : 0);
}

/**
 * @param bytes A whole header from `from` on.
 * @param deflate Has permessage-deflate been agreed upon?
 * @returns `undefined` where no valid frame begins: reserved bits or opcodes, a control frame in fragments or too
 *   long, a length not in its shortest form or beyond 2^53 - 1.
 */
export function parseHeader(bytes: Buffer, from: number, deflate: boolean): FrameHeader | undefined {
  const first = bytes[from] ?? 0;
  const second = bytes[from + 1] ?? 0;
  const fin = (first & 0x80) !== 0;
  const compressed = (first & 0x40) !== 0;
  const opcode = first & 0x0f;
  const masked = (second & 0x80) !== 0;
  if ((first & 0x30) !== 0 || opcode > OPCODE.pong || (opcode > OPCODE.binary && opcode < OPCODE.close)) {
    return undefined;
  }
  if (compressed && (!deflate || (opcode !== OPCODE.text && opcode !== OPCODE.binary))) return undefined;
  let length = second & 0x7f;
  if (opcode >= OPCODE.close && (!fin || length > CONTROL_MAX)) return undefined;
  if (length === 126) {
    length = bytes.readUInt16BE(from + 2);
    if (length < 126) return undefined;
  } else if (length === 127) {
    length = bytes.readUInt32BE(from + 2) * 2 ** 32 + bytes.readUInt32BE(from + 6);
    if (length < 65536 || length > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return { fin, compressed, opcode, masked, size: headerSize(second), length };
}

/** From so many bytes on, words are worth a view of them. */
const WORDS_MIN = 64;

/**
 * Takes the mask off, in place (RFC 6455, section 5.3).
 * @param key The four bytes of the masking key.
 * @param phase Place of the first byte in the frame's payload.
 */
export function unmask(bytes: Buffer, key: Buffer, phase: number): void {
  const { length, byteOffset } = bytes;
  let at = 0;
  if (length >= WORDS_MIN) {
    const aligned = -byteOffset & 3;
    for (; at < aligned; at++) bytes[at] = (bytes[at] ?? 0) ^ (key[(phase + at) & 3] ?? 0);
    const turned = Uint8Array.from({ length: 4 }, (_, i) => key[(phase + at + i) & 3] ?? 0);
    const word = new Uint32Array(turned.buffer)[0] ?? 0;
    const words = new Uint32Array(bytes.buffer, byteOffset + at, (length - at) >> 2);
    for (let i = 0; i < words.length; i++) words[i] = (words[i] ?? 0) ^ word;
    at += words.length * 4;
  }
  for (; at < length; at++) bytes[at] = (bytes[at] ?? 0) ^ (key[(phase + at) & 3] ?? 0);
}

/** Bytes of a text looked at before a header is believed. */
const SAMPLE = 256;

/**
 * Does a frame begin here, where a system call's bytes begin? Asked after a loss. Believed are headers that are
 * valid, masked as this direction has to be and not longer than the largest message; every further header in the
 * bytes has to be so, too; and the first text, as far as it is here, has to be UTF-8 unless it is compressed. The
 * inside of a text never looks so, because each ASCII character has a reserved bit set where nothing is agreed
 * upon; the inside of binary data or of compressed messages rarely does.
 * @param masked Frames of this direction are masked: those from the client are.
 */
export function beginsFrame(bytes: Buffer, masked: boolean, deflate: boolean, maxSize: number): boolean {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const size = headerSize(bytes[at + 1] ?? 0);
    if (at + size > bytes.length) break;
    const header = parseHeader(bytes, at, deflate);
    if (!header || header.masked !== masked || header.length > maxSize) return false;
    if (header.opcode === OPCODE.text && !header.compressed && !isTextAt(bytes, at, header)) return false;
    at += size + header.length;
  }
  return at > 0;
}

function isTextAt(bytes: Buffer, at: number, { size, length, masked }: FrameHeader): boolean {
  const from = at + size;
  const text = Buffer.from(bytes.subarray(from, from + Math.min(length, SAMPLE)));
  if (masked) unmask(text, bytes.subarray(from - 4, from), 0);
  // The sample, or the fragment, may cut a character.
  return [0, 1, 2, 3].some((cut) => cut <= text.length && isUtf8(text.subarray(0, text.length - cut)));
}
