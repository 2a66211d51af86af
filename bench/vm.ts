// SPDX-License-Identifier: Apache-2.0
/**
 * What a system call costs under a stock kernel with either back end. The VM is emulated: of its nanoseconds only
 * the ratio to the same VM unwatched means something.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../test/kernels/kernels.ts';
import { cannotBoot, inGuest } from '../test/kernels/vm.ts';
import type { Bench } from './bench.ts';
import { addCalls } from './calls.ts';

const LINE = 'newest';

export async function vm({ rounds, peers, table }: Bench): Promise<void> {
  const kernel = cached('amd64', LINE);
  const reason = cannotBoot(kernel);
  if (reason || !kernel) {
    table.row('system calls in a VM', 'not measured', String(reason));
    return;
  }
  let said = '';
  const result = await inGuest({
    kernel,
    command: ['scripts/node.sh', 'bench/calls-in-vm.ts', '/run/vm', String(rounds)],
    timeout: 300_000 + rounds * 120_000,
    prepare: (directory) => copyFileSync(join(peers, 'calls'), join(directory, 'calls')),
    output: (chunk) => {
      said += chunk;
    },
  });
  const costs = result.file('calls.json');
  result.close();
  if (costs) addCalls(table, JSON.parse(costs), `VM, ${kernel.release}: `);
  else table.row('system calls in a VM', 'failed', (result.fault ?? said).trim());
}
