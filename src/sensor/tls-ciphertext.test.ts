// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { CiphertextProbes } from './tls-ciphertext.ts';
import type { Attachment } from './uprobes.ts';

const LINGER = 1000;

const timers = { apis: ['setTimeout', 'setImmediate'] } as const;

/** Probes in two files, and how many are in place. */
function probes(lingerMs: number | undefined, hasOlder = () => false) {
  const inPlace = new Set<Attachment>();
  const all = new CiphertextProbes(
    (attachments) => {
      for (const each of attachments) inPlace.delete(each);
    },
    lingerMs,
    hasOlder,
  );
  const attach = () => {
    const attachment = { close: () => {} };
    inPlace.add(attachment);
    return attachment;
  };
  all.add('a', attach);
  all.add('b', attach);
  return { all, inPlace };
}

test('they are there before the first connection, and go some time after the last whose socket was not known', (context) => {
  context.mock.timers.enable(timers);
  const { all, inPlace } = probes(LINGER);
  context.mock.timers.tick(100 * LINGER);
  assert.equal(inPlace.size, 2);
  all.used(false);
  context.mock.timers.tick(LINGER - 1);
  all.used(false);
  context.mock.timers.tick(LINGER - 1);
  assert.equal(inPlace.size, 2);
  context.mock.timers.tick(1);
  assert.equal(inPlace.size, 0);
});

test('connections whose socket is known do not keep them, nor bring them back', (context) => {
  context.mock.timers.enable(timers);
  const { all, inPlace } = probes(LINGER);
  all.used(true);
  context.mock.timers.tick(LINGER / 2);
  all.used(true);
  context.mock.timers.tick(LINGER / 2);
  assert.equal(inPlace.size, 0);
  all.used(true);
  assert.equal(inPlace.size, 0);
  all.used(false);
  assert.equal(inPlace.size, 2);
});

test('they stay while a connection is open that was there before them: it may be used at any time', (context) => {
  context.mock.timers.enable(timers);
  let older = true;
  const { all, inPlace } = probes(LINGER, () => older);
  all.used(false);
  context.mock.timers.tick(100 * LINGER);
  assert.equal(inPlace.size, 2);
  older = false;
  context.mock.timers.tick(LINGER);
  assert.equal(inPlace.size, 0);
});

test('they stay when their time was over and news had come meanwhile', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { all, inPlace } = probes(LINGER);
  all.used(false);
  context.mock.timers.tick(LINGER);
  all.used(false);
  return new Promise<void>((resolve) => {
    setImmediate(() => {
      assert.equal(inPlace.size, 2);
      resolve();
    });
  });
});

test('each time they were gone too early, they stay twice as long, up to a minute', (context) => {
  context.mock.timers.enable(timers);
  const { all, inPlace } = probes(LINGER);
  const stay = (milliseconds: number) => {
    all.used(false);
    context.mock.timers.tick(milliseconds - 1);
    assert.equal(inPlace.size, 2);
    context.mock.timers.tick(1);
    assert.equal(inPlace.size, 0);
  };
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) stay(seconds * 1000);
});

test('where taking them out is dear, they stay', (context) => {
  context.mock.timers.enable(timers);
  const { all, inPlace } = probes(undefined);
  all.used(true);
  all.used(false);
  context.mock.timers.tick(100 * LINGER);
  assert.equal(inPlace.size, 2);
});

test('they end with the process', () => {
  const { all, inPlace } = probes(LINGER);
  all.used(false);
  all.end();
  assert.equal(inPlace.size, 0);
  all.used(false);
  assert.equal(inPlace.size, 0);
  all.end();
});

test('a file that can no longer be probed is left out', () => {
  const close = mock.fn();
  const all = new CiphertextProbes(close, LINGER, () => false);
  all.add('gone', () => undefined);
  all.end();
  assert.deepEqual(close.mock.calls[0]?.arguments, [[]]);
});
