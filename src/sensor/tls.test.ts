// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TlsWatch, VFORK_MS } from './tls.ts';

/** Beyond any pid that there is. */
const GONE = 5_000_000;

test('what was there for a moment only leaves nothing behind', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const watch = new TlsWatch({
    kind: 'uprobe.multi',
    programs: {} as never,
    wholeMachine: true,
    // Of the whole machine all are, those that have ended, too.
    inScope: () => true,
    found: () => {},
  });
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = heap();
  const count = 10_000;
  for (let pid = GONE; pid < GONE + count; pid++) {
    watch.news([{ type: 'vfork', pid, parent: 1 }]);
    watch.news([{ type: 'exit', pid, parent: 0 }]);
  }
  await sleep(10 * VFORK_MS);
  const each = (heap() - before) / count;
  watch.close();
  assert.ok(each < 100, `${each} bytes each`);
});
