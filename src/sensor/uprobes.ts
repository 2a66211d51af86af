// SPDX-License-Identifier: Apache-2.0
/**
 * Probes in user space: what the kernel has of them, and their attachment.
 *
 * libbpf 1.1 does not know `uprobe.multi`, so its links are made by bpf(2) itself
 * (include/uapi/linux/bpf.h): one link for all functions of a file, at entry or at return.
 */
import koffi from 'koffi';
import { check, checkPointer, libbpf, type Pointer } from './libbpf.ts';
import { offLoop } from './off-loop.ts';

/** How functions are probed. `off`: the kernel has neither, or does not let us. */
export type UprobeKind = 'uprobe.multi' | 'uprobe' | 'off';

export interface UprobeSupport {
  readonly kind: UprobeKind;
  /** May a program sleep, to fetch pages that are not in memory? */
  readonly sleepable: boolean;
}

/** A function to be probed: where in the file its first instruction lies, and what the program is told. */
export interface Probe {
  readonly offset: number;
  readonly cookie: bigint;
}

const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_PROG_TYPE_KPROBE = 2;
/** `enum bpf_attach_type`. */
export const BPF_TRACE_UPROBE_MULTI = 48;
export const BPF_F_SLEEPABLE = 1 << 4;
const BPF_F_UPROBE_MULTI_RETURN = 1;
const SYS_BPF = process.arch === 'arm64' ? 280 : 321;

const libc = koffi.load('libc.so.6');
const syscall = libc.func('long syscall(long number, long command, void *attributes, long size)');
const closeFd = libc.func('int close(int fd)');

/** bpf(2). @returns what it answers; a negative errno when it fails. */
function bpf(command: number, attributes: Buffer): number {
  const result = Number(syscall(SYS_BPF, command, attributes, attributes.length));
  return result < 0 ? -koffi.errno() : result;
}

/** Where a buffer lies. It has to be kept alive while the kernel may look there. */
const addressOf = (buffer: Buffer): bigint => koffi.address(buffer);

/** `r0 = 0; exit`. @returns a descriptor, or a negative errno. */
function loadEmptyProgram(attachType: number, flags: number): number {
  const instructions = Buffer.from('b700000000000000' + '9500000000000000', 'hex');
  const license = Buffer.from('GPL\0');
  // Up to expected_attach_type of `struct { } BPF_PROG_LOAD` in `union bpf_attr`.
  const attributes = Buffer.alloc(72);
  attributes.writeUInt32LE(BPF_PROG_TYPE_KPROBE, 0);
  attributes.writeUInt32LE(instructions.length / 8, 4);
  attributes.writeBigUInt64LE(addressOf(instructions), 8);
  attributes.writeBigUInt64LE(addressOf(license), 16);
  attributes.writeUInt32LE(flags, 44);
  attributes.writeUInt32LE(attachType, 68);
  const fd = bpf(BPF_PROG_LOAD, attributes);
  // Referenced until here, so that they are not collected before the call.
  return instructions.length && license.length ? fd : fd;
}

function loads(attachType: number, flags: number): boolean {
  const fd = loadEmptyProgram(attachType, flags);
  if (fd < 0) return false;
  closeFd(fd);
  return true;
}

/** BPF_LINK_CREATE of a `uprobe.multi`. @returns a descriptor, or a negative errno. */
function createLink(
  program: number,
  path: string,
  probes: readonly Probe[],
  atReturn: boolean,
  pid: number,
): number {
  const file = Buffer.from(`${path}\0`);
  const offsets = Buffer.alloc(8 * probes.length);
  const cookies = Buffer.alloc(8 * probes.length);
  for (const [index, probe] of probes.entries()) {
    offsets.writeBigUInt64LE(BigInt(probe.offset), 8 * index);
    cookies.writeBigUInt64LE(probe.cookie, 8 * index);
  }
  const attributes = Buffer.alloc(64);
  attributes.writeUInt32LE(program, 0);
  attributes.writeUInt32LE(BPF_TRACE_UPROBE_MULTI, 8);
  attributes.writeBigUInt64LE(addressOf(file), 16);
  attributes.writeBigUInt64LE(addressOf(offsets), 24);
  attributes.writeBigUInt64LE(addressOf(cookies), 40);
  attributes.writeUInt32LE(probes.length, 48);
  attributes.writeUInt32LE(atReturn ? BPF_F_UPROBE_MULTI_RETURN : 0, 52);
  attributes.writeInt32LE(pid, 56);
  const fd = bpf(BPF_LINK_CREATE, attributes);
  return file.length && offsets.length && cookies.length ? fd : fd;
}

const { EBADF, EINVAL } = koffi.os.errno;

/**
 * Does the kernel have `uprobe.multi` (6.6), with a filter that means the process and not one of its
 * threads (6.10, and where that was repaired)? Kernels with the repair refuse a negative pid by EINVAL;
 * and `/` is no file to probe, which is looked at first by all.
 */
function hasUprobeMulti(flags: number): boolean {
  const program = loadEmptyProgram(BPF_TRACE_UPROBE_MULTI, flags);
  if (program < 0) return false;
  const probe = [{ offset: 0, cookie: 0n }];
  try {
    return createLink(program, '/', probe, false, 0) === -(EBADF ?? 0)
      ? createLink(program, '/', probe, false, -1) === -(EINVAL ?? 0)
      : false;
  } finally {
    closeFd(program);
  }
}

/** What this kernel lets us have, by trying. Nothing stays behind. */
export function uprobeSupport(): UprobeSupport {
  for (const sleepable of [true, false])
    if (hasUprobeMulti(sleepable ? BPF_F_SLEEPABLE : 0)) return { kind: 'uprobe.multi', sleepable };
  for (const sleepable of [true, false])
    if (loads(0, sleepable ? BPF_F_SLEEPABLE : 0)) return { kind: 'uprobe', sleepable };
  return { kind: 'off', sleepable: false };
}

/** Some probes, attached. */
export interface Attachment {
  /** Takes them out, off the event loop: the kernel waits until no processor can be in one. */
  close(): void;
}

/**
 * Attaches `program` to functions of a file. `pid`: of the one process that is probed; 0: all.
 * @throws BpfError when the kernel refuses, which it does for a process that is gone, too.
 */
export function attachProbes(
  kind: UprobeKind,
  program: Pointer,
  path: string,
  probes: readonly Probe[],
  atReturn: boolean,
  pid: number,
): Attachment {
  if (kind === 'uprobe.multi') {
    const fd = createLink(libbpf().programFd(program), path, probes, atReturn, pid);
    check('attaching to functions', fd);
    return { close: () => offLoop((done) => closeFd.async(fd, done)) };
  }
  const links: Pointer[] = [];
  const close = () => {
    for (const link of links.splice(0)) offLoop((done) => libbpf().destroyLink.async(link, done));
  };
  try {
    for (const probe of probes) links.push(attachOne(program, path, probe, atReturn, pid));
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

/** By a perf event. */
function attachOne(program: Pointer, path: string, probe: Probe, atReturn: boolean, pid: number): Pointer {
  // struct bpf_uprobe_opts: sz, ref_ctr_offset, bpf_cookie, retprobe, func_name.
  const options = Buffer.alloc(40);
  options.writeBigUInt64LE(BigInt(options.length), 0);
  options.writeBigUInt64LE(probe.cookie, 16);
  options.writeUInt8(atReturn ? 1 : 0, 24);
  return checkPointer(
    'attaching to a function',
    libbpf().attachUprobe(program, pid || -1, path, probe.offset, options),
  );
}
