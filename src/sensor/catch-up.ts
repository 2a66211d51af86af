// SPDX-License-Identifier: Apache-2.0
/**
 * The kernel has left a program out somewhere (bpf/syscalls.bpf.c), and it may have been one that follows forks and ends:
 * who is in scope is looked up. A fork that went unseen would hide a process, an end keep a capture waiting.
 */
import { existsSync } from 'node:fs';
import { withDescendants } from './descent.ts';
import type { Parentage } from './iterators.ts';

/** Who is in scope, as the kernel programs have it. */
export interface Scope {
  /** All processes on the machine now. */
  parentages(): readonly Parentage[];
  /** Those watched by name, not by whole-machine mode. */
  watched(): readonly number[];
  /** @returns false when it is known already: watched, or never to be. */
  watch(pid: number): boolean;
  forget(pid: number): void;
}

export interface Changes {
  /** In scope from now on: what they did before is missing. */
  readonly born: readonly number[];
  readonly ended: readonly number[];
}

/** @param roots In scope, whatever the programs have. */
export function catchUp(scope: Scope, roots: readonly number[]): Changes {
  const known = new Set(scope.watched());
  const ended = [...known].filter((pid) => !existsSync(`/proc/${pid}`));
  for (const pid of ended) {
    scope.forget(pid);
    known.delete(pid);
  }
  const living = [...known, ...roots].filter((pid) => existsSync(`/proc/${pid}`));
  const born: number[] = [];
  withDescendants(living, scope.parentages, (pid) => {
    const isNew = scope.watch(pid);
    if (isNew) born.push(pid);
    return isNew;
  });
  return { born, ended };
}
