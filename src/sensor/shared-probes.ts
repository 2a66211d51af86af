// SPDX-License-Identifier: Apache-2.0
/** Probes for all processes at once, by file: kept for as long as somebody has the file mapped, and some beyond that. */
import type { Attachment } from './uprobes.ts';

/** Files that nobody has mapped any more: of what comes and goes, the next one is to find its probes in place. */
const UNUSED_KEPT = 256;

export class SharedProbes {
  readonly #close: (attachments: readonly Attachment[]) => void;
  readonly #kept: number;
  /** By identity of the file. */
  readonly #attached = new Map<string, readonly Attachment[]>();
  readonly #users = new Map<string, Set<number>>();
  readonly #files = new Map<number, Set<string>>();
  /** The longest unused first. */
  readonly #unused = new Set<string>();

  /** @param close Takes them out. */
  constructor(close: (attachments: readonly Attachment[]) => void, kept = UNUSED_KEPT) {
    this.#close = close;
    this.#kept = kept;
  }

  has(identity: string): boolean {
    return this.#attached.has(identity);
  }

  set(identity: string, attachments: readonly Attachment[]): void {
    this.#attached.set(identity, attachments);
  }

  /** A process has the file mapped. */
  use(pid: number, identity: string): void {
    this.#unused.delete(identity);
    setOf(this.#users, identity).add(pid);
    setOf(this.#files, pid).add(identity);
  }

  /** A process has ended. */
  gone(pid: number): void {
    for (const identity of this.#files.get(pid) ?? []) {
      const users = this.#users.get(identity);
      users?.delete(pid);
      if (users?.size) continue;
      this.#users.delete(identity);
      this.#unused.add(identity);
    }
    this.#files.delete(pid);
    for (const identity of this.#unused) {
      if (this.#unused.size <= this.#kept) break;
      this.#unused.delete(identity);
      this.#remove(identity);
    }
  }

  #remove(identity: string): void {
    this.#close(this.#attached.get(identity) ?? []);
    this.#attached.delete(identity);
  }

  close(): void {
    for (const identity of [...this.#attached.keys()]) this.#remove(identity);
  }
}

function setOf<Key, Value>(sets: Map<Key, Set<Value>>, key: Key): Set<Value> {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set);
  return set;
}
