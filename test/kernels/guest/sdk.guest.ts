// SPDX-License-Identifier: Apache-2.0
/** The official SDK's client and server, with more time to start than mcpspy waits for a reader. */
import { join } from 'node:path';
import { test } from 'node:test';
import { notInVm } from '../../support/in-vm.ts';
import { captureRun, NODE, scratch } from '../../support/mcpspy.ts';
import { assertFaithful, assertPaired, SDK_CLIENT, Truth } from '../../support/truth.ts';

test('SDK client and server-filesystem: every message exactly once, in order, paired and attributed', {
  skip: notInVm,
}, async () => {
  const truth = new Truth();
  const env = { ...truth.env, MCPSPY_READY: join(truth.directory, 'ready') };
  const capture = await captureRun([NODE, SDK_CLIENT, 'filesystem', scratch()], { env });
  assertPaired(assertFaithful(capture, truth));
});
