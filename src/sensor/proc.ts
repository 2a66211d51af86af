// SPDX-License-Identifier: Apache-2.0
/** Reading /proc: which processes there are, and who each is (proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { ProcessInfo } from './messages.ts';

/** All thread-group ids now. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** `undefined` when the file is gone or not ours to read: processes end at any moment. */
export function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Splits what the kernel keeps as a command line: arguments, each ended by NUL. */
export function splitArgv(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  if (!text) return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}

/** Who `pid` is, or `undefined` when it is gone. */
export function readProcess(pid: number): ProcessInfo | undefined {
  const comm = attempt(() => readFileSync(`/proc/${pid}/comm`, 'utf8').replace(/\n$/, ''));
  if (comm === undefined) return undefined;
  const exe = attempt(() => readlinkSync(`/proc/${pid}/exe`));
  // As text, which Node reads in one call where a file has no size.
  const line = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  const argv = line && splitArgv(Buffer.from(line).subarray(0, 4096));
  return { pid, comm, ...(exe ? { exe } : {}), ...(argv ? { argv } : {}) };
}
