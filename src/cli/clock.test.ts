// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from './clock.ts';

const SECOND = 1e9;
const HOUR = 3600 * SECOND;

function machine() {
  const now = { monotonic: 100 * SECOND, boot: 150 * SECOND, wall: 1e18 };
  const clock = new Clock({ monotonic: () => now.monotonic, boot: () => now.boot, wall: () => now.wall });
  const pass = (awake: number, asleep = 0) => {
    now.monotonic += awake;
    now.boot += awake + asleep;
    now.wall += awake + asleep;
    clock.look();
  };
  return { now, clock, pass };
}

test('the wall clock is that of the moment', () => {
  const { now, clock, pass } = machine();
  pass(5 * SECOND);
  assert.equal(clock.wall(now.monotonic), now.wall);
  assert.equal(clock.wall(now.monotonic - SECOND), now.wall - SECOND);
});

test('it is right again after the machine has slept', () => {
  const { now, clock, pass } = machine();
  pass(5 * SECOND, 8 * HOUR);
  pass(2 * SECOND);
  assert.equal(clock.wall(now.monotonic), now.wall);
});

test('a step of the wall clock does not turn the order of what is told', () => {
  const { now, clock, pass } = machine();
  const before = clock.wall(now.monotonic);
  now.wall -= HOUR;
  pass(2 * SECOND);
  assert.equal(clock.wall(now.monotonic), before + 2 * SECOND);
});

test('this machine tells its own time', () => {
  const clock = new Clock();
  clock.look();
  const wall = clock.wall(Number(process.hrtime.bigint())) / 1e6;
  assert.ok(Math.abs(wall - Date.now()) < 1000, `${wall - Date.now()} ms off`);
});
