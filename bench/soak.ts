// SPDX-License-Identifier: Apache-2.0
/**
 * Churn for a long time: `npm run soak -- [MINUTES] [PROCESSES] [CONNECTIONS]`, by default 30 minutes in which 10,000
 * processes come and go and 100,000 connections are made. Prints, thirty times, what monitor, sensor and the kernel's
 * maps hold; at the end a sentence for each promise that was broken, and then exits with 1.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuTime, processesOf, sleep, takeSummary } from './measure.ts';
import { MCPSPY, ROOT } from './monitors.ts';
import { broken, FOLLOWING, hold, type Sample } from './soak-verdict.ts';

/** Descriptors close, and the last exits are told. */
const SETTLED_MS = 3000;
const SAMPLES = 30;
const WIDTHS = [8, 13, 12, 13, 7, 9, 12, 13, 10];

const [minutes = 30, processes = 10_000, connections = 100_000] = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), 'mcpspy-soak-'));
const log = join(directory, 'log');
const peer = [process.execPath, join(ROOT, 'bench/peers/churn.ts')];
const child = spawn(
  MCPSPY,
  [
    'run',
    '-q',
    '-o',
    log,
    '--',
    ...peer,
    String(minutes * 60),
    String(processes),
    String(connections),
    'held',
  ],
  { stdio: ['pipe', 'pipe', 'inherit'] },
);
const closed = once(child, 'close');
let said = '';
const done = new Promise<void>((resolve) => {
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk;
    if (said.includes('\n')) resolve();
  });
  child.once('close', () => resolve());
});

function row(cells: readonly string[]): void {
  console.log(
    cells
      .map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0))
      .join('')
      .trimEnd(),
  );
}

await sleep(SETTLED_MS);
const both = processesOf(child.pid ?? 0);
row(['minute', 'monitor MiB', 'sensor MiB', 'descriptors', ...FOLLOWING, 'maps MiB', 'processor s']);

function take(minute: number): Sample {
  const sample = hold(minute, both);
  row([
    minute.toFixed(minutes < 5 ? 2 : 0),
    ...sample.mebibytes.map((each) => each.toFixed(1)),
    sample.descriptors.join('+'),
    ...FOLLOWING.map((name) => String(sample.entries[name])),
    (sample.mapBytes / 2 ** 20).toFixed(1),
    both.map((pid) => (cpuTime(pid) / 1000).toFixed(1)).join('+'),
  ]);
  return sample;
}

const samples: Sample[] = [];
/** @returns false when the capture has ended. */
function sampled(minute: number): boolean {
  try {
    samples.push(take(minute));
    return true;
  } catch (error) {
    console.log(`soak: no more to be read: ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

let lives = sampled(0);
child.stdin.write('\n');
const start = performance.now();
const over = done.then(() => true);
for (let next = 1; lives; next++) {
  const due = start + (next * minutes * 60_000) / SAMPLES;
  if (await Promise.race([over, sleep(due - performance.now()).then(() => false)])) break;
  lives = sampled((next * minutes) / SAMPLES);
}
if (lives && child.exitCode === null) {
  await sleep(SETTLED_MS);
  lives = sampled(minutes);
}
child.stdin.end();
await closed;
const { messages, losses } = takeSummary(log);
rmSync(directory, { recursive: true });
// Nothing is said by a command that has been cut off.
const sent: number = said ? JSON.parse(said).messages : Number.NaN;
const faults = broken({ samples, sent, messages, losses, exitCode: child.exitCode });
console.log(`sent ${sent}, captured ${messages}, lost ${JSON.stringify(losses)}`);
for (const fault of faults) console.log(`soak: ${fault}`);
console.log(faults.length ? `soak: ${faults.length} broken` : 'soak: all promises kept');
process.exitCode = faults.length ? 1 : 0;
