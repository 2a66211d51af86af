// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedProbes } from './shared-probes.ts';
import type { Attachment } from './uprobes.ts';

const KEPT = 2;

function probes() {
  const inPlace = new Set<Attachment>();
  const shared = new SharedProbes((attachments) => {
    for (const each of attachments) inPlace.delete(each);
  }, KEPT);
  const map = (pid: number, identity: string) => {
    shared.use(pid, identity);
    if (shared.has(identity)) return;
    const attachment = { close: () => {} };
    inPlace.add(attachment);
    shared.set(identity, [attachment]);
  };
  return { shared, map, inPlace };
}

test('however many libraries come and go, no more stay probed than are mapped, and some', () => {
  const { shared, map, inPlace } = probes();
  map(1, 'stays');
  for (let pid = 2; pid < 100; pid++) {
    map(pid, `library of ${pid}`);
    shared.gone(pid);
  }
  assert.equal(inPlace.size, 1 + KEPT);
  assert.ok(shared.has('stays'));
  assert.ok(shared.has('library of 99') && !shared.has('library of 2'));
});

test('a library stays probed as long as one process has it mapped, and what is used again is not let go', () => {
  const { shared, map } = probes();
  map(1, 'a');
  map(2, 'a');
  shared.gone(1);
  for (let pid = 10; pid < 20; pid++) {
    map(pid, `library of ${pid}`);
    shared.gone(pid);
  }
  assert.ok(shared.has('a'));
  shared.gone(2);
  map(3, 'a');
  for (let pid = 20; pid < 30; pid++) {
    map(pid, `library of ${pid}`);
    shared.gone(pid);
  }
  assert.ok(shared.has('a'));
});

test('at the end all are taken out', () => {
  const { shared, map, inPlace } = probes();
  map(1, 'a');
  map(2, 'b');
  shared.gone(2);
  shared.close();
  assert.equal(inPlace.size, 0);
});
