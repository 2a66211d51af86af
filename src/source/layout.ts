// SPDX-License-Identifier: Apache-2.0
/** The bytes of bpf/record.h, as offsets. Nothing else knows them. */

export const RECORD = {
  data: 1,
  gap: 2,
  stream: 16,
  endpoint: 17,
  eof: 18,
  fork: 19,
  exec: 20,
  exit: 21,
  tie: 22,
  mapped: 32,
} as const;

export const FLAG = {
  read: 1,
  packetEnd: 2,
  endsLine: 4,
  linesKnown: 8,
  placed: 16,
  mayArrive: 32,
  resumed: 64,
  stranger: 128,
  shared: 256,
  batch: 512,
} as const;

/** `struct record_head`. */
export const HEAD = { type: 0, flags: 2, tgid: 4, time: 8, stream: 16, size: 24 } as const;

/** `struct record_data`; the payload follows. */
export const DATA = { offset: 24, length: 32, fd: 36, payload: 40 } as const;

/** `struct record_gap`. */
export const GAP = { offset: 24, bytes: 32, lines: 40, cause: 44 } as const;

/** `struct record_stream`. */
export const STREAM = {
  inode: 24,
  peerInode: 32,
  pair: 40,
  device: 48,
  kind: 52,
  joined: 56,
  addresses: 64,
  library: 104,
} as const;

/** `struct addresses`. */
export const ADDRESSES = {
  source: 0,
  destination: 16,
  sourcePort: 32,
  destinationPort: 34,
  family: 36,
} as const;

/** `struct record_tie`. */
export const TIE = { carrier: 24, addresses: 32 } as const;

/** `struct record_endpoint`. */
export const ENDPOINT = { fd: 24, comm: 32 } as const;

/** `struct record_process`; argv follows. */
export const PROCESS = { other: 24, argvLength: 28, comm: 32, exe: 48, argv: 304 } as const;

/** `struct record_mapped`, and of an exec `struct record_executed`. For the sensor, by a ring of their own. */
export const NEWS = { inode: 24, device: 32, parent: 36, path: 40, size: 296 } as const;

/** Bytes. */
export const COMM_LENGTH = 16;
export const PATH_LENGTH = 256;
/** The longest payload of a record. Of a longer call the writer does not hand over again what the reader has supplied. */
export const PAYLOAD_CHUNK = 65536;
