// SPDX-License-Identifier: Apache-2.0
/**
 * Churn for a long time: `npm run soak -- [MINUTES] [PROCESSES] [CONNECTIONS]`, by default 30 minutes in which 10,000
 * processes come and go and 100,000 connections are made. Prints, once a minute, what monitor and sensor hold.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuTime, memory, processesOf, sleep, takeSummary } from './measure.ts';
import { MCPSPY, ROOT } from './monitors.ts';

const [minutes = 30, processes = 10_000, connections = 100_000] = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), 'mcpspy-soak-'));
const log = join(directory, 'log');
const peer = [process.execPath, join(ROOT, 'bench/peers/churn.ts')];
const child = spawn(
  MCPSPY,
  ['run', '-q', '-o', log, '--', ...peer, String(minutes * 60), String(processes), String(connections)],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
let said = '';
child.stdout.on('data', (chunk: Buffer) => {
  said += chunk;
});
const closed = once(child, 'close');
await sleep(3000);
const both = processesOf(child.pid ?? 0);
const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
console.log('minute  monitor MiB  sensor MiB  descriptors  processor s');
for (let minute = 0; child.exitCode === null; minute++) {
  const row = [
    String(minute),
    ...both.map((pid) => (memory(pid, 'Rss') / 1024).toFixed(1)),
    both.map(descriptors).join('+'),
    both.map((pid) => (cpuTime(pid) / 1000).toFixed(1)).join('+'),
  ];
  console.log(row.map((cell, column) => cell.padEnd([8, 13, 12, 13][column] ?? 0)).join(''));
  await Promise.race([sleep(60_000), closed]);
}
await closed;
const { lost, messages } = takeSummary(log);
console.log(`sent ${JSON.parse(said).messages}, captured ${messages}, lost ${lost} bytes`);
rmSync(directory, { recursive: true });
process.exitCode = child.exitCode ?? 1;
