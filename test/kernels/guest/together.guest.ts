// SPDX-License-Identifier: Apache-2.0
/**
 * Many tests in one process, while the whole machine is watched once for all of them (test/support/watched.ts): first
 * what is about that, then files of the end-to-end suite, last whether anything was lost.
 */
import { join } from 'node:path';
import { test } from 'node:test';
import { preemptsItself } from '../../../src/sensor/preemption.ts';
import { notInVm } from '../../support/in-vm.ts';
import { ROOT, watchedMachine } from '../../support/mcpspy.ts';

await import('./whole-machine.guest.ts');
for (const file of process.env['MCPSPY_TEST_FILES']?.split(',').filter(Boolean) ?? [])
  await import(join(ROOT, file));

test(
  'of all that the tests before have said nothing was lost, and the summaries know who said it',
  {
    skip: notInVm,
  },
  async () => (await watchedMachine()).stop(preemptsItself()),
);
