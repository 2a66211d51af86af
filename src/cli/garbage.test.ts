// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { Garbage, ownHeap } from './garbage.ts';

const MIB = 1 << 20;
/** Milliseconds after which it is quiet for certain. */
const LONG = 5000;

/** A heap of which so much lives, and a clock. */
function heap(alive: number) {
  const state = { now: 0, used: alive, alive, collected: 0 };
  const garbage = new Garbage({
    now: () => state.now,
    used: () => state.used,
    collect: () => {
      state.collected++;
      state.used = state.alive;
    },
  });
  /** Something comes, and leaves so much behind. */
  const busy = (alive: number, dead: number) => {
    state.alive += alive;
    state.used += alive + dead;
    return garbage.look(true);
  };
  const quiet = (ms: number) => {
    state.now += ms;
    return garbage.look(false);
  };
  return { state, busy, quiet };
}

describe('garbage is collected', () => {
  test('when the heap has grown and nothing has come for a while, once', () => {
    const { state, busy, quiet } = heap(10 * MIB);
    assert.ok(!busy(40 * MIB, 60 * MIB));
    assert.ok(!quiet(100));
    assert.ok(quiet(LONG));
    assert.equal(state.used, 50 * MIB);
    for (let turn = 0; turn < 100; turn++) assert.ok(!quiet(LONG));
    assert.equal(state.collected, 1);
  });

  test('never while something comes', () => {
    const { state, busy, quiet } = heap(10 * MIB);
    for (let turn = 0; turn < 1000; turn++) {
      busy(0, MIB);
      quiet(500);
    }
    assert.equal(state.collected, 0);
  });

  test('not again before there is much of it', () => {
    const { state, busy, quiet } = heap(10 * MIB);
    busy(90 * MIB, 50 * MIB);
    assert.ok(quiet(LONG));
    for (let turn = 0; turn < 24; turn++) {
      busy(0, MIB);
      assert.ok(!quiet(LONG), `${turn}`);
    }
    busy(0, MIB);
    assert.ok(quiet(LONG));
    assert.equal(state.collected, 2);
  });

  test('of a small heap not for some megabytes', () => {
    const { busy, quiet } = heap(10 * MIB);
    busy(0, 7 * MIB);
    assert.ok(!quiet(LONG));
    busy(0, 2 * MIB);
    assert.ok(quiet(LONG));
  });
});

/** Bytes of the pages that what has lived for a while lies in. */
function pages(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_size ?? 0;
}

test('what lived among garbage is moved together, so that its pages are free', () => {
  let now = 0;
  const garbage = new Garbage({ ...ownHeap, now: () => now });
  const before = pages();
  const alive: object[] = [];
  /** Each young until many more have come. */
  let young: object[] = [];
  for (let index = 0; index < 300_000; index++) {
    if (index % 4 === 0) alive.push({ index, more: { index: index + 0.5 } });
    young.push({ index, text: `${index}`, list: [index] });
    if (young.length > 60_000) young = young.slice(30_000);
  }
  young = [];
  const full = pages() - before;
  garbage.look(true);
  now += LONG;
  assert.ok(garbage.look(false));
  const left = pages() - before;
  assert.ok(left < full / 2, `${left} of ${full} bytes`);
  assert.equal(alive.length, 75_000);
});
