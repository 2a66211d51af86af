// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { preempts } from './preemption.ts';

const DYNAMIC = '#1 SMP PREEMPT_DYNAMIC Debian 6.12.118-1 (2026-11-20)';

test('a kernel that says how it is preempted is believed', () => {
  for (const [modes, expected] of [
    ['none voluntary (full) ', true],
    ['full (lazy) ', true],
    ['none (voluntary) full lazy', false],
    ['(none) voluntary full', false],
  ] as const)
    assert.equal(preempts({ modes, version: DYNAMIC, config: 'CONFIG_PREEMPT_NONE=y' }), expected, modes);
});

test('else it is what it was built for, unless it was booted otherwise', () => {
  assert.equal(preempts({ version: '#1 SMP Debian 5.10.1' }), false);
  assert.equal(preempts({ version: '#1 SMP PREEMPT_RT' }), true);
  const config = '# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n';
  assert.equal(preempts({ version: DYNAMIC, config }), false);
  assert.equal(preempts({ version: DYNAMIC, config: 'CONFIG_PREEMPT_LAZY=y\n' }), true);
  assert.equal(preempts({ version: DYNAMIC, commandLine: 'quiet preempt=full\n', config }), true);
  assert.equal(
    preempts({ version: DYNAMIC, commandLine: 'preempt=none', config: 'CONFIG_PREEMPT=y' }),
    false,
  );
});

test('one that says nothing is taken to be preempted', () => {
  assert.equal(preempts({ version: DYNAMIC }), true);
});
