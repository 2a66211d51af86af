// SPDX-License-Identifier: Apache-2.0
/**
 * What a system call costs under a stock kernel with either back end, and how long it takes to begin to watch the whole
 * machine, which is the test's own there. The VM is emulated: only ratios to the same VM unwatched mean something.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../test/kernels/kernels.ts';
import { cannotBoot, inGuest } from '../test/kernels/vm.ts';
import type { Bench } from './bench.ts';
import { addCalls } from './calls.ts';
import type { VmMeasurement } from './calls-in-vm.ts';
import { factor, spread } from './table.ts';

/** Does not preempt itself: `auto` takes fentry, where there are trampolines, and its other back end is the cheap one. */
const LINE = '6.12';

/** A start takes some 20 s where a processor is emulated, so each serves for several measurements. */
const TIMES = 3;
/** Of the VM, milliseconds: its own start, and that of six captures each round. */
const BOOT_MS = 300_000;
const ROUND_MS = 400_000;

export async function vm({ rounds: wanted, peers, table }: Bench): Promise<void> {
  const kernel = cached('amd64', LINE);
  const reason = cannotBoot(kernel);
  if (reason || !kernel) {
    table.row('system calls in a VM', 'not measured', String(reason));
    return;
  }
  const times = Math.min(TIMES, wanted);
  const rounds = Math.ceil(wanted / times);
  let said = '';
  const result = await inGuest({
    kernel,
    command: ['scripts/node.sh', 'bench/calls-in-vm.ts', '/run/vm', String(rounds), String(times)],
    timeout: BOOT_MS + rounds * ROUND_MS,
    prepare: (directory) => copyFileSync(join(peers, 'calls'), join(directory, 'calls')),
    output: (chunk) => {
      said += chunk;
    },
  });
  const text = result.file('calls.json');
  result.close();
  if (!text) {
    table.row('system calls in a VM', 'failed', (result.fault ?? said).trim());
    return;
  }
  const { costs, starts, preempts }: VmMeasurement = JSON.parse(text);
  const path = preempts ? 'preempts itself: sys_exit by perf' : 'sys_exit by tp_btf';
  table.row('VM', kernel.release, path, `measurements of each: ${rounds * times}`);
  addCalls(table, costs, 'VM: ');
  const base = Object.values(starts)[0] ?? [];
  for (const [name, ms] of Object.entries(starts))
    table.row('VM: ready', name, spread(ms, 'ms'), factor(ms, base));
}
