// SPDX-License-Identifier: Apache-2.0
/** Probes for all processes at once, by the file that they are in: kept as long as somebody has it mapped, and a while longer. */
import type { Attachment } from './uprobes.ts';

/** So long after the last process has ended that had a file mapped, milliseconds: mostly the program is started again. */
export const KEPT_MS = 60_000;

interface Probed {
  readonly attachments: readonly Attachment[];
  readonly users: Set<number>;
  timer: NodeJS.Timeout | undefined;
}

export class MachineProbes {
  /** By identity of the file. */
  readonly #files = new Map<string, Probed>();
  readonly #usedBy = new Map<number, Set<string>>();
  readonly #close: (attachments: readonly Attachment[]) => void;

  constructor(close: (attachments: readonly Attachment[]) => void) {
    this.#close = close;
  }

  has(identity: string): boolean {
    return this.#files.has(identity);
  }

  set(identity: string, attachments: readonly Attachment[]): void {
    this.#files.set(identity, { attachments, users: new Set(), timer: undefined });
  }

  /** This process has the file mapped. */
  used(identity: string, pid: number): void {
    const file = this.#files.get(identity);
    if (!file) return;
    clearTimeout(file.timer);
    file.timer = undefined;
    file.users.add(pid);
    const files = this.#usedBy.get(pid);
    if (files) files.add(identity);
    else this.#usedBy.set(pid, new Set([identity]));
  }

  /** It has none mapped any more. A probe holds its file: nothing could be unmounted, and what was deleted would take room. */
  left(pid: number): void {
    for (const identity of this.#usedBy.get(pid) ?? []) {
      const file = this.#files.get(identity);
      file?.users.delete(pid);
      if (!file || file.users.size) continue;
      file.timer ??= setTimeout(() => {
        this.#files.delete(identity);
        this.#close(file.attachments);
      }, KEPT_MS).unref();
    }
    this.#usedBy.delete(pid);
  }

  /** Takes all of them out. */
  close(): void {
    for (const { timer, attachments } of this.#files.values()) {
      clearTimeout(timer);
      this.#close(attachments);
    }
    this.#files.clear();
    this.#usedBy.clear();
  }
}
