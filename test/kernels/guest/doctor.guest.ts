// SPDX-License-Identifier: Apache-2.0
/** Does this kernel take everything, by mcpspy's own examination? */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { notInVm } from '../../support/in-vm.ts';
import { MCPSPY } from '../../support/mcpspy.ts';

test('mcpspy doctor finds that this machine can', { skip: notInVm }, () => {
  const { status, stdout, stderr } = spawnSync(MCPSPY, ['doctor', '--json'], { encoding: 'utf8' });
  const found: { checks: { name: string; status: string; detail: string }[] } = JSON.parse(stdout);
  for (const check of found.checks) console.log(`doctor ${check.status} ${check.name}: ${check.detail}`);
  assert.equal(status, 0, stderr);
  assert.deepEqual(
    found.checks.filter(({ status }) => status === 'fail' || status === 'skip'),
    [],
  );
});
