// SPDX-License-Identifier: Apache-2.0
/** Threads that may be in a system call which began before the kernel programs were there (proc_pid_syscall(5)). */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * The calls in which bytes, connections and other ends of a FIFO are waited for, and how they are numbered
 * (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
 */
const CALLS: ReadonlySet<number> = new Set(
  process.arch === 'arm64'
    ? // openat read write readv writev splice accept connect sendto recvfrom sendmsg recvmsg accept4 recvmmsg sendmmsg preadv2 pwritev2
      [56, 63, 64, 65, 66, 76, 202, 203, 206, 207, 211, 212, 242, 243, 269, 286, 287]
    : // read write open readv writev connect accept sendto recvfrom sendmsg recvmsg openat splice accept4 recvmmsg sendmmsg preadv2 pwritev2
      [0, 1, 2, 19, 20, 42, 43, 44, 45, 46, 47, 257, 275, 288, 299, 307, 327, 328],
);

/** The number of the system call in what /proc/PID/task/TID/syscall holds; `undefined` when the thread runs. */
export function callNumber(text: string): number | undefined {
  const number = /^(\d+) /.exec(text)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Is this thread in none of these calls now, for sure? Of one that runs, that is not known. */
export function isElsewhere(thread: number): boolean {
  try {
    const number = callNumber(readFileSync(`/proc/${thread}/syscall`, 'latin1'));
    return number !== undefined && !CALLS.has(number);
  } catch {
    return true;
  }
}

/** All threads of these processes. */
export function threadsOf(pids: Iterable<number>): number[] {
  const found: number[] = [];
  for (const pid of pids)
    try {
      found.push(...readdirSync(`/proc/${pid}/task`).map(Number));
    } catch {
      // It has ended.
    }
  return found;
}
