// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VerdictTable } from './verdicts.ts';

const SLOTS = 8;

function table() {
  const words = new Uint32Array(2 * SLOTS);
  return { words, verdicts: new VerdictTable(words) };
}

describe('the table of verdicts', () => {
  test('holds the id of a stopped stream in its slot', () => {
    const { words, verdicts } = table();
    verdicts.stop(3, 'always');
    assert.deepEqual([...words], [0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('says for how long', () => {
    const { words, verdicts } = table();
    verdicts.stop(3, 'http1-head');
    assert.deepEqual([...words.subarray(6, 8)], [3, 1]);
    verdicts.stop(3, 'always');
    assert.deepEqual([...words.subarray(6, 8)], [3, 0]);
  });

  test('wraps ids around its slots', () => {
    const { words, verdicts } = table();
    verdicts.stop(SLOTS + 1, 'always');
    assert.equal(words[2], SLOTS + 1);
  });

  test('keeps the low half of a large id', () => {
    const { words, verdicts } = table();
    verdicts.stop(2 ** 32 + 5, 'always');
    assert.equal(words[2 * 5], 5);
    verdicts.resume(2 ** 32 + 5);
    assert.equal(words[2 * 5], 0);
  });

  test('is clear again once a stream is resumed', () => {
    const { words, verdicts } = table();
    verdicts.stop(2, 'always');
    verdicts.resume(2);
    assert.deepEqual([...words], new Array(2 * SLOTS).fill(0));
  });

  test('gives a slot to the stream that asked last', () => {
    const { words, verdicts } = table();
    verdicts.stop(1, 'always');
    verdicts.stop(SLOTS + 1, 'always');
    assert.equal(words[2], SLOTS + 1);
  });

  test('does not resume the stream that has taken the slot', () => {
    const { words, verdicts } = table();
    verdicts.stop(1, 'always');
    verdicts.stop(SLOTS + 1, 'always');
    verdicts.resume(1);
    assert.equal(words[2], SLOTS + 1);
  });
});
