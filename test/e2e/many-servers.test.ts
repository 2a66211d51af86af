// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture } from '../support/mcpspy.ts';
import { assertFaithful, assertPaired, converse, open, SERVER } from '../support/truth.ts';

test('50 servers at once, the same ids on every connection: nothing mixed up, nothing lost', {
  skip: cannotCapture,
}, async () => {
  const links = Array.from({ length: 50 }, (_, number) => `link ${number}`);
  const { capture, truth } = await converse([
    // One after the other: 50 interpreters that start at once on a busy machine read their first message too late
    // for its reader to be shown.
    ...links.flatMap((link, number) =>
      open(link, [...SERVER, '--name', `server ${number}`], { via: number % 2 ? 'pipes' : 'socketpair' }),
    ),
    { parallel: links.map((burst) => [{ burst, first: 1, count: 40 }]) },
    { parallel: links.map((close) => [{ close }]) },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(matches.length, 50 * (3 + 2 * 40));
  const pids = new Map(
    matches.filter(({ direction }) => direction === 'to client').map(({ link, from }) => [from.pid, link]),
  );
  assert.equal(pids.size, 50);
  const { servers } = capture.summary;
  assert.equal(servers.length, 50);
  for (const { server, messages } of servers) {
    assert.equal(server.name.replace('server', 'link'), pids.get(server.endpoint.pid));
    assert.equal(messages, 83);
  }
});
