// SPDX-License-Identifier: Apache-2.0
/** A program that a test runs, and the lines of a capture by their kinds. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { CaptureOptions, CaptureResult, OutputLine } from './mcpspy.ts';
import { patience } from './patience.ts';

export function collect(child: ChildProcess): { stdout: () => string; stderr: () => string } {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  return { stdout: () => Buffer.concat(out).toString(), stderr: () => Buffer.concat(err).toString() };
}

/** Starts a program with its whole input; killed when its time is over. */
export function startCommand(
  [file = '', ...args]: readonly string[],
  given: CaptureOptions,
): { child: ChildProcess; text: ReturnType<typeof collect> } {
  const child = spawn(file, args, {
    env: { ...process.env, ...given.env },
    ...(given.cwd ? { cwd: given.cwd } : {}),
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: patience(given.timeout ?? 120_000),
    killSignal: 'SIGKILL',
  });
  const text = collect(child);
  child.stdin.on('error', () => {});
  child.stdin.end(given.input ?? '');
  return { child, text };
}

export function byKind(
  lines: readonly OutputLine[],
): Pick<CaptureResult, 'lines' | 'messages' | 'invalid' | 'gaps' | 'stderrLines'> {
  const kind = (name: string) => lines.filter((line) => line['kind'] === name);
  return {
    lines,
    messages: kind('message'),
    invalid: kind('invalid'),
    gaps: kind('gap'),
    stderrLines: kind('stderr'),
  };
}
