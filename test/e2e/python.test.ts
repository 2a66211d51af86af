// SPDX-License-Identifier: Apache-2.0
/** Clients and servers on Python's standard library, over everything it can spawn a server with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture, captureRun } from '../support/mcpspy.ts';
import {
  ASYNCIO_CLIENT,
  ask,
  assertFaithful,
  assertPaired,
  call,
  converse,
  open,
  PYTHON,
  request,
  SERVER,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;

/** Eight threads of the client write at once, and the server answers from as many threads. */
const threads = (link: string) =>
  Array.from({ length: 8 }, (_, thread) =>
    Array.from({ length: 25 }, (_, number) =>
      ask(link, call(1 + thread * 25 + number, 'echo', { thread: true, padding: 'ä'.repeat(number * 40) })),
    ).flat(),
  );

for (const via of ['pipes', 'socketpair'])
  test(`Python client and server over ${via}, threads writing on both sides: everything exact, in order and paired`, {
    skip,
  }, async () => {
    const steps = [
      ...open('link', SERVER, { via }),
      { parallel: threads('link') },
      ...ask('link', request('last', 'ping')),
      { close: 'link' },
    ];
    const { capture, truth } = await converse(steps);
    const matches = assertFaithful(capture, truth);
    assertPaired(matches);
    assert.equal(matches.length, 3 + 2 * 200 + 2);
    assert.equal(capture.summary.servers[0].server.name, 'python-server');
    assert.equal(capture.summary.servers[0].client.name, 'python-client');
  });

test('Python asyncio client with 200 calls in flight: everything exact, in order and paired', {
  skip,
}, async () => {
  const truth = new Truth();
  const capture = await captureRun([PYTHON, ASYNCIO_CLIENT, ...SERVER], { env: truth.env });
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(matches.length, 2 * 201);
});
