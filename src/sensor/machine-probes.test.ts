// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEPT_MS, MachineProbes } from './machine-probes.ts';
import type { Attachment } from './uprobes.ts';

const attachment = (): Attachment => ({ close: () => {} });

function probes() {
  const closed: Attachment[] = [];
  return { own: new MachineProbes((attachments) => closed.push(...attachments)), closed };
}

test('probes are taken out a minute after the last process has ended that had their file mapped', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { own, closed } = probes();
  const one = attachment();
  own.set('a', [one]);
  for (const pid of [1, 2]) own.used('a', pid);
  own.left(1);
  context.mock.timers.tick(2 * KEPT_MS);
  assert.deepEqual(closed, []);
  own.left(2);
  context.mock.timers.tick(KEPT_MS - 1);
  assert.equal(own.has('a'), true);
  context.mock.timers.tick(1);
  assert.deepEqual([closed, own.has('a')], [[one], false]);
});

test('they stay when somebody else maps it meanwhile', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { own, closed } = probes();
  own.set('a', [attachment()]);
  own.used('a', 1);
  own.left(1);
  context.mock.timers.tick(KEPT_MS / 2);
  own.used('a', 2);
  context.mock.timers.tick(2 * KEPT_MS);
  assert.deepEqual(closed, []);
});

test('at the end all are taken out', () => {
  const { own, closed } = probes();
  const all = [attachment(), attachment()];
  for (const [index, each] of all.entries()) own.set(`${index}`, [each]);
  own.used('0', 1);
  own.left(1);
  own.close();
  assert.deepEqual(closed, all);
});
