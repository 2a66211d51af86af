// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import { fetchClient, makeCertificate, perform, plainServer } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';

const skip = cannotCapture;
const CODINGS = ['gzip', 'deflate', 'br', 'zstd'];

test('answers in gzip, deflate, br and zstd, as JSON and as event streams, empty and of 1 MB', {
  skip,
}, async () => {
  const { capture, truth } = await perform([plainServer(), fetchClient('codings')]);
  const matches = assertFaithfulHttp(capture, truth);
  const used = new Set(matches.map(({ sighting }) => sighting.responseHeaders['content-encoding']));
  assert.ok(CODINGS.every((coding) => used.has(coding)));
  assert.ok(matches.some(({ message }) => message.text.length > 500_000));
});

test('the same inside TLS', { skip }, async () => {
  const { env } = makeCertificate();
  const { capture, truth } = await perform([plainServer('http1', env), fetchClient('codings', 1, env)]);
  assertFaithfulHttp(capture, truth);
});
