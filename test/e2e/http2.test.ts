// SPDX-License-Identifier: Apache-2.0
/** HTTP/2 without TLS. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import { http2Client, perform, plainServer, type Stage } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';
import { call, INITIALIZE } from '../support/truth.ts';

const skip = cannotCapture;

test('curl with prior knowledge: a connection a request', { skip }, async () => {
  const bodies = [INITIALIZE, call(1, 'echo', { text: 'grüße 🌍' }), call(2, 'large', { bytes: 500_000 })];
  const curl = (body: string): Stage => ({
    command: {
      program: 'curl',
      url: 'http://127.0.0.1:{server}/mcp',
      options: ['http2-prior-knowledge'],
      bodies: [body],
    },
  });
  const { capture, truth } = await perform([plainServer('http2'), ...bodies.map(curl)]);
  const matches = assertFaithfulHttp(capture, truth);
  assert.equal(matches.length, 6);
  assert.ok(matches.every(({ line }) => line['http_transport'].http_version === '2'));
});

test('node:http2: 40 streams at once on one connection, an answer of 3 MB, an event stream', {
  skip,
}, async () => {
  const { capture, truth } = await perform([
    plainServer('http2'),
    http2Client('http://127.0.0.1:{server}/mcp'),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  assert.equal(new Set(matches.map(({ sighting }) => sighting.client)).size, 1, 'one connection');
  assert.ok(matches.every(({ line }) => line['http_transport'].http_version === '2'));
});
