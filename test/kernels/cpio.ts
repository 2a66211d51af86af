// SPDX-License-Identifier: Apache-2.0
/** An initial RAM disk: a cpio archive in the "newc" format (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst). */

/** A file; a directory when there is no content. */
export interface ArchiveEntry {
  readonly path: string;
  readonly mode: number;
  readonly content?: Buffer;
}

const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const END = 'TRAILER!!!';

function padded(...parts: Buffer[]): Buffer {
  const whole = Buffer.concat(parts);
  return Buffer.concat([whole, Buffer.alloc(-whole.length & 3)]);
}

function entry(number: number, mode: number, path: string, content: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (2), of the special file (2), length of the name, check
  const fields = [number, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.from(header), name), padded(content)]);
}

/** The archive, uncompressed. Directories have to come before what is in them. */
export function archive(entries: readonly ArchiveEntry[]): Buffer {
  const parts = entries.map(({ path, mode, content }, index) =>
    entry(index + 1, mode | (content ? REGULAR : DIRECTORY), path, content ?? Buffer.alloc(0)),
  );
  return Buffer.concat([...parts, entry(0, 0, END, Buffer.alloc(0))]);
}
