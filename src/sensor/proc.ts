// SPDX-License-Identifier: Apache-2.0
/** Reading /proc: who a process is, what it descends from, which files it holds (proc(5)). */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { FileQuery, Holder, HolderQuery, ProcessInfo, TcpQuery } from './messages.ts';
import { findTcpSocket } from './tcp-sockets.ts';

/** All thread-group ids now. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** `undefined` when the file is gone or not ours to read: processes end at any moment. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Splits what the kernel keeps as a command line: arguments, each ended by NUL. */
export function splitArgv(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  if (!text) return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}

/** Who `pid` is, or `undefined` when it is gone. */
export function readProcess(pid: number): ProcessInfo | undefined {
  const comm = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').replace(/\n$/, ''));
  if (comm === undefined) return undefined;
  const exe = attempt(() => readlinkSync(`/proc/${pid}/exe`));
  // As text, which Node reads in one call where a file has no size.
  const line = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  const argv = line && splitArgv(Buffer.from(line).subarray(0, 4096));
  return { pid, comm, ...(exe ? { exe } : {}), ...(argv ? { argv } : {}) };
}

/** The parent of `pid`, or 0. */
function parentOf(pid: number): number {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (!stat) return 0;
  // The second field is the name in parentheses, which may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[1] ?? 0);
}

/** The children of `pid`, of all its threads; `undefined` where the kernel does not list them (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] | undefined {
  const threads = attempt(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  const lists = threads.map((thread) =>
    attempt(() => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')),
  );
  // The list of a thread that has ended meanwhile is not missing: its children have become another's.
  if (threads.length && lists.every((list) => list === undefined) && existsSync(`/proc/${pid}`))
    return undefined;
  return lists.flatMap((list) => (list ?? '').split(' ').filter(Boolean).map(Number));
}

/**
 * These processes and all that descend from them now: as many reads as there are of them.
 * @param found Told of each before its children are read.
 */
export function withDescendants(
  roots: readonly number[],
  found: (pid: number) => void = () => {},
): Set<number> {
  const all = new Set<number>();
  const queue = [...roots];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (all.has(pid)) continue;
    all.add(pid);
    found(pid);
    const children = childrenOf(pid);
    if (!children) return byParents(roots, found);
    for (const child of children) queue.push(child);
  }
  return all;
}

/** The same by the parents of all processes on the machine; repeated until nobody has been born meanwhile. */
function byParents(roots: readonly number[], found: (pid: number) => void): Set<number> {
  const told = new Set<number>();
  for (;;) {
    const all = childrenByParents(roots);
    const fresh = [...all].filter((pid) => !told.has(pid));
    if (!fresh.length) return told;
    for (const pid of fresh) {
      told.add(pid);
      found(pid);
    }
  }
}

function childrenByParents(roots: readonly number[]): Set<number> {
  const children = new Map<number, number[]>();
  for (const pid of allPids()) {
    const parent = parentOf(pid);
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  const found = new Set<number>();
  const queue = [...roots];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** O_ACCMODE of a descriptor, from fdinfo (octal `flags:`). */
function accessMode(pid: number, fd: string): number | undefined {
  const info = attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'));
  const flags = info?.match(/^flags:\s*([0-7]+)/m)?.[1];
  return flags === undefined ? undefined : Number.parseInt(flags, 8) & 3;
}

/** Does this descriptor stand for the file we look for, a FIFO with a name or none? */
function matches(pid: number, fd: string, query: FileQuery, named: boolean): boolean {
  const path = `/proc/${pid}/fd/${fd}`;
  const link = attempt(() => readlinkSync(path));
  if (link === undefined) return false;
  if (query.carrier === 'socket') return link === `socket:[${query.inode}]`;
  if (named) {
    // The path tells nothing, the inode does.
    const stat = link.startsWith('/') ? attempt(() => statSync(path)) : undefined;
    if (!stat?.isFIFO() || stat.ino !== query.inode) return false;
  } else if (link !== `pipe:[${query.inode}]`) return false;
  const mode = accessMode(pid, fd);
  return mode === 2 || mode === (query.end === 'read' ? 0 : 1);
}

/** Who holds which socket, by inode: one row a process. */
export type Holders = Map<number, { readonly pid: number; readonly fd: number }[]>;
export type Holding = ReadonlyMap<number, readonly { readonly pid: number; readonly fd: number }[]>;

/** As of a moment ago. */
let sockets: { at: number; took: number; byInode: Holding } = {
  at: Number.NEGATIVE_INFINITY,
  took: 0,
  byInode: new Map(),
};

/** Connections come in bursts: one look at all descriptors serves so many milliseconds, if it finds what is asked for. */
const SOCKETS_MS = 100;
/** And so long nobody looks again, or as long as the look took: whoever was not found is asked for again. */
const SOCKETS_PAUSE_MS = 5;

function findTcpHolders(query: TcpQuery, inScope: (pid: number) => boolean): Holder[] {
  const inode = findTcpSocket(query);
  if (inode === undefined) return [];
  const age = performance.now() - sockets.at;
  const pause = Math.max(SOCKETS_PAUSE_MS, sockets.took);
  if (age > (sockets.byInode.has(inode) ? Math.max(SOCKETS_MS, pause) : pause)) sockets = allSockets();
  return (sockets.byInode.get(inode) ?? []).flatMap(({ pid, fd }) => {
    const info = readProcess(pid);
    return info ? [{ ...info, fd, inScope: inScope(pid) }] : [];
  });
}

function allSockets(): typeof sockets {
  const began = performance.now();
  const byInode = socketsOf(allPids());
  const at = performance.now();
  return { at, took: at - began, byInode };
}

/** Who of these processes holds which socket now. */
export function socketsOf(pids: readonly number[]): Holding {
  const byInode: Holders = new Map();
  addSockets(pids, byInode);
  return byInode;
}

/** The same, added to what is known of other processes. */
export function addSockets(pids: readonly number[], byInode: Holders): void {
  for (const pid of pids) {
    for (const name of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${name}`));
      if (!link?.startsWith('socket:[')) continue;
      const inode = Number(link.slice('socket:['.length, -1));
      const holders = byInode.get(inode);
      if (!holders) byInode.set(inode, [{ pid, fd: Number(name) }]);
      else if (holders.at(-1)?.pid !== pid) holders.push({ pid, fd: Number(name) });
    }
  }
}

/** Who holds which socket now. Serves later queries for a moment, too. */
export function socketHolders(): Holding {
  sockets = allSockets();
  return sockets.byInode;
}

/** All processes that hold this end now. One row a process, its lowest matching descriptor. */
export function findHolders(query: HolderQuery, inScope: (pid: number) => boolean): Holder[] {
  if (query.carrier === 'tcp') return findTcpHolders(query, inScope);
  const holders = holdersOf(query, inScope, false);
  // Somebody may have thousands of files open, and each would have to be looked at: only when there is no other.
  return holders.length || query.carrier === 'socket' ? holders : holdersOf(query, inScope, true);
}

function holdersOf(query: FileQuery, inScope: (pid: number) => boolean, named: boolean): Holder[] {
  const holders: Holder[] = [];
  for (const pid of allPids()) {
    const fds = attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
    const fd = fds.find((name) => matches(pid, name, query, named));
    if (fd === undefined) continue;
    const info = readProcess(pid);
    if (info) holders.push({ ...info, fd: Number(fd), inScope: inScope(pid) });
  }
  return holders;
}
