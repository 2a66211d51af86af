// SPDX-License-Identifier: Apache-2.0
/**
 * One table: what watching costs and how much it can take, beside the same thing
 * unwatched and beside the tools one would use instead. All in turn, in one run;
 * medians over the rounds. `npm run bench -- [ROUNDS] [LOG-DIRECTORY] [PART…]`
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { calls } from './calls.ts';
import { cost } from './cost.ts';
import { decoders } from './decoders.ts';
import { footprint } from './footprint.ts';
import { http } from './http.ts';
import { nginx } from './nginx.ts';
import { stdio } from './stdio.ts';
import { Table } from './table.ts';
import { vm } from './vm.ts';

const PARTS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  stdio,
  http,
  nginx,
  decoders,
  calls,
  footprint,
  cost,
  vm,
};

const [peers = '', rounds = '5', logs = tmpdir(), ...parts] = process.argv.slice(2);
const unknown = parts.filter((part) => !PARTS[part]);
if (unknown.length) {
  console.error(`bench: no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
if (!(Number(rounds) > 0)) {
  console.error(`bench: "${rounds}" is no number of rounds; see docs/performance.md, "To repeat it"`);
  process.exit(2);
}
mkdirSync(logs, { recursive: true });
const directory = mkdtempSync(join(logs, 'mcpspy-bench-'));
const table = new Table();
try {
  const bench = { rounds: Number(rounds), peers, directory, log: join(directory, 'log'), table };
  for (const part of parts.length ? parts : Object.keys(PARTS)) await PARTS[part]?.(bench);
  console.log(`\nmedians of ${rounds} rounds (least–greatest), logs in ${logs}\n`);
  table.print();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
