// SPDX-License-Identifier: Apache-2.0
/** What the programs of bpf/iterators.bpf.c list: the kernel walks by itself where /proc takes some files a process. */
import { closeSync, readSync } from 'node:fs';
import { check, checkPointer, libbpf, type Pointer } from './libbpf.ts';
import { mappingKey } from './mapped-files.ts';

/** `struct listed_process` in bpf/iterators.bpf.c. */
const LISTED_PROCESS = { size: 8, tgid: 0, parent: 4 };
/** `struct listed_mapping` there. */
export const LISTED_MAPPING = { size: 16, inode: 0, device: 8, tgid: 12 };

/** As much as the kernel hands over at once: PAGE_SIZE << 3 in kernel/bpf/bpf_iter.c. */
const PIECE = 32768;

/** A process and its parent; 0: it has none. */
export type Parentage = readonly [pid: number, parent: number];

/**
 * Has a program called for everything there is of its kind.
 * @param program Of type `iter/…`, loaded.
 * @returns all that it has written.
 * @throws BpfError where the kernel refuses.
 */
export function readIterator(program: Pointer): Buffer {
  const bpf = libbpf();
  const link = checkPointer('attaching an iterator', bpf.attachIter(program, null));
  try {
    const fd = check('bpf_iter_create', bpf.createIter(check('an iterator', bpf.linkFd(link))));
    try {
      return readAll(fd);
    } finally {
      closeSync(fd);
    }
  } finally {
    bpf.destroyLink(link);
  }
}

/** @param read As read(2), of an iterator. */
export function readAll(fd: number, read: (fd: number, piece: Buffer) => number = readSync): Buffer {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE);
    let length: number;
    try {
      length = read(fd, piece);
    } catch (error) {
      // It has passed a million objects, none of which was to be listed, and goes on from there (bpf_seq_read).
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') continue;
      throw error;
    }
    if (length === 0) return Buffer.concat(pieces);
    pieces.push(piece.subarray(0, length));
  }
}

export function parentagesIn(list: Buffer): Parentage[] {
  const found: Parentage[] = [];
  for (let at = 0; at < list.length; at += LISTED_PROCESS.size)
    found.push([list.readUInt32LE(at + LISTED_PROCESS.tgid), list.readUInt32LE(at + LISTED_PROCESS.parent)]);
  return found;
}

/** By process, the keys of the files that it has mapped executable: see `MappedFile`. */
export function mappingsIn(list: Buffer): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (let at = 0; at < list.length; at += LISTED_MAPPING.size) {
    const pid = list.readUInt32LE(at + LISTED_MAPPING.tgid);
    const inode = list.readBigUInt64LE(at + LISTED_MAPPING.inode);
    const key = mappingKey(list.readUInt32LE(at + LISTED_MAPPING.device), inode);
    const keys = found.get(pid);
    if (keys) keys.push(key);
    else found.set(pid, [key]);
  }
  return found;
}
