// SPDX-License-Identifier: Apache-2.0
/** Who descends from whom. */
import type { Parentage } from './iterators.ts';

/**
 * These processes and all that descend from them.
 * @param parentages All processes on the machine, now.
 * @param mark Marks a process, so that its children are from then on; false: it was marked already. The list is
 * looked at again as long as there was somebody to mark, who may have had a child meanwhile.
 */
export function withDescendants(
  roots: readonly number[],
  parentages: () => readonly Parentage[],
  mark: (pid: number) => boolean = () => false,
): Set<number> {
  const all = new Set(roots);
  if (!all.size) return all;
  const told = new Set<number>();
  for (;;) {
    addDescendants(all, parentages());
    const fresh = [...all].filter((pid) => !told.has(pid));
    for (const pid of fresh) told.add(pid);
    if (!fresh.filter(mark).length) return all;
  }
}

function addDescendants(all: Set<number>, parentages: readonly Parentage[]): void {
  const children = new Map<number, number[]>();
  for (const [pid, parent] of parentages) {
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  // A set goes on over what is added meanwhile.
  for (const pid of all) for (const child of children.get(pid) ?? []) all.add(child);
}
