// SPDX-License-Identifier: Apache-2.0
/** What every part of the benchmark is given. */
import type { Table } from './table.ts';

export interface Bench {
  readonly rounds: number;
  /** Where the peers in C are. */
  readonly peers: string;
  /** For what only this run needs; gone behind it. */
  readonly directory: string;
  /** Where a capture is written; what is beside it with the same beginning is part of it. */
  readonly log: string;
  readonly table: Table;
}
