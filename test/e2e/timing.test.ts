// SPDX-License-Identifier: Apache-2.0
/** Durations, and the order of what is shown. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, captureRun, scratch } from '../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertFaithful,
  assertPaired,
  call,
  converse,
  open,
  PINGPONG,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;

test('a call that takes 12 s is paired, and its duration is right within 5 %', { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('link'),
    { send: 'link', text: call('slow', 'sleep', { seconds: 12, thread: true }) },
    ...ask('link', call('quick', 'echo')),
    { answer: 'link', id: 'slow' },
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const slow = matches.find(({ line }) => line.type === 'response' && line.id === 'slow');
  assert.ok(Math.abs((slow?.line.duration_ms ?? 0) - 12_000) < 600, `${slow?.line.duration_ms} ms`);
  assert.ok(capture.summary.tools.find(({ name }: { name: string }) => name === 'sleep').max_ms > 11_400);
});

test('20,000 messages between two Python processes as fast as they can: time order, no response before its request', {
  skip,
}, async () => {
  const { capture, truth } = await converse([
    ...open('link'),
    { burst: 'link', first: 1, count: 10_000 },
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(matches.length, 20_003);
});

test('20,000 messages between two C processes as fast as they can: time order, no response before its request', {
  skip,
}, async () => {
  const program = join(scratch(), 'pingpong');
  const built = spawnSync('gcc', ['-O2', '-Wall', '-o', program, PINGPONG], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  const truth = new Truth();
  const capture = await captureRun([program, 'client', '10000'], { env: truth.env });
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(matches.length, 20_000);
  // What happens in turns is shown in turns.
  for (const [index, line] of capture.messages.entries())
    assert.equal(line.type, index % 2 ? 'response' : 'request');
  assertExactly(capture, truth.sent());
});
