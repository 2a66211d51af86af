// SPDX-License-Identifier: Apache-2.0
/** Running things and reading what they cost. */
import { execFile, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** The middle one, or the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[sorted.length % 2 ? middle : middle - 1],
    sorted[middle],
  ];
  return (low + high) / 2;
}

/** Runs a command and reads the JSON object it prints. */
export function runJson(
  command: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Record<string, number>> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: { ...process.env, ...env }, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      const line = stdout.split('\n').find((each) => each.startsWith('{'));
      if (line) resolve(JSON.parse(line));
      else reject(error ?? new Error(`${command.join(' ')}: ${stderr}`));
    });
  });
}

/** Starts a command in the background; the answer stops it. @throws Error with what it said, if it ends before. */
export function background(
  command: readonly string[],
  until: RegExp,
): Promise<{ pid: number; ms: number; stop(): Promise<void> }> {
  const [file = '', ...args] = command;
  const start = performance.now();
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('close', () => reject(new Error(`${command.join(' ')}: ${text}`)));
    child.stderr.on('data', (chunk: Buffer) => {
      text += chunk;
      if (!until.test(text)) return;
      const closed = new Promise<void>((done) => child.once('close', () => done()));
      resolve({
        pid: child.pid ?? 0,
        ms: performance.now() - start,
        stop: () => {
          child.kill('SIGINT');
          return closed;
        },
      });
    });
  });
}

/** Processes of a capture that was started by `pid`: itself and the sensor. */
export function processesOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
  const sensors = children.filter((child) =>
    readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('/sensor/entry'),
  );
  return [pid, ...sensors];
}

/** Kibibytes of one field of smaps_rollup (proc(5)). */
export function memory(pid: number, field: 'Rss' | 'Pss'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'),
  );
  return Number(match?.[1] ?? 0);
}

/** Processor time used so far, milliseconds. */
export function cpuTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Of one cause. */
export interface Loss {
  readonly bytes: number;
  readonly records: number;
  readonly frames: number;
}

/** What a capture says of itself in its last line: bytes of messages captured, bytes lost, and requests and responses. */
export function takeSummary(log: string): {
  captured: number;
  lost: number;
  messages: number;
  losses: Readonly<Record<string, Loss>>;
} {
  const { bytes, frames, losses } = JSON.parse(lastLine(log)) as {
    bytes: number;
    frames: { request: number; response: number };
    losses: Record<string, Loss>;
  };
  const lost = Object.values(losses).reduce((sum, loss) => sum + loss.bytes, 0);
  return { captured: bytes, lost, messages: frames.request + frames.response, losses };
}

/** A summary with thousands of servers has so many bytes, and more. */
const SUMMARY_MAX = 32 << 20;

/** The file may be larger than Node reads at once. */
function lastLine(file: string): string {
  const fd = openSync(file, 'r');
  const tail = Buffer.alloc(Math.min(SUMMARY_MAX, fstatSync(fd).size));
  const read = readSync(fd, tail, 0, tail.length, Math.max(0, fstatSync(fd).size - tail.length));
  closeSync(fd);
  return tail.toString('utf8', 0, read).trimEnd().split('\n').at(-1) ?? '{}';
}

export function removeLogs(log: string): void {
  for (const name of readdirSync(dirname(log)))
    if (name.startsWith(basename(log))) rmSync(join(dirname(log), name));
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
