// SPDX-License-Identifier: Apache-2.0
/** Finds the TLS libraries of the processes in scope, and keeps probes in them. */
import { closeSync } from 'node:fs';
import { setImmediate as pause } from 'node:timers/promises';
import { KnownFiles } from './known-files.ts';
import { BpfError } from './libbpf.ts';
import { MachineProbes } from './machine-probes.ts';
import {
  bringIn,
  type MappedFile,
  mappedFiles,
  type NamedFile,
  type OpenFile,
  openFile,
  openMapped,
  openNamed,
} from './mapped-files.ts';
import type { TlsLibrary } from './messages.ts';
import type { News } from './news.ts';
import { anyOpen, type OpenSocket, openConnections } from './open-sockets.ts';
import type { TlsPrograms } from './programs.ts';
import { CiphertextProbes } from './tls-ciphertext.ts';
import { librariesIn, longLook, quickLook, type TlsFile } from './tls-files.ts';
import { type Attachment, attachProbes, type Probe, type UprobeKind } from './uprobes.ts';

/** So long after its first probes a process's connections are looked at, milliseconds: less than ciphertext is watched for. */
const SOCKETS_AFTER_MS = 200;
/** So long a child that runs in its parent's memory has to become another program, as it nearly always does, milliseconds. */
const VFORK_MS = 100;
/** What looking at one process may take, lest it keeps us busy by mapping files: milliseconds at once … */
const LOOK_BURST_MS = 300;
/** … and of each millisecond. */
const LOOK_SHARE = 0.1;
/** Probes of processes that have ended are taken out together: each makes the kernel wait for all processors. */
const CLOSE_MS = 200;
/** Perf events are kept until there are so many: while one is closed, none can be opened, for some 20 ms. */
const PERF_EVENTS_KEPT = 512;

/** After the last connection whose socket was not known: a record written by then has tied it. */
const CIPHERTEXT_LINGER_MS = 1000;

interface Watched {
  readonly pid: number;
  /** Files looked at, by their key in /proc/PID/maps, and what is known to be in them. */
  readonly files: Map<string, TlsFile>;
  /** By identity of the file. */
  readonly attached: Map<string, readonly Attachment[]>;
  /** Files that the kernel does not let us probe, and its errno by name. */
  readonly refused: Map<string, string>;
  readonly ciphertext: CiphertextProbes;
  /** Those open when the first probes were put in that find out whose connection is on which socket. */
  sockets: readonly OpenSocket[] | undefined;
  /** How long looking at it may take, and as of when; milliseconds. */
  budget: number;
  budgetAt: number;
  timer: NodeJS.Timeout | undefined;
  told: string;
}

/** Processes that are looked at in one go: as long as one has a file mapped, its key stands for no other. */
interface Crowd {
  readonly files: Map<string, TlsFile>;
  /** Those of which a file is being searched for the sake of another: looked at again when it is known. */
  readonly later: Set<number> | undefined;
}

export interface TlsWatchOptions {
  readonly kind: UprobeKind;
  readonly programs: TlsPrograms;
  /** Probes for all processes at once; else for each of its own. */
  readonly wholeMachine: boolean;
  readonly inScope: (pid: number) => boolean;
  /** All libraries known to be in a process by now. */
  readonly found: (pid: number, libraries: readonly TlsLibrary[]) => void;
  /** Something was attached; for measurements. */
  readonly attached?: (pid: number, path: string) => void;
}

/** How it went with our own process. */
export interface Rehearsal {
  /** Name of the errno with which the kernel refused. */
  readonly refusal: string | undefined;
  /** In which files there was a TLS library. */
  readonly files: readonly string[];
}

export class TlsWatch {
  readonly #options: TlsWatchOptions;
  readonly #processes = new Map<number, Watched>();
  readonly #known = new KnownFiles();
  /** Long looks, one at a time. */
  readonly #looking = new Map<string, Promise<TlsFile>>();
  #queue: Promise<unknown> = Promise.resolve();
  readonly #searches = new Set<Promise<void>>();
  readonly #machine = new MachineProbes((attachments) => this.#close(attachments));
  #closing: Attachment[] = [];
  #closer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: TlsWatchOptions) {
    this.#options = options;
  }

  /** Number of processes of which something is kept. */
  get size(): number {
    return this.#processes.size;
  }

  /** Learns what is in these files, before they are mapped and every millisecond counts. */
  learn(paths: Iterable<string>): void {
    for (const path of paths) {
      const open = openFile(path);
      if (!open) continue;
      this.#quickLook(open);
      closeSync(open.fd);
    }
  }

  /** The same for one file, thoroughly. */
  study(path: string): void {
    this.#search(this.#study(path));
  }

  async #study(path: string): Promise<void> {
    const open = openFile(path);
    if (!open) return;
    if (this.#quickLook(open).more === 'search') this.#known.remember(open, await this.#longLook(open));
    closeSync(open.fd);
  }

  /** Resolves when every search that has begun by now is over, and its probes are in place unless it is too late. */
  async searched(): Promise<void> {
    await Promise.all(this.#searches);
  }

  #search(search: Promise<void>): void {
    this.#searches.add(search);
    void search.then(() => this.#searches.delete(search));
  }

  /**
   * Puts probes into this process itself and takes them out again: will the kernel let us? After it,
   * the code is warm, and what is in our own files is known: node is often what is watched.
   */
  rehearse(): Rehearsal {
    const own = this.#watched(process.pid);
    const files = mappedFiles(process.pid);
    for (const file of files) this.#lookAt(own, file);
    this.gone(process.pid);
    const [refusal] = own.refused.values();
    const probed = files.filter((file) =>
      own.files.get(file.key)?.libraries.some(({ readable }) => readable),
    );
    return { refusal, files: probed.map((file) => file.path) };
  }

  /** What the kernel says has happened. */
  news(news: readonly News[]): void {
    /** And the files that they have mapped since. */
    const touched = new Map<number, NamedFile[]>();
    for (const { type, pid, file } of news)
      switch (type) {
        case 'exit':
          this.#lookBack(pid, touched.get(pid) ?? []);
          touched.delete(pid);
          this.gone(pid);
          break;
        case 'tied':
        case 'untied':
          this.#processes.get(pid)?.ciphertext.used(type === 'tied');
          break;
        case 'vfork':
          // Probes for what it does not call would take the time that those of the new program need.
          // Mostly it has ended by then, and that has been said already.
          setTimeout(() => this.look(pid) || this.gone(pid), VFORK_MS).unref();
          break;
        case 'exec':
          this.#replaced(pid);
          touched.set(pid, file ? [file] : []);
          break;
        default:
          touched.set(pid, [...(touched.get(pid) ?? []), ...(file ? [file] : [])]);
      }
    for (const [pid, files] of touched) if (!this.look(pid)) this.#lookBack(pid, files);
  }

  /** The old program's files are unmapped. Its probes stay: they are for the process, whatever it maps. */
  #replaced(pid: number): void {
    const watched = this.#processes.get(pid);
    if (!watched) return;
    watched.files.clear();
    watched.sockets = undefined;
    this.#machine.left(pid);
  }

  /**
   * Looks at many at once: what nothing is in need not be opened, nor searched, for each that has mapped it.
   * @param mappings By process, the keys of what it has mapped.
   */
  lookAll(pids: readonly number[], mappings: ReadonlyMap<number, readonly string[]>): void {
    const later = new Set<number>();
    this.#lookThrough(pids, mappings, { files: new Map(), later });
    if (later.size) this.#search(this.#lookLater(later, mappings));
  }

  /** The same when news may have been lost: who is not among `pids` has ended. */
  catchUp(pids: readonly number[], mappings: ReadonlyMap<number, readonly string[]>): void {
    const there = new Set(pids);
    for (const pid of [...this.#processes.keys()]) if (!there.has(pid)) this.gone(pid);
    this.lookAll(pids, mappings);
  }

  async #lookLater(pids: Iterable<number>, mappings: ReadonlyMap<number, readonly string[]>): Promise<void> {
    await Promise.all(this.#looking.values());
    this.#lookThrough(pids, mappings, { files: new Map(), later: undefined });
  }

  /** What another one has mapped, too, need not be read in /proc. */
  #lookThrough(pids: Iterable<number>, mappings: ReadonlyMap<number, readonly string[]>, crowd: Crowd): void {
    for (const pid of pids) {
      const files = mappings.get(pid)?.map((key) => crowd.files.get(key));
      if (files?.every((file) => isPlain(file))) continue;
      if (crowd.later && files?.every((file) => isPlain(file) || isSearched(file))) crowd.later.add(pid);
      else this.look(pid, crowd);
    }
  }

  /** Looks at what a process has mapped, and puts probes where they are missing. @returns false when it is gone. */
  look(pid: number, crowd?: Crowd): boolean {
    if (this.#stopped) return true;
    if (!this.#options.inScope(pid)) return false;
    const watched = this.#watched(pid);
    const now = performance.now();
    const gained = (now - watched.budgetAt) * LOOK_SHARE;
    watched.budget = Math.min(LOOK_BURST_MS, watched.budget + gained);
    watched.budgetAt = now;
    if (watched.budget <= 0) {
      watched.timer ??= setTimeout(
        () => {
          watched.timer = undefined;
          if (this.#processes.get(pid) === watched) this.look(pid);
        },
        1 - watched.budget / LOOK_SHARE,
      ).unref();
      return true;
    }
    const files = mappedFiles(pid);
    for (const file of files) this.#lookOnce(watched, file, crowd);
    watched.budget -= performance.now() - now;
    this.#tell(watched);
    return files.length > 0;
  }

  /** What was in a process that is gone: by what the kernel has said, as far as those files can still be had. */
  #lookBack(pid: number, files: readonly NamedFile[]): void {
    if (!files.length) return;
    const watched = this.#watched(pid);
    for (const file of files) {
      const mapped = { key: `was ${file.node}`, range: '', path: file.path };
      const open = openNamed(file);
      const known = open ? this.#quickLook(open) : this.#known.at(file.node);
      if (known) watched.files.set(mapped.key, known);
      if (open && known?.more === 'search') this.#search(this.#lookLong(watched, mapped, open));
      else if (open) closeSync(open.fd);
    }
    this.#tell(watched);
  }

  #watched(pid: number): Watched {
    let watched = this.#processes.get(pid);
    if (!watched) {
      watched = {
        pid,
        files: new Map(),
        attached: new Map(),
        refused: new Map(),
        ciphertext: new CiphertextProbes(
          (attachments) => this.#close(attachments),
          this.#options.kind === 'uprobe.multi' ? CIPHERTEXT_LINGER_MS : undefined,
          () => anyOpen(pid, watched?.sockets ?? []),
        ),
        sockets: undefined,
        budget: LOOK_BURST_MS,
        budgetAt: performance.now(),
        timer: undefined,
        told: '[]',
      };
      this.#processes.set(pid, watched);
    }
    return watched;
  }

  #lookOnce(watched: Watched, file: MappedFile, crowd: Crowd | undefined): void {
    if (watched.files.has(file.key)) return;
    const same = crowd?.files.get(file.key);
    if (same && isPlain(same)) watched.files.set(file.key, same);
    else if (crowd?.later && isSearched(same)) crowd.later.add(watched.pid);
    else this.#lookAt(watched, file);
    const known = watched.files.get(file.key);
    if (known) crowd?.files.set(file.key, known);
  }

  #lookAt(watched: Watched, mapped: MappedFile): void {
    const open = openMapped(watched.pid, mapped);
    if (!open) return;
    const known = this.#quickLook(open);
    watched.files.set(mapped.key, known);
    this.#attach(watched, open, known, mapped);
    if (known.more === 'search') this.#search(this.#lookLong(watched, mapped, open));
    else closeSync(open.fd);
  }

  async #lookLong(watched: Watched, mapped: MappedFile, open: OpenFile): Promise<void> {
    const file = await this.#longLook(open);
    this.#known.remember(open, file);
    const now = this.#processes.get(watched.pid);
    // One that has ended meanwhile is still told of, while its pid is nobody else's.
    if (watched.files.has(mapped.key) && (now ?? watched) === watched) {
      watched.files.set(mapped.key, file);
      if (now && !this.#stopped) this.#attach(watched, open, file, mapped);
      this.#tell(watched);
    }
    closeSync(open.fd);
  }

  /** One at a time, and of each file one. `open` stays open meanwhile. */
  #longLook(open: OpenFile): Promise<TlsFile> {
    const running = this.#looking.get(open.identity);
    if (running) return running;
    const looking = this.#queue.then(() => longLook(open, () => pause()));
    this.#queue = looking;
    this.#looking.set(open.identity, looking);
    void looking.then(() => this.#looking.delete(open.identity));
    return looking;
  }

  #quickLook(open: OpenFile): TlsFile {
    const file = this.#known.of(open) ?? quickLook(open);
    this.#known.remember(open, file);
    return file;
  }

  #attach(watched: Watched, open: OpenFile, { probes }: TlsFile, mapped: MappedFile): void {
    const { wholeMachine, attached: tell } = this.#options;
    const attached = wholeMachine ? this.#machine : watched.attached;
    const { identity } = open;
    if (!probes || watched.refused.has(identity)) return;
    if (attached.has(identity)) {
      if (wholeMachine) this.#machine.used(identity, watched.pid);
      return;
    }
    const attachments: Attachment[] = [];
    const put = (at: keyof TlsPrograms, list: readonly Probe[]) => {
      if (list.length) attachments.push(this.#put(watched, open, at, list));
    };
    try {
      // Returns first: an entry without its return would be noted for nothing.
      put('return', probes.return);
      put('entry', probes.entry);
      if (wholeMachine) put('entry', probes.ciphertext);
      attached.set(identity, attachments);
      if (wholeMachine) this.#machine.used(identity, watched.pid);
      if (!wholeMachine && probes.ciphertext.length) {
        this.#noteSockets(watched);
        watched.ciphertext.add(identity, () => this.#putAgain(watched, mapped, identity, probes.ciphertext));
      }
      tell?.(watched.pid, mapped.path);
    } catch (error) {
      this.#close(attachments);
      this.#refused(watched, identity, error);
    }
  }

  /** Which connections may be older than its probes; reading them takes milliseconds, which other probes would come late by. */
  #noteSockets(watched: Watched): void {
    setTimeout(() => {
      if (this.#processes.get(watched.pid) === watched) watched.sockets ??= openConnections(watched.pid);
    }, SOCKETS_AFTER_MS).unref();
  }

  #put(watched: Watched, open: OpenFile, at: keyof TlsPrograms, probes: readonly Probe[]): Attachment {
    const { kind, programs, wholeMachine } = this.#options;
    const pid = wholeMachine ? 0 : watched.pid;
    bringIn(open, probes);
    return attachProbes(kind, programs[at], `/proc/self/fd/${open.fd}`, probes, at === 'return', pid);
  }

  /** Into a file that was looked at before, if it is the same. */
  #putAgain(
    watched: Watched,
    mapped: MappedFile,
    identity: string,
    probes: readonly Probe[],
  ): Attachment | undefined {
    const open = openMapped(watched.pid, mapped);
    if (!open) return undefined;
    try {
      return open.identity === identity ? this.#put(watched, open, 'entry', probes) : undefined;
    } catch (error) {
      this.#refused(watched, identity, error);
      return undefined;
    } finally {
      closeSync(open.fd);
    }
  }

  #refused(watched: Watched, identity: string, error: unknown): void {
    if (!(error instanceof BpfError)) throw error;
    // ESRCH: it is gone. Else the kernel cannot probe this file, which is not to be tried again and again.
    if (error.code !== 'ESRCH') watched.refused.set(identity, error.code);
  }

  /** A process has ended. */
  gone(pid: number): void {
    const watched = this.#processes.get(pid);
    if (!watched) return;
    clearTimeout(watched.timer);
    this.#processes.delete(pid);
    watched.ciphertext.end();
    this.#machine.left(pid);
    this.#close([...watched.attached.values()].flat());
  }

  #close(attachments: readonly Attachment[]): void {
    this.#closing.push(...attachments);
    if (this.#options.kind === 'uprobe' && this.#closing.length < PERF_EVENTS_KEPT) return;
    this.#closer ??= setTimeout(() => {
      this.#closer = undefined;
      for (const attachment of this.#closing.splice(0)) attachment.close();
    }, CLOSE_MS).unref();
  }

  #tell(watched: Watched): void {
    const libraries = librariesIn([...watched.files.values()]);
    const text = JSON.stringify(libraries);
    if (text === watched.told) return;
    watched.told = text;
    this.#options.found(watched.pid, libraries);
  }

  /** Looks no more, and has all probes taken out, off the event loop; what is not by then goes with this process. */
  close(): void {
    this.#stopped = true;
    for (const pid of [...this.#processes.keys()]) this.gone(pid);
    this.#machine.close();
    clearTimeout(this.#closer);
    for (const attachment of this.#closing.splice(0)) attachment.close();
  }
}

/** Is it not known yet what is in it? */
function isSearched(file: TlsFile | undefined): boolean {
  return file?.more === 'search' && !file.probes;
}

/** Is nothing in it, as is known? */
function isPlain(file: TlsFile | undefined): boolean {
  return file !== undefined && !file.probes && file.libraries.length === 0 && file.more !== 'search';
}
