// SPDX-License-Identifier: Apache-2.0
/** Processes and connections come and go: nothing of them stays. (`npm run soak` does it for half an hour.) */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { memory, processesOf, takeSummary } from '../../bench/measure.ts';
import { cannotCapture, NODE, ROOT, SPY, scratch } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';

const SECONDS = patience(16);
const PROCESSES = 400;
const CONNECTIONS = 2000;
/** What caches may still take up after the first quarter, MiB. */
const MEMORY_MAX = 48;

test('descriptors and memory stay what they were while 400 processes and 2,000 connections come and go', {
  skip: cannotCapture,
}, async () => {
  const output = join(scratch(), 'out');
  const peer = join(ROOT, 'bench', 'peers', 'churn.ts');
  const [spy, ...backEnd] = SPY;
  const child = spawn(
    spy,
    [
      ...backEnd,
      'run',
      '-q',
      '-o',
      output,
      '--',
      NODE,
      peer,
      ...[SECONDS, PROCESSES, CONNECTIONS].map(String),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  const closed = once(child, 'close');
  await sleep((SECONDS * 1000) / 4);
  const both = processesOf(child.pid ?? 0);
  const held = () => ({
    descriptors: both.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0),
    mebibytes: both.reduce((sum, pid) => sum + memory(pid, 'Rss'), 0) / 1024,
  });
  const before = held();
  await sleep((SECONDS * 1000) / 2);
  const after = held();
  assert.deepEqual((await closed)[0], 0);
  const { lost, messages } = takeSummary(output);
  assert.deepEqual([messages, lost], [JSON.parse(said).messages, 0]);
  // Those of the processes of the moment may be open.
  const grown = after.descriptors - before.descriptors;
  assert.ok(grown < 40, `${before.descriptors} descriptors became ${after.descriptors}`);
  const more = after.mebibytes - before.mebibytes;
  assert.ok(more < MEMORY_MAX, `${before.mebibytes} MiB became ${after.mebibytes}`);
});
