// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program that stops at a signal, with its own output. */
function start(program: string) {
  const imports = `
    import { openOutput } from '${new URL('../outputs/file-writer.ts', import.meta.url)}';
    import { onStopSignal } from '${new URL('./signals.ts', import.meta.url)}';`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', imports + program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, ready: once(child.stderr, 'data'), ended: once(child, 'exit') };
}

test('a second signal ends it at once, also while nobody reads what it writes', async (context) => {
  const { child, ready, ended } = start(`
    onStopSignal(() => {});
    const out = openOutput('-');
    process.stderr.write('ready');
    setTimeout(() => {
      for (;;) { out.write('x'.repeat(65536)); out.flush(); }
    }, 50);`);
  context.after(() => child.kill('SIGKILL'));
  await ready;
  await sleep(500);
  child.kill('SIGTERM');
  await sleep(200);
  assert.deepEqual([child.exitCode, child.signalCode], [null, null], 'the first one waits for the reader');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [null, 'SIGTERM']);
});

test('one that is awake stops at the first signal, and ends with the status of the second', async (context) => {
  const { child, ready, ended } = start(`
    onStopSignal((signal) => process.stderr.write(signal));
    process.stderr.write('ready');
    setInterval(() => {}, 1000);`);
  context.after(() => child.kill('SIGKILL'));
  await ready;
  const told = once(child.stderr, 'data');
  child.kill('SIGINT');
  assert.equal(String(await told), 'SIGINT');
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [143, null]);
});
