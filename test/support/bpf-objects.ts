// SPDX-License-Identifier: Apache-2.0
/** What of BPF a process holds, whether the kernel still has it, and what uprobes leave in the code of the probed. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import koffi from 'koffi';

/** A program or a link, by the kernel's own number. */
export interface BpfObject {
  readonly kind: 'prog' | 'link';
  readonly id: number;
  /** Of a link: as /proc names it. */
  readonly type: string | undefined;
}

/** All that this process holds by descriptors. */
export function bpfObjectsOf(pid: number): BpfObject[] {
  const directory = `/proc/${pid}/fdinfo`;
  return readdirSync(directory).flatMap((fd) => {
    let info: string;
    try {
      info = readFileSync(`${directory}/${fd}`, 'latin1');
    } catch {
      return [];
    }
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(info)?.[1];
    // A link tells its program, too.
    return (['prog', 'link'] as const).flatMap((kind) => {
      const id = field(`${kind}_id`);
      return id === undefined ? [] : [{ kind, id: Number(id), type: field('link_type') }];
    });
  });
}

const libbpf = koffi.load('libbpf.so.1');
const libc = koffi.load('libc.so.6');
const fdById = {
  prog: libbpf.func('int bpf_prog_get_fd_by_id(uint32_t id)'),
  link: libbpf.func('int bpf_link_get_fd_by_id(uint32_t id)'),
};
const close = libc.func('int close(int fd)');

/** Has the kernel an object of this number? @throws when it does not say. */
export function exists({ kind, id }: BpfObject): boolean {
  const fd: number = fdById[kind](id);
  if (fd >= 0) close(fd);
  else if (-fd !== koffi.os.errno.ENOENT) throw new Error(`${kind} ${id}: errno ${-fd}`);
  return fd >= 0;
}

/** How many bytes of code of libraries whose name begins like this are not those of their files: breakpoints, in this process. */
export function changedCode(pid: number, library: string): number {
  let changed = 0;
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [range = '', access = '', offset = '', , , path = ''] = line.split(/\s+/);
      if (access[2] !== 'x' || !path.includes(`/${library}`)) continue;
      const [from = 0, to = 0] = range.split('-').map((text) => Number.parseInt(text, 16));
      const mapped = Buffer.alloc(to - from);
      const own = Buffer.alloc(to - from);
      readSync(memory, mapped, 0, mapped.length, from);
      const file = openSync(path, 'r');
      // What is mapped behind the end of the file is zero.
      readSync(file, own, 0, own.length, Number.parseInt(offset, 16));
      closeSync(file);
      for (let at = 0; at < own.length; at++) if (own[at] !== mapped[at]) changed++;
    }
  } finally {
    closeSync(memory);
  }
  return changed;
}
