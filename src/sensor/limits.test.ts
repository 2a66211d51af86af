// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { test } from 'node:test';

const isRoot = process.geteuid?.() === 0;
const LIMITS = new URL('./limits.ts', import.meta.url).href;

/** What a process with this priority of its own prints. */
function processOf(script: string): unknown {
  const head = `
    import { execFileSync } from 'node:child_process';
    import { readdirSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { preferOurselves, withOwnLimits } from ${JSON.stringify(LIMITS)};
    preferOurselves();
    const nice = () => readdirSync('/proc/self/task').map((thread) => getPriority(Number(thread)));`;
  const args = ['--no-warnings', '--input-type=module', '-e', head + script];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

test('all threads of the process come before ordinary ones', { skip: !isRoot && 'needs root' }, () => {
  const nice = processOf('console.log(JSON.stringify(nice()));') as number[];
  assert.ok(nice.length > 1, 'there are threads that collect garbage');
  assert.ok(
    nice.every((each) => each < 0),
    nice.join(),
  );
});

test('what it starts has the priority that it had itself', { skip: !isRoot && 'needs root' }, () => {
  const [child, after] = processOf(`
    const child = withOwnLimits(() => execFileSync('nice', { encoding: 'utf8' }));
    console.log(JSON.stringify([Number(child), nice()]));`) as [number, number[]];
  assert.equal(child, getPriority());
  assert.ok(
    after.every((each) => each < 0),
    after.join(),
  );
});
