// SPDX-License-Identifier: Apache-2.0
/**
 * A kernel that preempts itself leaves programs out while the same one is put off: on a busy processor that is all that
 * others do for milliseconds. The back end that is chosen by itself must not be one to which that happens.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { preemptsItself } from '../../../src/sensor/preemption.ts';
import { notInVm } from '../../support/in-vm.ts';
import { patience } from '../../support/patience.ts';
import { ask, assertExactly, assertPaired, call, converse, open } from '../../support/truth.ts';

/** System calls and pipes for more processors than there are, until its input ends. */
const BUSY = `
  for i in 1 2 3; do dd if=/dev/zero of=/dev/null bs=1 2>/dev/null & pids="$pids $!"; done
  for i in 1 2 3; do dd if=/dev/zero bs=100 2>/dev/null | dd of=/dev/null bs=100 2>/dev/null & pids="$pids $!"; done
  cat >/dev/null
  kill $pids`;

test('auto takes a back end that leaves nothing out on a busy machine', { skip: notInVm }, async () => {
  const busy = ['sh', '-c', BUSY];
  const { capture, truth } = await converse(
    [
      // In scope, so that whose programs are put off are watched as well.
      { start: 'busy', command: busy, via: 'pipes' },
      ...open('link', undefined, { via: 'socketpair' }),
      { burst: 'link', first: 1, count: 200 },
      ...ask('link', call('last', 'echo', { text: 'x'.repeat(100_000) })),
      { close: 'link' },
      { close: 'busy' },
    ],
    { timeout: patience(60_000) },
  );
  assert.equal(capture.code, 0, capture.stderr);
  assert.equal(capture.lines[0]?.['backend'], preemptsItself() ? 'tracepoint' : 'fentry');
  assertPaired(assertExactly(capture, truth.sent()));
  // Forks, execs and exits may be left out, and what perf calls while the sensor, in a map, is put off. Without perf it
  // is hundreds of thousands.
  const skipped: number = capture.summary.losses.skipped?.records ?? 0;
  assert.ok(skipped < 5000, `left out ${skipped} times`);
});
