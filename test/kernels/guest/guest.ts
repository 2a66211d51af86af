// SPDX-License-Identifier: Apache-2.0
/** What the tests in this folder share. Most watch the whole machine, so that only one of their own will do. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { preemptsItself } from '../../../src/sensor/preemption.ts';
import { type Attached, attach } from '../../support/mcpspy.ts';
import { patience } from '../../support/patience.ts';

/** Why these tests are not to be run here, or false: the words that vm.ts boots its kernels with are theirs alone. */
export const notInVm: string | false =
  process.getuid?.() === 0 && / mcpspy\.state=\S/.test(readFileSync('/proc/cmdline', 'latin1'))
    ? false
    : 'watches the whole machine; "npm run test:kernels" runs it in a VM';

/** Does this kernel leave programs out now and then? Told, but not to be asked to be complete. */
export const leavesOut = preemptsItself();

/** Those that must tell everything. */
export const BACKENDS = leavesOut ? (['tracepoint'] as const) : (['tracepoint', 'fentry'] as const);

/** `mcpspy` without `--pid`. Resolves when it is watching. */
export function watchMachine(backend: (typeof BACKENDS)[number]): Promise<Attached> {
  assert.equal(notInVm, false);
  return attach([], ['--backend', backend]);
}

/** Resolves when this file is there; emulated processors take their time. */
export async function appeared(file: string): Promise<void> {
  for (let waited = 0; !existsSync(file); waited += 50) {
    assert.ok(waited < patience(60_000), `nobody made ${file}`);
    await sleep(50);
  }
}
