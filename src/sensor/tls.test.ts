// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { News } from './news.ts';
import { TlsWatch } from './tls.ts';

/** More than pid_max may be (proc_sys_kernel(5)): nobody has such a pid. */
const NOBODY = 1 << 22;
const VFORK_MS = 100;

/** Of the whole machine, where everybody is in scope, also who is gone; nothing is attached here. */
function wholeMachine(): TlsWatch {
  return new TlsWatch({
    kind: 'uprobe',
    programs: { entry: 0n, return: 0n },
    wholeMachine: true,
    inScope: () => true,
    found: () => {},
  });
}

const news = (type: News['type'], pid: number): News => ({ type, pid, parent: 0 });

test('of the whole machine, nothing is kept of children that end before they have been looked at', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const watch = wholeMachine();
  for (let pid = NOBODY; pid < NOBODY + 100; pid++) {
    watch.news([news('vfork', pid)]);
    watch.news([news('exit', pid)]);
  }
  context.mock.timers.tick(VFORK_MS);
  assert.equal(watch.size, 0);
});

test('who ended while news was missed is forgotten', async () => {
  const watch = wholeMachine();
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  watch.news([news('exec', pid)]);
  watch.catchUp([pid], new Map([[pid, []]]));
  assert.equal(watch.size, 1);
  child.kill();
  await once(child, 'exit');
  watch.catchUp([], new Map());
  assert.equal(watch.size, 0);
});
