// SPDX-License-Identifier: Apache-2.0
/** Foreseeable faults: one sentence for a person, an exit code and one JSON line for a program. */
import { isatty } from 'node:tty';
import { openOutput } from '../outputs/file-writer.ts';

/** The exit codes of the command contract (docs/command.md). */
export const EXIT = {
  ok: 0,
  usage: 2,
  noPrivilege: 3,
  kernelLacks: 4,
  captureFailed: 5,
} as const;

/** A fault with its exit code. The message says what failed, why, and what to do. */
export class CliError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Writes the sentence; to something that is not a terminal also the JSON line.
 * Not by way of `process.stderr`, which would make the pipe it shares with the watched command non-blocking.
 */
export function report({ code, message }: CliError): void {
  writeMessage(message);
  if (!isatty(2)) writeLine(JSON.stringify({ error: { code, message } }));
}

/** One sentence on standard error, now. */
export function writeMessage(sentence: string): void {
  writeLine(`mcpspy: ${sentence}`);
}

function writeLine(line: string): void {
  const stderr = openOutput('/dev/fd/2');
  stderr.write(line);
  stderr.flush();
}

/** The one sentence for a fault that nobody foresaw. */
export function unforeseen(error: unknown): CliError {
  if (error instanceof CliError) return error;
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const place = /\bat .*?([\w-]+\/[\w.-]+:\d+:\d+)/.exec(stack ?? '')?.[1] ?? 'an unknown place';
  const what = `${name}: ${message}`.replace(/\s+/g, ' ');
  return new CliError(EXIT.captureFailed, `a fault of mcpspy's own at ${place} (${what}); please report it`);
}
