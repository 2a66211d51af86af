// SPDX-License-Identifier: Apache-2.0
/** Bytes of the ring to records. */
import type { PendingLoss } from '../sensor/messages.ts';
import { splitArgv } from '../sensor/proc.ts';
import type { Carrier, LossCause } from '../streams/frame.ts';
import { formatIp } from './address.ts';
import {
  ADDRESSES,
  COMM_LENGTH,
  DATA,
  ENDPOINT,
  FLAG,
  GAP,
  HEAD,
  PATH_LENGTH,
  PROCESS,
  RECORD,
  STREAM,
  TIE,
} from './layout.ts';
import type { Addresses, ControlRecord, DataRecord, GapRecord } from './records.ts';

/** By the number of `enum stream_kind`. */
const CARRIERS: readonly (Carrier | undefined)[] = [
  undefined,
  'pipe',
  'unix',
  'unix-seqpacket',
  'stderr',
  'tcp',
  'tls',
];

/** By the number of `enum tls_library`. */
const LIBRARIES: readonly (string | undefined)[] = [undefined, 'OpenSSL', 'GnuTLS', 'BoringSSL'];

/** By the number of `enum loss_cause`. */
export const CAUSES: readonly LossCause[] = [
  'ring-full',
  'unreadable',
  'map-full',
  'splice',
  'io_uring',
  'compat',
  'skipped',
];

/**
 * A u64 as a double: exact below 2^53, which is 104 days of nanoseconds or 8 PiB. What fits in 31 bits becomes an integer
 * to V8, too, which has a double in 16 bytes of its own: ids and inodes are kept for as long as their stream.
 */
function u64(bytes: Buffer, at: number): number {
  const low = bytes.readUInt32LE(at);
  const high = bytes.readUInt32LE(at + 4);
  return high === 0 && low < 0x80000000 ? low | 0 : low + high * 4294967296;
}

/** Up to the first NUL, or `length` bytes (UTF-8). */
export function text(bytes: Buffer, at: number, length: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 || end > at + length ? at + length : end);
}

/** `struct addresses`; `undefined` when they are not known. */
function addresses(bytes: Buffer, at: number): Addresses | undefined {
  const family = bytes.readUInt32LE(at + ADDRESSES.family);
  const source = formatIp(bytes, at + ADDRESSES.source, family);
  const destination = formatIp(bytes, at + ADDRESSES.destination, family);
  if (source === undefined || destination === undefined) return undefined;
  return {
    source: { ip: source, port: bytes.readUInt16LE(at + ADDRESSES.sourcePort) },
    destination: { ip: destination, port: bytes.readUInt16LE(at + ADDRESSES.destinationPort) },
  };
}

/** A record of bytes that begins at `at`; `undefined` for one of another type. */
export function decodeData(ring: Buffer, at: number): DataRecord | undefined {
  if (ring.readUInt16LE(at + HEAD.type) !== RECORD.data) return undefined;
  const flags = ring.readUInt16LE(at + HEAD.flags);
  const start = at + DATA.payload;
  return {
    type: 'data',
    time: u64(ring, at + HEAD.time),
    pid: ring.readUInt32LE(at + HEAD.tgid),
    stream: u64(ring, at + HEAD.stream),
    fd: ring.readInt32LE(at + DATA.fd),
    offset: u64(ring, at + DATA.offset),
    fromReader: (flags & FLAG.read) !== 0,
    packetEnd: (flags & FLAG.packetEnd) !== 0,
    resumed: (flags & FLAG.resumed) !== 0,
    shared: (flags & FLAG.shared) !== 0,
    batch: (flags & FLAG.batch) !== 0,
    bytes: ring.subarray(start, start + ring.readUInt32LE(at + DATA.length)),
  };
}

/** A record of the gaps ring. */
export function decodeGap(ring: Buffer, at: number): GapRecord | undefined {
  if (ring.readUInt16LE(at + HEAD.type) !== RECORD.gap) return undefined;
  const flags = ring.readUInt16LE(at + HEAD.flags);
  return gapOf(u64(ring, at + HEAD.time), {
    stream: u64(ring, at + HEAD.stream),
    offset: flags & FLAG.placed ? u64(ring, at + GAP.offset) : undefined,
    flags,
    bytes: u64(ring, at + GAP.bytes),
    lines: ring.readUInt32LE(at + GAP.lines),
    cause: ring.readUInt32LE(at + GAP.cause),
  });
}

/** A loss as its flags say. */
export function gapOf(time: number, { stream, offset, flags, bytes, lines, cause }: PendingLoss): GapRecord {
  const known = (flags & FLAG.linesKnown) !== 0;
  return {
    type: 'gap',
    time,
    stream,
    offset,
    bytes,
    lines: known ? lines : undefined,
    // Of losses that have added up, the last in time need not be the last in the stream.
    endsLine: known && offset !== undefined ? (flags & FLAG.endsLine) !== 0 : undefined,
    cause: CAUSES[cause] ?? 'unknown',
    mayArrive: (flags & FLAG.mayArrive) !== 0,
    fromReader: (flags & FLAG.read) !== 0,
  };
}

/** A record of the control ring. */
export function decodeControl(ring: Buffer, at: number): ControlRecord | undefined {
  const time = u64(ring, at + HEAD.time);
  const pid = ring.readUInt32LE(at + HEAD.tgid);
  const stream = u64(ring, at + HEAD.stream);
  switch (ring.readUInt16LE(at + HEAD.type)) {
    case RECORD.stream:
      return {
        type: 'stream',
        time,
        pid,
        stream,
        carrier: CARRIERS[ring.readUInt32LE(at + STREAM.kind)] ?? 'pipe',
        inode: u64(ring, at + STREAM.inode),
        peerInode: u64(ring, at + STREAM.peerInode),
        device: ring.readUInt32LE(at + STREAM.device),
        pair: u64(ring, at + STREAM.pair),
        joined: ring.readUInt32LE(at + STREAM.joined) !== 0,
        addresses: addresses(ring, at + STREAM.addresses),
        tls: LIBRARIES[ring.readUInt32LE(at + STREAM.library)],
      };
    case RECORD.tie: {
      const tied = addresses(ring, at + TIE.addresses);
      return tied && { type: 'tie', time, stream, addresses: tied };
    }
    case RECORD.endpoint: {
      const flags = ring.readUInt16LE(at + HEAD.flags);
      return {
        type: 'endpoint',
        time,
        stream,
        pid,
        fd: ring.readInt32LE(at + ENDPOINT.fd),
        reader: (flags & FLAG.read) !== 0,
        comm: text(ring, at + ENDPOINT.comm, COMM_LENGTH),
        ...(flags & FLAG.stranger && { stranger: true }),
      };
    }
    case RECORD.eof:
      return { type: 'eof', time, stream };
    case RECORD.fork: {
      const comm = text(ring, at + PROCESS.comm, COMM_LENGTH);
      return { type: 'fork', time, pid, parent: ring.readUInt32LE(at + PROCESS.other), comm };
    }
    case RECORD.exec: {
      const start = at + PROCESS.argv;
      return {
        type: 'exec',
        time,
        pid,
        comm: text(ring, at + PROCESS.comm, COMM_LENGTH),
        exe: text(ring, at + PROCESS.exe, PATH_LENGTH),
        argv: splitArgv(ring.subarray(start, start + ring.readUInt32LE(at + PROCESS.argvLength))),
      };
    }
    case RECORD.exit:
      return { type: 'exit', time, pid };
    default:
      return undefined;
  }
}
