// SPDX-License-Identifier: Apache-2.0
/** Who holds an end of a stream, or a socket, from the links in /proc/PID/fd (proc_pid_fd(5)). */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { FileQuery, Holder, HolderQuery, ProcessInfo, TcpQuery } from './messages.ts';
import { allPids, attempt, readProcess } from './proc.ts';
import { findTcpSocket } from './tcp-sockets.ts';

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
  eachDescriptor(pids, (pid, fd, link) => {
    if (!link.startsWith('socket:[')) return;
    const inode = Number(link.slice('socket:['.length, -1));
    const holders = byInode.get(inode);
    if (!holders) byInode.set(inode, [{ pid, fd }]);
    else if (holders.at(-1)?.pid !== pid) holders.push({ pid, fd });
  });
}

/** Who holds which socket now. Serves later queries for a moment, too. */
export function socketHolders(): Holding {
  sockets = allSockets();
  return sockets.byInode;
}

/** Calls `see` for each descriptor of these processes, those of one after those of another. */
function eachDescriptor(pids: readonly number[], see: (pid: number, fd: number, link: string) => void): void {
  for (const pid of pids)
    for (const name of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = attempt(() => readlinkSync(`/proc/${pid}/fd/${name}`));
      if (link !== undefined) see(pid, Number(name), link);
    }
}

interface Question {
  readonly query: FileQuery;
  readonly answer: (holders: readonly Holder[]) => void;
  readonly holders: Holder[];
}

/**
 * Answers who holds what. There may be 100,000 descriptors, and thousands of streams whose ends nobody knows: all that
 * is asked meanwhile is answered by one look at all descriptors, and no more than half of the time is spent on looking.
 */
export class HolderSearch {
  readonly #inScope: (pid: number) => boolean;
  readonly #pids: () => readonly number[];
  #waiting: Question[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Not before this time is looked again, by `performance.now()`. */
  #next = 0;

  /** @param pids All processes but this one. */
  constructor(inScope: (pid: number) => boolean, pids: () => readonly number[] = others) {
    this.#inScope = inScope;
    this.#pids = pids;
  }

  /** @param answer Called with all processes that hold this end then: one row a process, its lowest matching descriptor. */
  ask(query: HolderQuery, answer: (holders: readonly Holder[]) => void): void {
    if (query.carrier === 'tcp') {
      answer(findTcpHolders(query, this.#inScope));
      return;
    }
    this.#waiting.push({ query, answer, holders: [] });
    this.#timer ??= setTimeout(() => this.look(), Math.max(0, this.#next - performance.now()));
  }

  /** Answers all that has been asked, now. */
  look(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const questions = this.#waiting.splice(0);
    if (!questions.length) return;
    const began = performance.now();
    const pids = this.#pids();
    const take = this.#taker();
    this.#lookUp(questions, pids, take);
    // Somebody may have thousands of files open, and each would have to be looked at: only for those that have no other.
    const missing = questions.filter(({ query, holders }) => query.carrier === 'pipe' && !holders.length);
    if (missing.length) this.#lookUpNamed(missing, pids, take);
    for (const { answer, holders } of questions) answer(holders);
    const now = performance.now();
    this.#next = now + (now - began);
  }

  #lookUp(questions: readonly Question[], pids: readonly number[], take: Take): void {
    const asked = Map.groupBy(questions, ({ query }) => `${query.carrier}:[${query.inode}]`);
    eachDescriptor(pids, (pid, fd, link) => {
      for (const question of asked.get(link) ?? []) take(question, pid, fd);
    });
  }

  /** FIFOs that have a name. The path tells nothing, the inode does. */
  #lookUpNamed(questions: readonly Question[], pids: readonly number[], take: Take): void {
    const asked = Map.groupBy(questions, ({ query }) => query.inode);
    eachDescriptor(pids, (pid, fd, link) => {
      const stat = link.startsWith('/') ? attempt(() => statSync(`/proc/${pid}/fd/${fd}`)) : undefined;
      if (!stat?.isFIFO()) return;
      for (const question of asked.get(stat.ino) ?? []) take(question, pid, fd);
    });
  }

  /** Adds a process to an answer if its descriptor is of the end in question. Who it is is read once. */
  #taker(): Take {
    const known = new Map<number, ProcessInfo | undefined>();
    return ({ query, holders }, pid, fd) => {
      if (holders.at(-1)?.pid === pid || !isOf(query, pid, fd)) return;
      if (!known.has(pid)) known.set(pid, readProcess(pid));
      const info = known.get(pid);
      if (info) holders.push({ ...info, fd, inScope: this.#inScope(pid) });
    };
  }
}

const others = () => allPids().filter((pid) => pid !== process.pid);

type Take = (question: Question, pid: number, fd: number) => void;

/** Can the end in question be used by this descriptor of its file? */
function isOf(query: FileQuery, pid: number, fd: number): boolean {
  if (query.carrier === 'socket') return true;
  const mode = accessMode(pid, fd);
  return mode === 2 || mode === (query.end === 'read' ? 0 : 1);
}

/** O_ACCMODE of a descriptor, from fdinfo (octal `flags:`). */
function accessMode(pid: number, fd: number): number | undefined {
  const info = attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'));
  const flags = info?.match(/^flags:\s*([0-7]+)/m)?.[1];
  return flags === undefined ? undefined : Number.parseInt(flags, 8) & 3;
}
