// SPDX-License-Identifier: Apache-2.0
/** The bare command, as a shell would call it: what comes out, and how it ends. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SPY } from './mcpspy.ts';
import { patience } from './patience.ts';

export const MESSAGE = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}';
/** Sends MESSAGE from one process to another, through a pipe. */
export const TALK = ['/bin/sh', '-c', 'printf "%s\\n" "$1" | cat >/dev/null', 'sh', MESSAGE] as const;
/** Says "ready", then the same for each line of its input. */
const TALKER = 'echo ready; while read -r go; do printf "%s\\n" "$1" | cat >/dev/null; done';

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs; killed with the test file if it still does then. */
export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Its status; others may still hold its standard streams. */
  readonly exited: Promise<number | null>;
  /** The end of its standard streams. */
  readonly ended: Promise<Ended>;
  stdout(): string;
  stderr(): string;
}

const leftovers = new Set<ChildProcess>();
after(() => {
  for (const child of leftovers) child.kill('SIGKILL');
});

/** Starts any program with pipes at its three standard descriptors. */
export function start(command: readonly string[], options: SpawnOptions = {}): Running {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: patience(60_000), ...options });
  leftovers.add(child);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin?.on('error', () => {});
  const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString();
  const stdout = () => text(out);
  const stderr = () => text(err);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      leftovers.delete(child);
      resolve({ code, signal, stdout: stdout(), stderr: stderr() });
    });
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, pid: child.pid ?? 0, exited, ended, stdout, stderr };
}

/** Runs a program to its end, with nothing on its standard input unless `input` says so. */
export function finish(
  command: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Promise<Ended> {
  const running = start(command, options);
  running.child.stdin?.end(options.input ?? '');
  return running.ended;
}

/** Runs `mcpspy …` to its end; what it captures, on the back end under test. */
export function mcpspy(
  args: readonly string[],
  options: SpawnOptions & { input?: string } = {},
): Promise<Ended> {
  return finish([...SPY, ...args], options);
}

/** Waits until `condition` holds; fails after ten seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < patience(1000); tries++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error(`waited in vain for ${what}`);
}

/** A process of ours that sends MESSAGE whenever it is told to. */
export async function talker(): Promise<Running & { talk(): void }> {
  const running = start(['/bin/sh', '-c', TALKER, 'sh', MESSAGE]);
  await until(() => running.stdout().includes('ready'), 'the talker');
  return { ...running, talk: () => running.child.stdin?.write('go\n') };
}

/** `mcpspy --pid …`, watching. */
export async function watching(
  pid: number,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<Running> {
  const running = start([...SPY, '--pid', String(pid), ...args], options);
  await until(() => running.stderr().includes('watching'), `mcpspy to watch: ${running.stderr()}`);
  return running;
}

/** A field of /proc/PID/status. */
export function status(pid: number, field: string): string {
  return (
    new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? ''
  );
}

/** Does this process run? A zombie does not. */
export function runs(pid: number): boolean {
  try {
    return !status(pid, 'State').startsWith('Z');
  } catch {
    return false;
  }
}

/** The children of a process now. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
}
