// SPDX-License-Identifier: Apache-2.0
/** The bytes of a file, and the numbers in them. */
import { readSync } from 'node:fs';

/** Bytes by their place in the file. */
export interface ByteSource {
  /** @returns the bytes there are; fewer than asked for at the end of the file. */
  read(offset: number, length: number): Buffer;
}

/** An open file. */
export function fileSource(fd: number): ByteSource {
  return {
    read(offset, length) {
      try {
        const buffer = Buffer.allocUnsafe(length);
        return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
      } catch {
        return Buffer.alloc(0);
      }
    },
  };
}

/** A 64-bit number; NaN where it is too large to be of any use. */
export function u64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 4294967296;
  return Number.isSafeInteger(value) ? value : Number.NaN;
}
