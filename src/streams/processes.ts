// SPDX-License-Identifier: Apache-2.0
/** Who each pid is at this point of the record stream. Endpoints are immutable: a change makes a new one. */

import type { ProcessInfo } from '../sensor/messages.ts';
import type { ExecRecord, ExitRecord, ForkRecord } from '../source/records.ts';
import { keepYoungest } from '../youngest.ts';
import type { Endpoint } from './frame.ts';
import { maskArguments } from './mask-arguments.ts';

/** Ended processes kept, so that what they wrote last can still be attributed. */
const ENDED_KEPT = 4096;

/** Earlier programs kept of one pid: what passed before an exec may be attributed after it. */
const PROGRAMS_KEPT = 4;

/** Programs with their arguments of which the next process that starts the same has no copy of its own. */
const SHARED_KEPT = 256;

/** Names that a runtime gives its main thread and that say nothing of the program. */
const GENERIC_NAMES = new Set(['MainThread']);

type Program = Omit<Endpoint, 'pid'>;

export class ProcessTable {
  readonly #byPid = new Map<number, Endpoint>();
  /** What a pid was, and until when; oldest first. */
  readonly #before = new Map<number, { readonly until: number; readonly endpoint: Endpoint }[]>();
  readonly #parents = new Map<number, number>();
  /** When; insertion order is the order of ending. */
  readonly #ended = new Map<number, number>();
  readonly #watched = new Set<number>();
  /** What was started lately; the longest ago first. */
  readonly #shared = new Map<string, Program>();

  /** These are in scope since the capture began. */
  watch(processes: readonly ProcessInfo[]): void {
    for (const info of processes) {
      this.learn(info);
      this.#watched.add(info.pid);
    }
  }

  /** Takes over what the sensor read from /proc, unless the kernel told us better since. */
  learn(info: ProcessInfo): void {
    const known = this.#byPid.get(info.pid);
    if (known?.exe?.startsWith('/') && known.argv) return;
    this.#byPid.set(info.pid, {
      ...known,
      ...info,
      ...(info.argv ? { argv: maskArguments(info.argv) } : {}),
      comm: nameOf(info.comm, info.exe ?? known?.exe, known?.comm),
    });
  }

  fork(record: ForkRecord): void {
    const parent = this.#byPid.get(record.parent);
    this.#ended.delete(record.pid);
    this.#watched.add(record.pid);
    this.#parents.set(record.pid, record.parent);
    this.#become(record.time, { ...parent, pid: record.pid, comm: parent?.comm ?? record.comm });
  }

  exec(record: ExecRecord): void {
    this.#ended.delete(record.pid);
    this.#become(record.time, { pid: record.pid, ...this.#program(record) });
  }

  /** Many start the same, one after another, and each is kept for as long as something tells of it. */
  #program({ comm, exe, argv }: ExecRecord): Program {
    const key = [comm, exe, ...argv].join('\0');
    const program = this.#shared.get(key) ?? {
      comm,
      ...(exe ? { exe } : {}),
      ...(argv.length ? { argv: maskArguments(argv) } : {}),
    };
    this.#shared.delete(key);
    this.#shared.set(key, program);
    keepYoungest(this.#shared, SHARED_KEPT);
    return program;
  }

  /** Another program, or another process, from `time` on. */
  #become(time: number, endpoint: Endpoint): void {
    const { pid } = endpoint;
    const known = this.#byPid.get(pid);
    if (known) {
      const before = this.#before.get(pid) ?? [];
      this.#before.set(pid, [...before.slice(1 - PROGRAMS_KEPT), { until: time, endpoint: known }]);
    }
    this.#byPid.set(pid, endpoint);
  }

  exit(record: ExitRecord): void {
    this.#watched.delete(record.pid);
    this.#ended.set(record.pid, record.time);
    for (const pid of this.#ended.keys()) {
      if (this.#ended.size <= ENDED_KEPT) break;
      this.#ended.delete(pid);
      this.#byPid.delete(pid);
      this.#before.delete(pid);
      this.#parents.delete(pid);
    }
  }

  /** The thread-group leader calls itself `comm` now. */
  named(pid: number, comm: string): void {
    const known = this.#byPid.get(pid);
    const name = nameOf(comm, known?.exe, known?.comm);
    if (known?.comm !== name) this.#byPid.set(pid, { ...known, pid, comm: name });
  }

  get(pid: number): Endpoint | undefined {
    return this.#byPid.get(pid);
  }

  /** What this pid was at `time`. */
  at(pid: number, time: number): Endpoint | undefined {
    const before = this.#before.get(pid)?.find(({ until }) => time < until);
    return before ? before.endpoint : this.#byPid.get(pid);
  }

  /** Number of watched processes that still run. */
  get watched(): number {
    return this.#watched.size;
  }

  /** @param by Until that time, CLOCK_MONOTONIC in nanoseconds; by now if it is left out. */
  hasEnded(pid: number, by = Number.POSITIVE_INFINITY): boolean {
    const ended = this.#ended.get(pid);
    return ended !== undefined && ended <= by;
  }

  /** Is `ancestor` the process itself or one that it descends from, as far as forks were seen? */
  descends(pid: number, ancestor: number): boolean {
    let current: number | undefined = pid;
    for (let depth = 0; current !== undefined && depth < 64; depth++) {
      if (current === ancestor) return true;
      current = this.#parents.get(current);
    }
    return false;
  }
}

/** What a process is called: its thread-group leader's name, or the program's where that says nothing. */
export function nameOf(comm: string, exe: string | undefined, before?: string): string {
  if (!GENERIC_NAMES.has(comm)) return comm;
  if (before && !GENERIC_NAMES.has(before)) return before;
  return exe ? exe.slice(exe.lastIndexOf('/') + 1).slice(0, 15) : comm;
}
