// SPDX-License-Identifier: Apache-2.0
/** Runs the real command on real processes and reads what it wrote. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { notInVm } from './in-vm.ts';
import { byKind, collect, startCommand } from './run.ts';
import { WatchedMachine } from './watched.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MCPSPY = join(ROOT, 'bin', 'mcpspy');
export const NODE = process.execPath;
/** The back end under test, where the runner of the tests has chosen one (test/kernels). */
const BACKEND = process.env['MCPSPY_TEST_BACKEND'];
/**
 * The first words of every command that captures: on that back end, unless a later `--backend` says otherwise. The bare
 * MCPSPY is for tests of what is said before anything is captured, and of the choice itself.
 */
export const SPY: readonly [string, ...string[]] = [MCPSPY, ...(BACKEND ? ['--backend', BACKEND] : [])];
/** The same for a shell. */
export const SPY_IN_SHELL = SPY.map((word) => `"${word}"`).join(' ');
/** Those that watch the whole machine for all tests (test/kernels), the first of which tells. */
export const WATCHING = process.env['MCPSPY_TEST_WATCHING']?.split(',') ?? [];

/** One line of the JSON Lines output. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads whatever is there
export type OutputLine = Record<string, any>;

export interface CaptureResult {
  /** Exit code of mcpspy. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly lines: readonly OutputLine[];
  readonly messages: readonly OutputLine[];
  readonly invalid: readonly OutputLine[];
  readonly gaps: readonly OutputLine[];
  readonly stderrLines: readonly OutputLine[];
  readonly summary: OutputLine;
  /** These are some lines of a capture that goes on; `summary` holds nothing but that nothing is lost. */
  readonly isPart?: true;
}

/** A directory that goes away with the test file. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Why the kernel does not let us capture here, or false. A value for node:test's `skip`. */
export const cannotCapture: string | false = probe();

function probe(): string | false {
  if (process.getuid?.() !== 0) return 'not root';
  // Who has chosen wants to hear that it cannot be had; and in a VM a trial takes long.
  if (BACKEND || WATCHING.length > 0) return false;
  const trial = spawnSync(MCPSPY, ['run', '-q', '--', 'true'], { encoding: 'utf8' });
  if (trial.status === 0) return false;
  // 3 and 4: the kernel refuses. Anything else is a fault of ours and must fail the tests, as is what no verifier takes.
  const sentence = trial.stderr.split('\n')[0] ?? 'refused';
  return (trial.status === 3 || trial.status === 4) && !/\((EINVAL|EACCES|E2BIG)\)/.test(sentence)
    ? sentence
    : false;
}

export interface CaptureOptions {
  /** Options for mcpspy besides the output file. */
  readonly options?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Text for CMD's standard input. */
  readonly input?: string;
  /** Milliseconds; default 120,000. */
  readonly timeout?: number;
  /** Where several back ends watch: the one that alone sees this. What the others tell is exact losses. */
  readonly seenBy?: string;
}

function readOutput(file: string): ReturnType<typeof byKind> & Pick<CaptureResult, 'summary'> {
  const lines: OutputLine[] = readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const last = lines.at(-1);
  return { ...byKind(lines), summary: last?.['kind'] === 'summary' ? last : {} };
}

let watched: Promise<WatchedMachine> | undefined;

/** The capture of the whole machine that tests share; begins when it is first asked for. */
export function watchedMachine(): Promise<WatchedMachine> {
  assert.equal(notInVm, false);
  const captures = () => Promise.all(WATCHING.map((backend) => attach([], ['--backend', backend])));
  watched ??= captures().then((all) => new WatchedMachine(all, WATCHING));
  return watched;
}

/** `mcpspy run -o FILE … -- command`, to its end; or the command alone, where the whole machine is watched. */
export async function captureRun(
  command: readonly string[],
  given: CaptureOptions = {},
): Promise<CaptureResult> {
  const usual = (given.options ?? ['-q']).join(' ') === '-q';
  if (WATCHING.length > 0 && usual) return (await watchedMachine()).run(command, given);
  const file = join(mkdtempSync(join(tmpdir(), 'mcpspy-test-')), 'out.jsonl');
  const args = ['run', '-o', file, ...(given.options ?? ['-q']), '--', ...command];
  const { child, text } = startCommand([...SPY, ...args], given);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const result = { code, stdout: text.stdout(), stderr: text.stderr(), ...readOutput(file) };
  rmSync(join(file, '..'), { recursive: true, force: true });
  return result;
}

/** A capture of running processes: `mcpspy --pid …`. */
export interface Attached {
  readonly child: ChildProcess;
  /** What it writes to. */
  readonly file: string;
  /** Ctrl+C, then the result. */
  stop(): Promise<CaptureResult>;
  /** The result once mcpspy ends by itself. */
  ended(): Promise<CaptureResult>;
}

/** Resolves when mcpspy is watching. */
export async function attach(pids: readonly number[], options: readonly string[] = []): Promise<Attached> {
  const file = join(mkdtempSync(join(tmpdir(), 'mcpspy-test-')), 'out.jsonl');
  const scope = pids.flatMap((pid) => ['--pid', String(pid)]);
  const [spy, ...backEnd] = SPY;
  const child = spawn(spy, [...backEnd, '-o', file, ...scope, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text = collect(child);
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', () => text.stderr().includes('watching') && resolve());
    void closed.then(() => reject(new Error(`mcpspy ended: ${text.stderr()}`)));
  });
  const ended = async () => {
    const code = await closed;
    const result = { code, stdout: text.stdout(), stderr: text.stderr(), ...readOutput(file) };
    rmSync(join(file, '..'), { recursive: true, force: true });
    return result;
  };
  return {
    child,
    file,
    ended,
    stop: () => {
      child.kill('SIGINT');
      return ended();
    },
  };
}
