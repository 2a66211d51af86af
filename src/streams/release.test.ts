// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HOLD_NS, ReleaseQueue } from './release.ts';

/** More than records of two processors can be apart. */
const LATER = 1e6;

function queue() {
  const own = new ReleaseQueue();
  const gone: number[] = [];
  const push = (time: number, ready: () => boolean = () => true, size = 1) =>
    own.push({ time, size, ready, go: () => gone.push(time) });
  return { own, gone, push };
}

describe('the release queue', () => {
  test('lets frames go in time order, in whatever order they came', () => {
    const { own, gone, push } = queue();
    for (const time of [30, 10, 20]) push(time);
    own.pump(30 + LATER);
    assert.deepEqual(gone, [10, 20, 30]);
    assert.equal(own.length, 0);
  });

  test('keeps frames of the same time in the order in which they came', () => {
    const own = new ReleaseQueue();
    const gone: string[] = [];
    for (const name of ['a', 'b', 'c'])
      own.push({ time: 5, size: 1, ready: () => true, go: () => gone.push(name) });
    own.pump(LATER);
    assert.deepEqual(gone, ['a', 'b', 'c']);
  });

  test('waits a moment for what another processor stamped earlier and delivered later', () => {
    const { own, gone, push } = queue();
    push(1_000_000);
    own.pump(1_000_000);
    assert.deepEqual(gone, []);
    push(900_000);
    own.pump(1_000_000 + LATER);
    assert.deepEqual(gone, [900_000, 1_000_000]);
  });

  test('holds a frame that is not ready, and all later ones behind it', () => {
    const { own, gone, push } = queue();
    let ready = false;
    push(10, () => ready);
    push(20);
    own.pump(20 + LATER);
    assert.deepEqual(gone, []);
    assert.equal(own.length, 2);
    ready = true;
    own.pump(20 + LATER);
    assert.deepEqual(gone, [10, 20]);
  });

  test('lets earlier ones go before the one that is held', () => {
    const { own, gone, push } = queue();
    push(20, () => false);
    push(10);
    own.pump(20 + LATER);
    assert.deepEqual(gone, [10]);
  });

  test('holds none longer than its time', () => {
    const { own, gone, push } = queue();
    push(10, () => false);
    push(20);
    own.pump(10 + HOLD_NS);
    assert.deepEqual(gone, []);
    own.pump(11 + HOLD_NS);
    assert.deepEqual(gone, [10, 20]);
  });

  test('rather lets frames go than hold many bytes', () => {
    const { own, gone, push } = queue();
    push(10, () => false, 20 << 20);
    own.pump(20 + LATER);
    assert.deepEqual(gone, []);
    push(20, () => false, 20 << 20);
    own.pump(20 + LATER);
    assert.deepEqual(gone, [10]);
  });

  test('at the end lets all go', () => {
    const { own, gone, push } = queue();
    push(10, () => false);
    push(20, () => false);
    own.pump(Number.POSITIVE_INFINITY);
    assert.deepEqual(gone, [10, 20]);
  });

  test('neither loses nor repeats a frame, nor lets a later one pass an earlier', () => {
    const step = fc.record({ ahead: fc.nat(100), patience: fc.nat(3), pump: fc.boolean() });
    const property = fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { own, gone, push } = queue();
      const times: number[] = [];
      for (const [index, { ahead, patience, pump }] of steps.entries()) {
        // Within the disorder that the kernel can make.
        const time = index * 150 + ahead;
        let asked = 0;
        times.push(time);
        push(time, () => asked++ >= patience);
        if (pump) own.pump(index * 150 + 150e3);
      }
      own.pump(Number.POSITIVE_INFINITY);
      assert.deepEqual(
        gone,
        times.toSorted((a, b) => a - b),
      );
    });
    fc.assert(property, { numRuns: 50 });
  });
});
