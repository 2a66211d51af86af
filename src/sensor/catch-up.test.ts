// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { catchUp } from './catch-up.ts';
import type { Parentage } from './iterators.ts';

/** What the kernel programs would have, where `parentages` is who is there. */
function scope(parentages: readonly Parentage[], ...pids: number[]) {
  const all = new Set(pids);
  return {
    all,
    parentages: () => parentages,
    watched: () => [...all],
    watch: (pid: number) => !all.has(pid) && all.add(pid).has(pid),
    forget: (pid: number) => void all.delete(pid),
  };
}

test('a process whose fork went unseen is watched from then on, and one whose end did is not', async () => {
  const gone = spawnSync('true').pid;
  const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = await once(shell.stdout, 'data');
  const child = Number(line);
  try {
    const there: Parentage[] = [
      [process.pid, process.ppid],
      [shell.pid ?? 0, process.pid],
      [child, shell.pid ?? 0],
    ];
    const known = scope(there, shell.pid ?? 0, gone);
    assert.deepEqual(catchUp(known, []), { born: [child], ended: [gone] });
    assert.deepEqual([...known.all], [shell.pid, child]);
    assert.deepEqual(catchUp(known, []), { born: [], ended: [] });
    // The command itself: its fork is the first that can go unseen.
    const nobody = scope(there);
    assert.deepEqual(new Set(catchUp(nobody, [shell.pid ?? 0]).born), new Set([shell.pid, child]));
    assert.deepEqual(catchUp(nobody, [gone]), { born: [], ended: [] });
  } finally {
    process.kill(child, 'SIGKILL');
    await once(shell, 'exit');
  }
});
