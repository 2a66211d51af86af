// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import koffi from 'koffi';
import { allDone, offLoop } from './off-loop.ts';

const pause = koffi.load('libc.so.6').func('int usleep(unsigned int usec)');

test('a thousand calls at once are all made', async () => {
  // As many processes may end in the same moment.
  const all = Array.from(
    { length: 1000 },
    () =>
      new Promise<number>((resolve) => {
        offLoop((done) =>
          pause.async(1000, (_: unknown, result: number) => {
            resolve(result);
            done();
          }),
        );
      }),
  );
  assert.deepEqual(new Set(await Promise.all(all)), new Set([0]));
});

test('it is told when all of them have been made', async () => {
  let made = 0;
  await allDone();
  for (let call = 0; call < 200; call++)
    offLoop((done) =>
      pause.async(1000, () => {
        made++;
        done();
      }),
    );
  await allDone();
  assert.equal(made, 200);
});
