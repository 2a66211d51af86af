// SPDX-License-Identifier: Apache-2.0
/** Loads and attaches the kernel programs, and speaks to their maps. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { type Backend, FENTRY_PROGRAMS, type HookPlan } from './backend.ts';
import { mappingsIn, type Parentage, parentagesIn, readIterator } from './iterators.ts';
import { hasTracepoint, kernelFunction } from './kernel-types.ts';
import { check, checkPointer, libbpf, mapId, objectInfo, type Pointer } from './libbpf.ts';
import type { LossCount, PendingLoss } from './messages.ts';
import { BPF_F_SLEEPABLE, BPF_TRACE_UPROBE_MULTI, type UprobeSupport } from './uprobes.ts';

/** `enum scope_flags` in bpf/state.h. */
export const SCOPE = { watched: 1, spawner: 2, ignored: 4 } as const;

/** Of bpf_map_update_elem() (include/uapi/linux/bpf.h). */
const BPF_NOEXIST = 1;

export const VERDICT_SLOTS = 65536;
const CONTROL_SIZE = 2 << 20;
const GAPS_SIZE = 1 << 20;
/** FLAG_LINES_KNOWN in bpf/record.h. */
const LINES_KNOWN = 8;
/** `struct stream` in bpf/state.h. */
export const STREAM = {
  size: 176,
  id: 0,
  lostBytes: 72,
  lostLines: 80,
  lostCause: 84,
  heldOffset: 88,
  heldBytes: 96,
  heldLines: 104,
  heldFlags: 108,
  heldCause: 112,
};
export const LOSS_CAUSES = 7;
/** LOSS_SKIPPED in bpf/record.h. */
export const LOSS_SKIPPED = 6;
/** Of struct bpf_prog_info (include/uapi/linux/bpf.h): its size with this member, and where that is. */
export const PROGRAM_INFO = { size: 216, recursionMisses: 208 };
/** SPARE_SCRATCHES in bpf/state.h. */
const SPARE_SCRATCHES = 3;

export interface ProgramOptions {
  /** Bytes, a power of two, at least one page. */
  readonly ringSize: number;
  readonly wholeMachine: boolean;
  /** How functions of TLS libraries can be probed. `off`, or absent: their programs are not loaded. */
  readonly uprobes?: UprobeSupport;
  /** The functions of the fentry back end. Absent: the tracepoint one is loaded. */
  readonly fentry?: HookPlan | undefined;
  /** Without `fentry`: is perf to call the program at the exit of system calls? See bpf/syscalls.bpf.c. */
  readonly exitsByPerf?: boolean;
  /** With `fentry`: will processes be watched that run already, and may be in a call? */
  readonly joins?: boolean;
}

/** The programs behind the probes, by where in a function they run. */
export interface TlsPrograms {
  readonly entry: Pointer;
  readonly return: Pointer;
}

/** Where the object for this machine lies, in the source tree as in the package. */
export function objectPath(): string {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x86';
  const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
  return join(root, 'dist', 'bpf', `mcpspy-${arch}.bpf.o`);
}

/** As a map's key or value. */
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** The keys of a map, of `size` bytes each. */
function* keysOf(fd: number, size: number): Generator<Buffer> {
  for (let key: Buffer | null = null; ; ) {
    const next = Buffer.alloc(size);
    if (libbpf().nextKey(fd, key, next) < 0) return;
    yield next;
    key = next;
  }
}

/** The kernel part, loaded. Everything is undone by `close`, or by the end of this process. */
export class Programs {
  /** Is what io_uring moves seen, or at least noticed? */
  readonly ioUring: boolean;
  readonly backend: Backend;
  /** To be attached by whoever finds the libraries; `undefined` when they are not loaded. */
  readonly tls: TlsPrograms | undefined;
  readonly #object: Pointer;
  readonly #cpus: number;
  readonly #fentry: HookPlan | undefined;
  /** The program at the exit of system calls. */
  readonly #exits: string;
  /** Of maps that were looked for by name. */
  readonly #fds = new Map<string, number>();
  #links: Pointer[] = [];
  /** Descriptors of the programs that are attached, or were. */
  readonly #attached: number[] = [];
  /** Tells of those threads that are in a call which began before the hooks were there. */
  #waiting: Pointer | undefined;

  /**
   * Opens and loads; nothing runs before `attach`.
   * @throws BpfError naming the step.
   */
  constructor(options: ProgramOptions) {
    const bpf = libbpf();
    this.#fentry = options.fentry;
    this.#exits = options.exitsByPerf ? 'sys_exit_of_perf' : 'sys_exit';
    this.backend = options.fentry ? 'fentry' : 'tracepoint';
    this.#cpus = check('libbpf_num_possible_cpus', bpf.possibleCpus());
    this.#object = checkPointer('opening the BPF object', bpf.open(objectPath(), null));
    check('bpf_map__set_max_entries', bpf.setMaxEntries(this.#map('data'), options.ringSize));
    check('bpf_map__set_max_entries', bpf.setMaxEntries(this.#map('control'), CONTROL_SIZE));
    check('bpf_map__set_max_entries', bpf.setMaxEntries(this.#map('gaps'), GAPS_SIZE));
    check(
      'bpf_map__set_max_entries',
      bpf.setMaxEntries(this.#map('scratches'), this.#cpus + SPARE_SCRATCHES),
    );
    this.#setConstant('.rodata.config', options.wholeMachine ? 1 : 0);
    this.#setConstant('.rodata.casts', kernelFunction('bpf_rdonly_cast') > 0 ? 1 : 0);
    this.tls = this.#prepareTls(options.uprobes ?? { kind: 'off', sleepable: false });
    this.#setConstant('.rodata.waiting', this.#fentry ? 1 : 0);
    const tracepoint = hasTracepoint('io_uring_complete');
    this.ioUring = tracepoint || this.#fentry !== undefined;
    this.#prepareBackend(options.joins ?? false);
    if (!this.#fentry && !tracepoint) this.#leaveOut(['io_uring_complete']);
    const error = bpf.load(this.#object);
    if (error < 0) bpf.close(this.#object);
    check('loading the BPF programs', error);
  }

  #leaveOut(programs: readonly string[]): void {
    for (const name of programs)
      check('bpf_program__set_autoload', libbpf().setAutoload(this.#program(name), false));
  }

  /** Before loading: the programs of one back end only, those of fentry with the functions they are for. */
  #prepareBackend(joins: boolean): void {
    const bpf = libbpf();
    const used = new Set(this.#fentry?.hooks.flatMap(({ entry, exit }) => [entry, exit]));
    this.#leaveOut(FENTRY_PROGRAMS.filter((name) => !used.has(name)));
    this.#leaveOut(['sys_exit', 'sys_exit_of_perf'].filter((name) => name !== this.#exits));
    if (!this.#fentry) {
      check('bpf_map__set_autocreate', bpf.setAutocreate(this.#map('thread_calls'), false));
      return;
    }
    this.#leaveOut(joins ? ['io_uring_complete'] : ['io_uring_complete', 'sys_exit']);
    for (const { entry, exit, function: name } of this.#fentry.hooks)
      for (const program of entry ? [entry, exit] : [exit])
        check(`looking for ${name} in the kernel`, bpf.setAttachTarget(this.#program(program), 0, name));
  }

  /** A constant that has a section of its own, so that its place is known. */
  #setConstant(section: string, value: number): void {
    const size: [number] = [0];
    const memory = checkPointer(section, libbpf().initialValue(this.#map(section), size));
    new Uint32Array(koffi.view(memory, 4))[0] = value;
  }

  #program(name: string): Pointer {
    return checkPointer(name, libbpf().findProgram(this.#object, name));
  }

  /** Before loading: which kind of probe the programs are for, and may they sleep? */
  #prepareTls({ kind, sleepable }: UprobeSupport): TlsPrograms | undefined {
    const bpf = libbpf();
    const programs = { entry: this.#program('tls_entry'), return: this.#program('tls_return') };
    this.#setConstant('.rodata.tls', sleepable ? 1 : 0);
    for (const program of [programs.entry, programs.return]) {
      if (kind === 'off') check('bpf_program__set_autoload', bpf.setAutoload(program, false));
      if (kind === 'uprobe.multi')
        check(
          'bpf_program__set_expected_attach_type',
          bpf.setExpectedAttachType(program, BPF_TRACE_UPROBE_MULTI),
        );
      if (sleepable) check('bpf_program__set_flags', bpf.setFlags(program, BPF_F_SLEEPABLE));
    }
    return kind === 'off' ? undefined : programs;
  }

  #map(name: string): Pointer {
    return checkPointer(`map ${name}`, libbpf().findMap(this.#object, name));
  }

  #fd(name: string): number {
    let fd = this.#fds.get(name);
    if (fd === undefined) {
      fd = check(`map ${name}`, libbpf().mapFd(this.#map(name)));
      this.#fds.set(name, fd);
    }
    return fd;
  }

  /**
   * From here on the kernel watches what is in scope.
   * @param waiting Threads that may be in calls which have begun before.
   * @throws BpfError where the kernel refuses.
   */
  attach(waiting: readonly number[] = []): void {
    if (this.#fentry && waiting.length) this.#watchWaiting(waiting);
    const names = ['process_fork', 'process_exec', 'process_exit', 'socket_state'];
    if (this.#fentry) {
      // First the exits: an entry is noted only for a call whose exit will be seen.
      names.push(...this.#fentry.hooks.map(({ exit }) => exit));
      names.push(...this.#fentry.hooks.flatMap(({ entry }) => entry ?? []));
    } else {
      names.push(this.#exits);
      if (this.ioUring) names.push('io_uring_complete');
    }
    for (const name of names) this.#links.push(this.#attach(name));
  }

  #attach(name: string): Pointer {
    const program = this.#program(name);
    this.#attached.push(check(name, libbpf().programFd(program)));
    return checkPointer(`attaching ${name}`, libbpf().attach(program));
  }

  #watchWaiting(threads: readonly number[]): void {
    for (const thread of threads) {
      // More than the map holds are there at a very large machine only: the call that they are in goes unseen.
      libbpf().update(this.#fd('waiting'), u32(thread), u32(0), 0);
    }
    this.#waiting = this.#attach('sys_exit');
  }

  /**
   * All hooks are in place and the scope is set: whatever is called from now on is seen by the hooks.
   * @param isElsewhere Is this thread, for sure, in no call that moves bytes?
   */
  hooksComplete(isElsewhere: (thread: number) => boolean): void {
    if (!this.#waiting) return;
    const yes = Buffer.from([1, 0, 0, 0]);
    check('hooks', libbpf().update(this.#fd('.data.hooks'), Buffer.alloc(4), yes, 0));
    const fd = this.#fd('waiting');
    for (const key of [...keysOf(fd, 4)]) if (isElsewhere(key.readUInt32LE())) libbpf().remove(fd, key);
  }

  /** Leaves system calls alone as soon as nobody waits any more. `lives`: is there such a thread? */
  settleWaiting(lives: (thread: number) => boolean): void {
    if (!this.#waiting) return;
    const fd = this.#fd('waiting');
    let key: Buffer | null = null;
    for (;;) {
      const next = Buffer.alloc(4);
      if (libbpf().nextKey(fd, key, next) < 0) break;
      if (lives(next.readUInt32LE())) return;
      libbpf().remove(fd, next);
      key = null;
    }
    libbpf().destroyLink(this.#waiting);
    this.#waiting = undefined;
  }

  /** Stops watching; maps and rings stay readable. */
  detach(): void {
    for (const link of [...this.#links, this.#waiting]) if (link) libbpf().destroyLink(link);
    this.#links = [];
    this.#waiting = undefined;
    const yes = Buffer.from([1, 0, 0, 0]);
    check('tls_stopped', libbpf().update(this.#fd('.data.tls'), Buffer.alloc(4), yes, 0));
  }

  close(): void {
    this.detach();
    libbpf().close(this.#object);
  }

  /** Descriptor of the ring that the sensor itself reads. */
  get news(): number {
    return this.#fd('news');
  }

  /** By id and not by descriptor: the monitor opens its own. */
  maps() {
    return {
      maps: {
        data: mapId(this.#fd('data')),
        gaps: mapId(this.#fd('gaps')),
        control: mapId(this.#fd('control')),
        verdicts: mapId(this.#fd('verdicts')),
        asleep: mapId(this.#fd('asleep')),
      },
      gapsSize: GAPS_SIZE,
      controlSize: CONTROL_SIZE,
      verdictSlots: VERDICT_SLOTS,
    };
  }

  setScope(pid: number, flags: number): void {
    check('scope', libbpf().update(this.#fd('scope'), u32(pid), u32(flags), 0));
  }

  /** Watches a process, unless it is known. @returns false when it is: watched already, or never to be. */
  watch(pid: number): boolean {
    const result = libbpf().update(this.#fd('scope'), u32(pid), u32(SCOPE.watched), BPF_NOEXIST);
    if (result === -(koffi.os.errno.EEXIST ?? 0)) return false;
    check('scope', result);
    return true;
  }

  clearScope(pid: number): void {
    libbpf().remove(this.#fd('scope'), u32(pid));
  }

  /** All processes now. */
  parentages(): Parentage[] {
    return parentagesIn(readIterator(this.#program('each_process')));
  }

  /** By process in scope, the keys of the files that it has mapped executable now: see `MappedFile`. */
  mappings(): Map<number, string[]> {
    return mappingsIn(readIterator(this.#program('each_mapping')));
  }

  /** Those watched by name (not by whole-machine mode). */
  watched(): number[] {
    return [...keysOf(this.#fd('scope'), 4)]
      .map((key) => key.readUInt32LE())
      .filter((pid) => this.inScope(pid));
  }

  /** Is this process watched by name (not by whole-machine mode)? */
  inScope(pid: number): boolean {
    return (this.#scopeOf(pid) & SCOPE.watched) !== 0;
  }

  /** Is this process one that is never watched? */
  ignored(pid: number): boolean {
    return (this.#scopeOf(pid) & SCOPE.ignored) !== 0;
  }

  #scopeOf(pid: number): number {
    const value = u32(0);
    return libbpf().lookup(this.#fd('scope'), u32(pid), value) === 0 ? value.readUInt32LE() : 0;
  }

  /** Totals by cause over all processors. */
  losses(): LossCount[] {
    const counts: LossCount[] = [];
    const fd = this.#fd('losses');
    const key = Buffer.alloc(4);
    const values = Buffer.alloc(24 * this.#cpus);
    for (let cause = 0; cause < LOSS_CAUSES; cause++) {
      key.writeUInt32LE(cause);
      check('losses', libbpf().lookup(fd, key, values));
      const count = { cause, bytes: 0, records: 0, lines: 0 };
      for (let at = 0; at < values.length; at += 24) {
        count.bytes += Number(values.readBigUInt64LE(at));
        count.records += Number(values.readBigUInt64LE(at + 8));
        count.lines += Number(values.readBigUInt64LE(at + 16));
      }
      if (cause === LOSS_SKIPPED) count.records = this.#skipped();
      if (count.records) counts.push(count);
    }
    return counts;
  }

  /** How often the kernel left one of our programs out, because the same one was at work on that processor. */
  #skipped(): number {
    let sum = 0;
    for (const fd of this.#attached)
      sum += Number(objectInfo(fd, PROGRAM_INFO.size).readBigUInt64LE(PROGRAM_INFO.recursionMisses));
    return sum;
  }

  /** Losses at the end of a stream, which no later record could tell. */
  pendingLosses(): PendingLoss[] {
    const pending: PendingLoss[] = [];
    const fd = this.#fd('streams');
    const value = Buffer.alloc(STREAM.size);
    for (const key of keysOf(fd, 16)) {
      if (libbpf().lookup(fd, key, value) < 0) continue;
      const stream = Number(value.readBigUInt64LE(STREAM.id));
      const held = Number(value.readBigUInt64LE(STREAM.heldBytes));
      if (held)
        pending.push({
          stream,
          offset: Number(value.readBigUInt64LE(STREAM.heldOffset)),
          flags: value.readUInt32LE(STREAM.heldFlags),
          bytes: held,
          lines: value.readUInt32LE(STREAM.heldLines),
          cause: value.readUInt32LE(STREAM.heldCause),
        });
      const bytes = Number(value.readBigUInt64LE(STREAM.lostBytes));
      if (bytes)
        pending.push({
          stream,
          offset: undefined,
          flags: LINES_KNOWN,
          bytes,
          lines: value.readUInt32LE(STREAM.lostLines),
          cause: value.readUInt32LE(STREAM.lostCause),
        });
    }
    return pending;
  }
}
