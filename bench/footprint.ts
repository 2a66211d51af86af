// SPDX-License-Identifier: Apache-2.0
/** What mcpspy itself takes: time to begin, processor when idle, memory under load. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { background, cpuTime, median, memory, processesOf, removeLogs, sleep } from './measure.ts';
import { MCPSPY } from './monitors.ts';
import { spread } from './table.ts';

export async function footprint(bench: Bench): Promise<void> {
  await idle(bench);
  await underLoad(bench);
}

async function idle({ rounds, table }: Bench): Promise<void> {
  const ready: number[] = [];
  const percent: number[] = [];
  const sleeper = spawn('sleep', ['1000']);
  for (let round = 0; round < rounds; round++) {
    const watching = await background([MCPSPY, '--pid', String(sleeper.pid)], /watching/);
    ready.push(watching.ms);
    const processes = processesOf(watching.pid);
    await sleep(500);
    const before = processes.reduce((sum, pid) => sum + cpuTime(pid), 0);
    await sleep(4000);
    percent.push((processes.reduce((sum, pid) => sum + cpuTime(pid), 0) - before) / 40);
    await watching.stop();
  }
  sleeper.kill();
  table.row('ready', 'mcpspy', spread(ready, 'ms'));
  table.row('idle', 'mcpspy', spread(percent, '% CPU', 2));
}

async function underLoad({ rounds, peers, log, table }: Bench): Promise<void> {
  const resident: number[][] = [];
  const load = join(peers, 'load');
  for (let round = 0; round < rounds; round++) {
    const child = spawn(
      MCPSPY,
      ['run', '-q', '-o', log, '--', load, 'client', '300', '100000', '6', load, 'serve', '300'],
      { stdio: 'ignore' },
    );
    const closed = once(child, 'close');
    await sleep(5000);
    const processes = processesOf(child.pid ?? 0);
    resident.push(
      (['Rss', 'Pss'] as const).map(
        (field) => processes.reduce((sum, pid) => sum + memory(pid, field), 0) / 1024,
      ),
    );
    await closed;
    removeLogs(log);
  }
  table.row(
    'memory of both at 100,000 msg/s',
    'mcpspy',
    `${median(resident.map(([rss = 0]) => rss)).toFixed(0)} MiB resident`,
    `${median(resident.map(([, pss = 0]) => pss)).toFixed(0)} MiB proportional`,
  );
}
