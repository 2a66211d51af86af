// SPDX-License-Identifier: Apache-2.0
/** Much of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFaithfulHttp, type HttpMatch } from '../support/http-compare.ts';
import { fetchClient, makeCertificate, perform, plainServer } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';

const skip = cannotCapture;

async function exercise(scenario: string, amount: number, { env = {} } = {}): Promise<HttpMatch[]> {
  const { capture, truth } = await perform([plainServer('http1', env), fetchClient(scenario, amount, env)]);
  return assertFaithfulHttp(capture, truth);
}

test('200 connections at once, three requests on each: nothing mixed up, nothing lost', {
  skip,
}, async () => {
  const matches = await exercise('crowd', 200);
  const connections = new Set(matches.map(({ sighting }) => sighting.client));
  assert.ok(connections.size >= 200, `${connections.size} connections`);
  assert.equal(matches.length, 2 + 2 * 3 * 200);
});

test('a result of 32 MiB, and a request of 4 MB', { skip }, async () => {
  const matches = await exercise('large', 32 << 20);
  assert.ok(matches.some(({ message }) => Buffer.byteLength(message.text) > 32 << 20));
});

test('an event stream of 100,000 events', { skip }, async () => {
  const matches = await exercise('events', 100_000);
  assert.equal(matches.length, 100_000 + 6);
});

test('50 connections at once inside TLS, seen at both ends: each message is told once', {
  skip,
}, async () => {
  const matches = await exercise('crowd', 50, makeCertificate());
  assert.equal(matches.length, 2 + 2 * 3 * 50);
});

test('a result of 8 MB inside TLS, seen at both ends, is told once', { skip }, async () => {
  const matches = await exercise('large', 8_000_000, makeCertificate());
  assert.equal(matches.length, 6);
});

test('an event stream of 20,000 events inside TLS, seen at both ends: each is told once', {
  skip,
}, async () => {
  const matches = await exercise('events', 20_000, makeCertificate());
  assert.equal(matches.length, 20_000 + 6);
});
