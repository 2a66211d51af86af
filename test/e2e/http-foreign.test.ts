// SPDX-License-Identifier: Apache-2.0
/** HTTP that is not MCP, and MCP that HTTP refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExchanges, assertFaithfulHttp } from '../support/http-compare.ts';
import { fetchClient, perform, plainServer } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';
import { assertOrderly } from '../support/truth.ts';

const skip = cannotCapture;

test('an ordinary API and a download stay out, and MCP on the same keep-alive connection is caught after them', {
  skip,
}, async () => {
  const { capture, truth } = await perform([plainServer(), fetchClient('foreign')]);
  const matches = assertFaithfulHttp(capture, truth);
  assert.equal(matches.length, 4);
  const told = new Set(capture.lines.map(({ kind }) => kind));
  assert.deepEqual([...told].sort(), ['capture', 'message', 'summary'], 'nothing of what is not MCP is told');
  const connections = truth.accounts().filter(({ role }) => role === 'client');
  assert.ok(
    connections.some(({ client, path }) => path === '/mcp' && client === connections[1]?.client),
    'kept alive',
  );
});

test('401, 403, 404, 405, 500 and 503 at an MCP endpoint are shown as what they are', { skip }, async () => {
  const { capture, truth } = await perform([plainServer(), fetchClient('refusals')]);
  assert.equal(capture.code, 0, capture.stderr);
  assertExchanges(capture.messages, truth.sightings());
  assertOrderly(capture);
  const refusals = capture.lines.filter(({ kind }) => kind === 'http');
  assert.deepEqual(
    refusals.map(({ http_transport: { method, path, status } }) => [method, path.split('?')[0], status]),
    [['GET', '/mcp', 405], ...[401, 403, 404, 500, 503].map((status) => ['POST', '/mcp', status])],
  );
  for (const { body, http_transport: http } of refusals.slice(1)) assert.equal(body, `no: ${http.status}`);
  const asked = capture.messages.filter(({ type }) => type === 'request');
  assert.deepEqual(
    refusals.slice(1).map(({ left }) => left),
    asked.slice(1, 6).map(({ id, method, target }) => [{ id, method, target, status: 'error' }]),
    'the requests that this leaves without an answer',
  );
  assert.equal(capture.summary['pending'], 0);
});
