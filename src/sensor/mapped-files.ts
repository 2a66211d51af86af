// SPDX-License-Identifier: Apache-2.0
/** The files whose code a process has mapped, from /proc/PID/maps (proc_pid_maps(5)). */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';

/** A file in the address space of a process. */
export interface MappedFile {
  /** Device and inode as the process's maps tell them: the same file, while it is mapped. */
  readonly key: string;
  /** The range, as /proc/PID/map_files names it. */
  readonly range: string;
  /** As the process sees it, or what it was before it was deleted. */
  readonly path: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ..x. [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) ([0-9]+) +(.*)$/;

/** Those mapped executable, each once. */
export function parseMaps(maps: string): MappedFile[] {
  const files = new Map<string, MappedFile>();
  for (const line of maps.split('\n')) {
    // Most are not, and there are many lines of many processes.
    if (!line.includes('x')) continue;
    const [, start = '', end = '', device = '', inode = '0', path = ''] = LINE.exec(line) ?? [];
    const key = `${device}:${inode}`;
    if (inode === '0' || files.has(key)) continue;
    files.set(key, { key, range: `${bare(start)}-${bare(end)}`, path });
  }
  return [...files.values()];
}

/** `key` of a `MappedFile`, as the lines of maps have it. @param device The kernel's own dev_t (include/linux/kdev_t.h). */
export function mappingKey(device: number, inode: bigint): string {
  const part = (number: number) => number.toString(16).padStart(2, '0');
  return `${part(device >>> 20)}:${part(device & 0xfffff)}:${inode}`;
}

/** The names in map_files have no leading zeros. */
function bare(address: string): string {
  return address.replace(/^0+(?=.)/, '');
}

/** Empty when the process is gone, or a thread of the kernel's. */
export function mappedFiles(pid: number): MappedFile[] {
  try {
    return parseMaps(readFileSync(`/proc/${pid}/maps`, 'utf8'));
  } catch {
    return [];
  }
}

/** An open file, and what tells whether it is one that was looked at before. */
export interface OpenFile {
  readonly fd: number;
  /** Device and inode, as stat(2) tells them. */
  readonly node: string;
  /** Changes when the file is another one, or has been changed. */
  readonly identity: string;
}

/**
 * Opens the file behind a mapping: the very one, though it may have been deleted or replaced, or lie in
 * another mount namespace. The caller closes it.
 */
export function openMapped(pid: number, file: MappedFile): OpenFile | undefined {
  // map_files needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE in the initial user namespace.
  return (
    openFile(`/proc/${pid}/map_files/${file.range}`) ??
    (file.path.startsWith('/') ? openFile(`/proc/${pid}/root${file.path}`) : undefined)
  );
}

/** The longest instruction, bytes: it may lie on two pages. */
const INSTRUCTION = 16;

/**
 * Has the instructions at these places brought into memory, as read(2) does it. Where one is not there, the
 * kernel fetches it itself when the probe is put in, without the lock under which a file system expects to
 * read: those built to check that (CONFIG_EXT4_DEBUG) warn.
 */
export function bringIn({ fd }: OpenFile, places: readonly { readonly offset: number }[]): void {
  const bytes = Buffer.alloc(INSTRUCTION);
  for (const { offset } of places) {
    try {
      readSync(fd, bytes, 0, INSTRUCTION, offset);
    } catch {
      // Then the kernel will say what is wrong with the file.
    }
  }
}

/** open(2): only what a path leads to; a device or FIFO is not told of it. */
const O_PATH = 0o10000000;

/** Opens a file; `undefined` when it is none, or not there. The caller closes it. */
export function openFile(path: string): OpenFile | undefined {
  let place: number | undefined;
  try {
    // Whose process is watched chooses where the path leads: to open a device may do something, if only to open it.
    place = openSync(path, O_PATH);
    if (!fstatSync(place).isFile()) return undefined;
    return openRegular(`/proc/self/fd/${place}`);
  } catch {
    return undefined;
  } finally {
    if (place !== undefined) closeSync(place);
  }
}

function openRegular(path: string): OpenFile {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd, { bigint: true });
    const node = nodeOf(stat.dev, stat.ino);
    return { fd, node, identity: [node, stat.size, stat.mtimeNs, stat.ctimeNs].join(':') };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** @param device As stat(2) has it. */
function nodeOf(device: bigint, inode: bigint): string {
  return `${device}:${inode}`;
}

/** A file that the kernel has named. */
export interface NamedFile {
  /** See `OpenFile`. On some file systems the kernel's own device is not that of stat(2). */
  readonly node: string;
  /** Empty where it is not known. */
  readonly path: string;
}

/** @param device The kernel's own dev_t: 12 bits major, 20 bits minor (include/linux/kdev_t.h). */
export function namedFile(device: number, inode: bigint, path: string): NamedFile {
  const major = BigInt(device >>> 20);
  const minor = BigInt(device & 0xfffff);
  // As new_encode_dev() does it for stat(2).
  return { node: nodeOf((minor & 0xffn) | (major << 8n) | ((minor & ~0xffn) << 12n), inode), path };
}

/** Opens it by its path, if that still leads to it. The caller closes it. */
export function openNamed({ node, path }: NamedFile): OpenFile | undefined {
  const open = path.startsWith('/') ? openFile(path) : undefined;
  if (!open || open.node === node) return open;
  closeSync(open.fd);
  return undefined;
}
