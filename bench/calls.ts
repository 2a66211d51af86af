// SPDX-License-Identifier: Apache-2.0
/** What one system call costs in scope and out of scope. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { background, runJson } from './measure.ts';
import { MCPSPY } from './monitors.ts';
import { factor, spread } from './table.ts';

const KINDS = { getppid: 'getppid', write: 'write(/dev/null)', pipe: 'pipe write + read, 300 B' } as const;

export async function calls({ rounds, peers, table }: Bench): Promise<void> {
  const loop = join(peers, 'calls');
  const sleeper = spawn('sleep', ['1000']);
  const results: Record<string, Record<string, number>[]> = {
    'no monitor': [],
    'out of scope': [],
    'in scope': [],
  };
  for (let round = 0; round < rounds; round++) {
    results['no monitor']?.push(await runJson([loop]));
    const watching = await background([MCPSPY, '--pid', String(sleeper.pid)], /watching/);
    results['out of scope']?.push(await runJson([loop]));
    await watching.stop();
    results['in scope']?.push(await runJson([MCPSPY, 'run', '-q', '--ring-size', '256M', '--', loop]));
  }
  sleeper.kill();
  const of = (name: string, kind: string) => (results[name] ?? []).map((result) => result[kind] ?? 0);
  for (const [kind, label] of Object.entries(KINDS))
    for (const name of Object.keys(results))
      table.row(label, name, spread(of(name, kind), 'ns'), factor(of(name, kind), of('no monitor', kind)));
}
