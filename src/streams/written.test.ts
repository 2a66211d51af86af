// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Written } from './written.ts';

describe('who wrote a byte', () => {
  test('is known within what was told, and nowhere else', () => {
    const written = new Written();
    written.add(0, 5, 10);
    written.add(5, 5, 20);
    written.add(20, 5, 10);
    const by = [0, 4, 5, 9, 10, 19, 20, 24, 25].map((position) => written.by(position));
    assert.deepEqual(by, [10, 10, 20, 20, undefined, undefined, 10, 10, undefined]);
  });

  test('takes one range for one process that goes on, and a bounded number for many', () => {
    const written = new Written();
    for (let count = 0; count < 1e6; count++) written.add(count * 10, 10, 1);
    assert.equal(written.by(0), 1);
    for (let count = 0; count < 1000; count++) written.add(1e7 + count, 1, count % 2);
    assert.equal(written.by(0), undefined);
    assert.equal(written.by(1e7 + 999), 1);
  });

  test('is forgotten when the bytes are numbered anew', () => {
    const written = new Written();
    written.add(0, 5, 10);
    written.clear();
    assert.equal(written.by(0), undefined);
  });
});
