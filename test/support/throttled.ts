// SPDX-License-Identifier: Apache-2.0
/** Processes that get next to no processor, whatever the machine: so a load is many times what they can work off. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { after } from 'node:test';
import { status } from './command.ts';

/** Gets 335 for every 1024 that an ordinary process gets: enough to free some of the ring now and then. */
const THROTTLED = 5;
const ALLOWED = status(process.pid, 'Cpus_allowed_list');

/** Those that we may use, as taskset names them. */
export const PROCESSORS: readonly string[] = ALLOWED.split(',').flatMap((range) => {
  const [from = 0, to = from] = range.split('-').map(Number);
  return Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
});

/** A value for node:test's `skip`. */
export const onOneProcessor = PROCESSORS.length < 2 && 'one processor only: nobody can be kept from it alone';

function pin(pid: number, processors: string): void {
  const { status: code, stderr } = spawnSync('taskset', ['-apc', processors, String(pid)], {
    encoding: 'utf8',
  });
  assert.equal(code, 0, stderr);
}

/** Shares the first processor with a loop that goes before it, until `end`. */
export class Throttled {
  readonly #loop: ChildProcess;
  readonly #before: { pid: number; threads: { thread: number; nice: number }[] }[];

  constructor(pids: readonly number[]) {
    const [processor = ''] = PROCESSORS;
    this.#loop = spawn('taskset', ['-c', processor, 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' });
    this.#before = pids.map((pid) => {
      const threads = readdirSync(`/proc/${pid}/task`)
        .map(Number)
        .map((thread) => ({ thread, nice: getPriority(thread) }));
      for (const { thread } of threads) setPriority(thread, THROTTLED);
      pin(pid, processor);
      return { pid, threads };
    });
    after(() => this.#loop.kill('SIGKILL'));
  }

  /** All is as it was before. */
  end(): void {
    this.#loop.kill('SIGKILL');
    for (const { pid, threads } of this.#before) {
      pin(pid, ALLOWED);
      for (const { thread, nice } of threads) setPriority(thread, nice);
    }
  }
}
