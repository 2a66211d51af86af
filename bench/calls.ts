// SPDX-License-Identifier: Apache-2.0
/** What one system call costs in scope and out of scope. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { background, runJson, sleep } from './measure.ts';
import { MCPSPY } from './monitors.ts';
import { factor, spread, type Table } from './table.ts';

const KINDS = { getppid: 'getppid', write: 'write(/dev/null)', pipe: 'pipe write + read, 300 B' } as const;

/** What a capture's start leaves to be done is none of its cost; in an emulated VM it takes seconds. */
const SETTLED_MS = 5000;

const UNWATCHED = 'no monitor';

/** Nanoseconds a call: by what watches, a measurement each round, by kind of call. */
export type CallCosts = Record<string, Record<string, number>[]>;

/**
 * In turn: nothing, a capture whose scope it is not in, and one whose scope it is in; for each of the back ends.
 * `undefined`: the one that mcpspy chooses.
 */
export async function measureCalls(
  peers: string,
  rounds: number,
  backends: readonly (string | undefined)[],
): Promise<CallCosts> {
  const loop = join(peers, 'calls');
  const sleeper = spawn('sleep', ['10000']);
  const costs: CallCosts = {};
  const note = (name: string, result: Record<string, number>) => {
    costs[name] = [...(costs[name] ?? []), result];
  };
  for (let round = 0; round < rounds; round++) {
    note(UNWATCHED, await runJson([loop]));
    for (const backend of backends) {
      const [options, name] = backend ? [['--backend', backend], `${backend}, `] : [[], ''];
      const watching = await background([MCPSPY, ...options, '--pid', String(sleeper.pid)], /watching/);
      await sleep(SETTLED_MS);
      note(`${name}out of scope`, await runJson([loop]));
      await watching.stop();
      const run = [MCPSPY, 'run', ...options, '-q', '--ring-size', '256M', '--', loop];
      note(`${name}in scope`, await runJson(run));
    }
  }
  sleeper.kill();
  return costs;
}

/** @param where Before the name of the call. */
export function addCalls(table: Table, costs: CallCosts, where = ''): void {
  const of = (name: string, kind: string) => (costs[name] ?? []).map((result) => result[kind] ?? 0);
  for (const [kind, label] of Object.entries(KINDS))
    for (const name of Object.keys(costs))
      table.row(
        `${where}${label}`,
        name,
        spread(of(name, kind), 'ns'),
        factor(of(name, kind), of(UNWATCHED, kind)),
      );
}

export async function calls({ rounds, peers, table }: Bench): Promise<void> {
  addCalls(table, await measureCalls(peers, rounds, [undefined]));
}
