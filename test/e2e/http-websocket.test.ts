// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import { perform, websocketPair } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';

test('a WebSocket that carries JSON-RPC, compressed and in fragments', { skip: cannotCapture }, async () => {
  const { capture, truth } = await perform(websocketPair());
  const matches = assertFaithfulHttp(capture, truth);
  assert.equal(matches.length, 18);
  assert.ok(matches.every(({ line }) => line['http_transport'].form === 'websocket'));
});
