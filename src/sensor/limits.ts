// SPDX-License-Identifier: Apache-2.0
/** What the sensor takes for itself and the watched command must not inherit. */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import koffi from 'koffi';

const RLIMIT_NOFILE = 7;
/** Above ordinary processes: a late sensor answers late who is who. */
const NICE = -5;

const ordinary = getPriority();
const prlimit = koffi
  .load('libc.so.6')
  .func('int prlimit(int pid, int resource, const void *new_limit, void *old_limit)');

/** @param thread 0 for this one: to Linux each has a priority of its own, and hands it down to what it starts. */
function setNice(thread: number, nice: number): void {
  try {
    setPriority(thread, nice);
  } catch {
    // Only a wish, and the thread may just have ended.
  }
}

/** Raises the priority of this process: of all its threads, as this one waits for those that collect garbage with it. */
export function preferOurselves(): void {
  for (const thread of readdirSync('/proc/self/task')) setNice(Number(thread), Math.min(ordinary, NICE));
}

/**
 * Runs `action` with the priority and the limit of open files that mcpspy was started with.
 * Node raises that limit as it starts; bin/mcpspy has noted it before.
 */
export function withOwnLimits<Result>(action: () => Result): Result {
  const wanted = Number(process.env['MCPSPY_NOFILE']);
  const raised = Buffer.alloc(16);
  prlimit(0, RLIMIT_NOFILE, null, raised);
  const own = Buffer.from(raised);
  if (wanted > 0) own.writeBigUInt64LE(BigInt(wanted));
  prlimit(0, RLIMIT_NOFILE, own, null);
  setNice(0, ordinary);
  try {
    return action();
  } finally {
    prlimit(0, RLIMIT_NOFILE, raised, null);
    preferOurselves();
  }
}
