// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withDescendants } from './descent.ts';
import type { Parentage } from './iterators.ts';

test('a process and all that descend from it, in whatever order they are listed, and nobody else', () => {
  const list: Parentage[] = [
    [9, 8],
    [1, 0],
    [8, 5],
    [5, 1],
    [6, 1],
    [7, 6],
    [10, 5],
  ];
  assert.deepEqual([...withDescendants([5], () => list)].sort(), [10, 5, 8, 9]);
  assert.deepEqual([...withDescendants([8, 6], () => list)].sort(), [6, 7, 8, 9]);
  assert.deepEqual([...withDescendants([4], () => list)], [4]);
});

test('nobody descends from nobody, and no list is asked for', () => {
  const list = () => assert.fail('nobody is looked for');
  assert.deepEqual([...withDescendants([], list)], []);
});

test('who was born before its parent was marked is found in a later list, and who was born after was marked at birth', () => {
  const lists: Parentage[][] = [
    [[5, 1]],
    // 6 was born before 5 was marked, and 7 after.
    [
      [5, 1],
      [6, 5],
      [7, 5],
    ],
    // 8 is a child of 6, which was not marked either then, and 9 one of 7, which was.
    [
      [5, 1],
      [6, 5],
      [7, 5],
      [8, 6],
      [9, 7],
    ],
    [
      [8, 6],
      [10, 8],
    ],
  ];
  const born = new Set([7, 9, 10]);
  const marked: number[] = [];
  let asked = 0;
  const found = withDescendants(
    [5],
    () => lists[asked++] ?? assert.fail('nobody was marked any more'),
    (pid) => {
      if (born.has(pid)) return false;
      marked.push(pid);
      return true;
    },
  );
  assert.deepEqual(marked, [5, 6, 8]);
  assert.deepEqual([...found].sort(), [10, 5, 6, 7, 8, 9]);
  assert.equal(asked, 4);
});
