// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { readProcess, withDescendants } from './proc.ts';

test('a process and all that descend from it, whichever of its threads has started them, and nobody else', async () => {
  const script = `
const { spawn } = require('node:child_process');
const { Worker } = require('node:worker_threads');
spawn('sh', ['-c', 'sleep 60 & wait'], { stdio: 'ignore' });
new Worker("require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' })", { eval: true });
setInterval(() => {}, 1000);
setTimeout(() => console.log('there'), 300);`;
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await once(child.stdout, 'data');
  const found = [...withDescendants([child.pid ?? 0])].map((pid) => readProcess(pid)?.comm);
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  assert.deepEqual(found.slice(1).sort(), ['sh', 'sleep', 'sleep']);
});

test('nobody descends from a process that there is not, or from nobody', () => {
  assert.deepEqual([...withDescendants([2 ** 22 + 1])], [2 ** 22 + 1]);
  assert.deepEqual([...withDescendants([])], []);
});
