// SPDX-License-Identifier: Apache-2.0

/** Lets go what was set first, until no more than `kept` are left: maps and sets keep their order of insertion. */
export function keepYoungest(all: Map<unknown, unknown> | Set<unknown>, kept: number): void {
  for (const oldest of all.keys()) {
    if (all.size <= kept) return;
    all.delete(oldest);
  }
}
