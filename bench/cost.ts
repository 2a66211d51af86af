// SPDX-License-Identifier: Apache-2.0
/** What mcpspy costs beside a call: the way into the file, processor for a load, memory for a stream, time to begin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { background, cpuTime, median, memory, processesOf, removeLogs, sleep } from './measure.ts';
import { MCPSPY } from './monitors.ts';
import { spread } from './table.ts';

const RATE = 1000;
const LOAD_SECONDS = 6;
/** Left out at the beginning: the just-in-time compiler is at work. */
const WARM_UP_SECONDS = 2;
const STREAMS = [1, 1000, 10_000, 50_000] as const;
const PROCESSES = [1, 1000, 5000] as const;

export async function cost(bench: Bench): Promise<void> {
  await wayIntoTheFile(bench);
  await idleStreams(bench);
  await beginning(bench);
}

/** Where in its order, from 0 to 1, a value stands. */
function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] ?? Number.NaN;
}

/** From the return of write(2), which the kernel stamps, to the line that another process can read; and processor time. */
async function wayIntoTheFile({ rounds, peers, log, table }: Bench): Promise<void> {
  const load = join(peers, 'load');
  const [p50, p99, cpu]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const command = [load, 'client', '300', String(RATE), String(LOAD_SECONDS), load, 'serve', '300'];
    const child = spawn(MCPSPY, ['run', '-q', '-o', log, '--', ...command], { stdio: 'ignore' });
    const closed = once(child, 'close');
    while (!existsSync(log)) await sleep(10);
    await sleep(WARM_UP_SECONDS * 1000);
    const processes = processesOf(child.pid ?? 0);
    const used = () => processes.reduce((sum, pid) => sum + cpuTime(pid), 0);
    const before = used();
    const delays = follow(log, 3);
    cpu.push((used() - before) / (3 * 10));
    p50.push(quantile(delays, 0.5));
    p99.push(quantile(delays, 0.99));
    await closed;
    removeLogs(log);
  }
  table.row(`write() to file at ${RATE} msg/s, p50`, 'mcpspy', spread(p50, 'ms', 2));
  table.row(`write() to file at ${RATE} msg/s, p99`, 'mcpspy', spread(p99, 'ms', 2));
  table.row(`processor at ${RATE} msg/s`, 'mcpspy', spread(cpu, '% of one', 1));
}

/** Reads what is added to a file for so many seconds. @returns the age of each line when it came, milliseconds. */
function follow(file: string, seconds: number): number[] {
  const fd = openSync(file, 'r');
  const chunk = Buffer.alloc(1 << 20);
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const ages: number[] = [];
  const until = performance.now() + seconds * 1000;
  let text = '';
  // What is there already is not news.
  while (readSync(fd, chunk, 0, chunk.length, null) === chunk.length);
  let first = true;
  while (performance.now() < until) {
    const length = readSync(fd, chunk, 0, chunk.length, null);
    const now = performance.timeOrigin + performance.now();
    if (length === 0) {
      Atomics.wait(pause, 0, 0, 0.1);
      continue;
    }
    const lines = (text + chunk.toString('latin1', 0, length)).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.slice(first ? 1 : 0)) {
      const stamp = /"timestamp":"([^"]*)\.(\d{6})Z"/.exec(line);
      if (stamp) ages.push(now - (Date.parse(`${stamp[1]}Z`) + Number(stamp[2]) / 1000));
    }
    first = false;
  }
  closeSync(fd);
  return ages;
}

/** A process that holds so many pipes open, on each of which one message has passed. */
async function idleStreams({ rounds, peers, log, table }: Bench): Promise<void> {
  const totals = new Map<number, number[]>(STREAMS.map((count) => [count, []]));
  for (let round = 0; round < rounds; round++)
    for (const count of STREAMS) {
      const child = spawn(MCPSPY, ['run', '-q', '-o', log, '--', join(peers, 'streams'), String(count)], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      const closed = once(child, 'close');
      await once(child.stdout, 'data');
      // On a busy machine the messages of 50,000 streams take longer to get through than to be sent.
      while (linesOf(log) < count) await sleep(200);
      await sleep(3000);
      const processes = processesOf(child.pid ?? 0);
      totals.get(count)?.push(processes.reduce((sum, pid) => sum + memory(pid, 'Pss'), 0) / 1024);
      child.stdin.end();
      await closed;
      removeLogs(log);
    }
  const at = (count: number) => median(totals.get(count) ?? []);
  const added = (from: number, to: number) => (((at(to) - at(from)) * 1024) / (to - from)).toFixed(2);
  for (const [index, count] of STREAMS.entries()) {
    const fewer = STREAMS[index - 1] ?? 0;
    table.row(
      `memory with ${count} idle streams`,
      'mcpspy',
      spread(totals.get(count) ?? [], 'MiB'),
      ...(fewer ? [`${added(1, count)} KiB a stream`] : []),
      // What the first ones cost once is not in it.
      ...(fewer > 1 ? [`${added(fewer, count)} KiB each after ${fewer}`] : []),
    );
  }
}

function linesOf(file: string): number {
  let lines = 0;
  for (const byte of readFileSync(file)) if (byte === 0x0a) lines++;
  return lines;
}

/** With so many other processes on the machine, and with so many in scope. */
async function beginning({ rounds, peers, table }: Bench): Promise<void> {
  for (const count of PROCESSES) {
    const crowd = spawn(join(peers, 'streams'), ['processes', String(count)], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await once(crowd.stdout, 'data');
    const alone = spawn('sleep', ['1000']);
    const [outside, inside]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      outside.push(await ready(alone));
      inside.push(await ready(crowd));
    }
    alone.kill();
    crowd.stdin.end();
    await once(crowd, 'close');
    table.row(`ready, ${count} processes out of scope`, 'mcpspy', spread(outside, 'ms'));
    table.row(`ready, ${count} processes in scope`, 'mcpspy', spread(inside, 'ms'));
  }
}

async function ready({ pid }: ChildProcess): Promise<number> {
  const watching = await background([MCPSPY, '--pid', String(pid)], /watching/);
  await watching.stop();
  return watching.ms;
}
