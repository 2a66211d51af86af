// SPDX-License-Identifier: Apache-2.0
/** Reading /proc: who a process is, which files it holds (proc(5)). */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
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
