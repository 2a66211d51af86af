// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callNumber, isElsewhere, threadsOf } from './waiting.ts';

test('the first field is the number of the call; a thread that runs is in none', () => {
  assert.equal(callNumber('0 0x3 0x7ffc 0x10 0x0 0x0 0x0 0x7ffc 0x7f01\n'), 0);
  assert.equal(callNumber('running\n'), undefined);
  assert.equal(callNumber('-1 0x7ffc 0x7f01\n'), undefined);
});

test('a process that reads from an empty pipe may have begun to before, one that sleeps has not', async (t) => {
  const reader = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await Promise.all([once(reader, 'spawn'), once(sleeper, 'spawn')]);
    const pids = [reader.pid ?? 0, sleeper.pid ?? 0];
    try {
      readFileSync(`/proc/${pids[0]}/syscall`);
    } catch {
      t.skip('/proc/PID/syscall cannot be read');
      return;
    }
    assert.deepEqual(threadsOf([...pids, 2 ** 22 + 1]), pids);
    let elsewhere: boolean[] = [];
    for (let tries = 0; tries < 200 && !elsewhere[1]; tries++) {
      await sleep(10);
      elsewhere = pids.map(isElsewhere);
    }
    assert.deepEqual(elsewhere, [false, true]);
    assert.equal(isElsewhere(2 ** 22 + 1), true);
  } finally {
    reader.kill();
    sleeper.kill();
  }
});
