// SPDX-License-Identifier: Apache-2.0
/** The nine bytes before each frame of HTTP/2 (RFC 9113, section 4.1), and which of them can be. */
import type { Side } from './http.ts';

/** Types of frames (section 6). */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** Bytes of a frame's head. */
export const HEAD_LENGTH = 9;

export interface FrameHead {
  readonly type: number;
  readonly flags: number;
  /** The stream's number, without the reserved bit. */
  readonly stream: number;
  /** Bytes of the payload. */
  readonly length: number;
  /** Place of its first byte in the direction's stream. */
  readonly offset: number;
}

/**
 * Reads the head at `at`, of which all bytes must be there.
 * @param offset Place of the byte behind it.
 */
export function frameHead(bytes: Buffer, at: number, offset: number): FrameHead {
  return {
    length: bytes.readUIntBE(at, 3),
    type: bytes[at + 3] ?? 0,
    flags: bytes[at + 4] ?? 0,
    stream: bytes.readUInt32BE(at + 5) % 2 ** 31,
    offset,
  };
}

/** Types that belong to the connection as a whole, and those that belong to a stream. */
const ON_CONNECTION: readonly number[] = [FRAME.settings, FRAME.ping, FRAME.goAway];
const ON_STREAM: readonly number[] = [
  FRAME.data,
  FRAME.headers,
  FRAME.priority,
  FRAME.rstStream,
  FRAME.pushPromise,
  FRAME.continuation,
];
/** Of these a client sends only what belongs to streams that it has opened itself. */
const CLIENT_ODD: readonly number[] = [FRAME.data, FRAME.headers, FRAME.continuation];

/** Bytes of the payload, for types that have always the same. */
const LENGTHS = new Map<number, number>([
  [FRAME.priority, 5],
  [FRAME.rstStream, 4],
  [FRAME.ping, 8],
  [FRAME.windowUpdate, 4],
]);

/** May this side send such a frame? The others are errors that end the connection, or no frames at all. */
export function isPossible({ type, flags, stream, length }: FrameHead, side: Side): boolean {
  if (ON_CONNECTION.includes(type) ? stream !== 0 : stream === 0 && ON_STREAM.includes(type)) return false;
  if (length !== (LENGTHS.get(type) ?? length)) return false;
  if (type === FRAME.settings) return flags & FLAG.ack ? length === 0 : length % 6 === 0;
  if (type === FRAME.goAway) return length >= 8;
  if (type === FRAME.pushPromise) return side === 'response' && stream % 2 === 1;
  return side === 'response' || stream % 2 === 1 || !CLIENT_ODD.includes(type);
}

/** Flags that each type defines: section 6, ALTSVC (RFC 7838), ORIGIN (RFC 8336), PRIORITY_UPDATE (RFC 9218). */
const FLAGS = new Map<number, number>([
  [FRAME.data, FLAG.endStream | FLAG.padded],
  [FRAME.headers, FLAG.endStream | FLAG.endHeaders | FLAG.padded | FLAG.priority],
  [FRAME.priority, 0],
  [FRAME.rstStream, 0],
  [FRAME.settings, FLAG.ack],
  [FRAME.pushPromise, FLAG.endHeaders | FLAG.padded],
  [FRAME.ping, FLAG.ack],
  [FRAME.goAway, 0],
  [FRAME.windowUpdate, 0],
  [FRAME.continuation, FLAG.endHeaders],
  [0x0a, 0],
  [0x0c, 0],
  [0x10, 0],
]);

/** A longer frame has to be allowed by the peer first; none of the known ones allows more. */
export const PLAUSIBLE_LENGTH = 1 << 20;

/** Is it a frame that known peers send? */
function isPlausible(head: FrameHead, side: Side): boolean {
  const flags = FLAGS.get(head.type);
  if (flags === undefined || (head.flags & ~flags) !== 0) return false;
  return head.length <= PLAUSIBLE_LENGTH && isPossible(head, side);
}

/** Heads that are looked at where it is not sure that frames begin. */
const HEADS_MAX = 8;

/** Can frames of this side begin here? All whose heads are in sight must be plausible, and one at least must be. */
export function beginsFrames(bytes: Buffer, side: Side): boolean {
  let at = 0;
  for (let count = 0; count < HEADS_MAX && at + HEAD_LENGTH <= bytes.length; count++) {
    const head = frameHead(bytes, at, 0);
    const reserved = (bytes[at + 5] ?? 0) >= 0x80;
    if (reserved || !isPlausible(head, side)) return false;
    at += HEAD_LENGTH + head.length;
  }
  return at > 0;
}
