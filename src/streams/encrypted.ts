// SPDX-License-Identifier: Apache-2.0
/** Connections that carry TLS, and of which processes the clear text could not be had. */

import { serverNameOf } from '../protocols/client-hello.ts';
import { keepYoungest } from '../youngest.ts';
import type { Endpoint } from './frame.ts';

/** What the sensor found out about a TLS library in a process. */
export interface TlsLibrary {
  /** `OpenSSL`, `Go crypto/tls`, … */
  readonly library: string;
  /** Do its functions tell the clear text? */
  readonly readable: boolean;
  /** Why not. */
  readonly reason?: string | undefined;
}

/** A process whose TLS was seen and not read, or some of it not, or not from its beginning. */
export interface Undecoded {
  readonly process: Endpoint;
  readonly library: string;
  readonly reason: string;
  /** Those that this is about. */
  readonly connections: number;
  /** Empty where others of its connections were read: which of them went where is not known. */
  readonly hosts: readonly string[];
}

const HOSTS_MAX = 8;
const PROCESSES_MAX = 4096;

const LATE = 'its functions were watched too late for these: what they said first may be missing';

interface Late {
  process: Endpoint;
  readonly library: string;
  connections: number;
}

interface Seen {
  process: Endpoint;
  connections: number;
  readonly hosts: Set<string>;
}

export class Encrypted {
  readonly #seen = new Map<number, Seen>();
  /** Connections of a process that gave clear text. */
  readonly #read = new Map<number, number>();
  /** Connections that were read from the middle on. */
  readonly #late = new Map<number, Late>();
  readonly #libraries = new Map<number, readonly TlsLibrary[]>();

  /** A connection of this process begins with TLS. `hello`: its first bytes. */
  connection(process: Endpoint, hello: Buffer): void {
    const known = this.#seen.get(process.pid);
    const entry: Seen = known ?? { process, connections: 0, hosts: new Set() };
    entry.process = process;
    entry.connections++;
    const host = serverNameOf(hello);
    if (host !== undefined && entry.hosts.size < HOSTS_MAX) entry.hosts.add(host);
    set(this.#seen, process.pid, entry);
  }

  /** Clear text of another of this process' TLS connections has been seen. */
  read(pid: number): void {
    set(this.#read, pid, (this.#read.get(pid) ?? 0) + 1);
  }

  /** A connection of this process, begun in sight, had been in use before its clear text was seen. */
  late(process: Endpoint, library: string): void {
    const connections = (this.#late.get(process.pid)?.connections ?? 0) + 1;
    set(this.#late, process.pid, { process, library, connections });
  }

  /** What the sensor knows of this process. */
  learn(pid: number, libraries: readonly TlsLibrary[]): void {
    set(this.#libraries, pid, libraries);
  }

  /**
   * Processes whose TLS was seen, and of whose clear text nothing was; and those that have a library which cannot be
   * read beside one that was, and connections without clear text; and those that were read from the middle on.
   */
  undecoded(): Undecoded[] {
    const late = [...this.#late.values()].map((each) => ({ ...each, reason: LATE, hosts: [] }));
    return [...this.#unread(), ...late];
  }

  #unread(): Undecoded[] {
    return [...this.#seen.values()].flatMap(({ process, connections, hosts }) => {
      const read = this.#read.get(process.pid) ?? 0;
      if (read === 0) return [{ process, ...this.#why(process.pid), connections, hosts: [...hosts] }];
      const unreadable = this.#unreadable(process.pid);
      if (!unreadable || connections <= read) return [];
      const reason = `${unreadable.reason}; other TLS of the process was read`;
      return [{ process, library: unreadable.library, reason, connections: connections - read, hosts: [] }];
    });
  }

  /** Of several all names, and the reason of the first. */
  #unreadable(pid: number): { library: string; reason: string } | undefined {
    const unreadable = this.#libraries.get(pid)?.filter(({ readable }) => !readable) ?? [];
    const [first] = unreadable;
    if (!first) return undefined;
    const library = unreadable.map((each) => each.library).join(' or ');
    return { library, reason: first.reason ?? 'not supported' };
  }

  #why(pid: number): { library: string; reason: string } {
    const unreadable = this.#unreadable(pid);
    if (unreadable) return unreadable;
    const [readable] = this.#libraries.get(pid) ?? [];
    if (readable)
      return {
        library: readable.library,
        reason:
          'its functions were not called while they were watched: the connections are older, or the data went another way',
      };
    return { library: 'unknown', reason: 'no TLS library with symbols was found in the process' };
  }
}

/** Of more processes than are kept, the one goes that was not set for the longest time. */
function set<V>(map: Map<number, V>, pid: number, value: V): void {
  map.delete(pid);
  map.set(pid, value);
  keepYoungest(map, PROCESSES_MAX);
}
