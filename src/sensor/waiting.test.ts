// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callNumber, waitingThreads } from './waiting.ts';

test('the first field is the number of the call; a thread that runs is in none', () => {
  assert.equal(callNumber('0 0x3 0x7ffc 0x10 0x0 0x0 0x0 0x7ffc 0x7f01\n'), 0);
  assert.equal(callNumber('running\n'), undefined);
  assert.equal(callNumber('-1 0x7ffc 0x7f01\n'), undefined);
});

test('a process that reads from an empty pipe waits, one that sleeps does not', async (t) => {
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
    let found: number[] = [];
    for (let tries = 0; tries < 200 && !found.length; tries++) {
      await sleep(10);
      found = waitingThreads(pids);
    }
    assert.deepEqual(found, [reader.pid]);
    assert.deepEqual(waitingThreads([2 ** 22 + 1]), []);
  } finally {
    reader.kill();
    sleeper.kill();
  }
});
