// SPDX-License-Identifier: Apache-2.0
/** The official SDK's client against the official servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture, captureRun, NODE, type OutputLine, scratch } from '../support/mcpspy.ts';
import { assertFaithful, assertPaired, type Match, SDK_CLIENT, Truth } from '../support/truth.ts';

const skip = cannotCapture;

async function exercise(server: string): Promise<{ matches: Match[]; summary: OutputLine }> {
  const truth = new Truth();
  const capture = await captureRun([NODE, SDK_CLIENT, server, scratch()], { env: truth.env });
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  return { matches, summary: capture.summary };
}

function assertServer(summary: OutputLine, matches: readonly Match[], name: RegExp): void {
  const [shown, ...others] = summary.servers;
  assert.deepEqual(others, []);
  const answer = matches.find(({ line }) => line.type === 'response' && line.method === 'initialize');
  const { serverInfo, protocolVersion } = JSON.parse(answer?.text ?? '{}').result;
  assert.match(shown.server.name, name);
  assert.equal(shown.server.name, serverInfo.name);
  assert.equal(shown.server.version, serverInfo.version);
  assert.equal(shown.server.endpoint.pid, answer?.from.pid);
  assert.deepEqual([shown.client.name, shown.client.version], ['sdk-client', '4.5.6']);
  assert.equal(shown.client.endpoint.pid, answer?.to.pid);
  assert.equal(shown.protocol_version, protocolVersion);
  assert.equal(shown.messages, matches.length);
}

const lineOf = (matches: readonly Match[], type: string, method: string, target?: string) =>
  matches
    .map(({ line }) => line)
    .filter((line) => line.type === type && line.method === method && (!target || line.target === target));

test('SDK client and server-everything: every message exactly once, in order, paired and attributed, a 1 MiB echo included', {
  skip,
}, async () => {
  const { matches, summary } = await exercise('everything');
  assertServer(summary, matches, /everything/);

  const echoes = lineOf(matches, 'response', 'tools/call', 'echo');
  assert.equal(echoes.length, 52);
  assert.ok(echoes.some(({ raw }) => raw.length > 1 << 20));
  assert.ok(lineOf(matches, 'notification', 'notifications/progress').length >= 4);
  const [slow] = lineOf(matches, 'response', 'tools/call', 'trigger-long-running-operation');
  assert.ok(slow?.duration_ms > 390);
  assert.deepEqual(
    lineOf(matches, 'response', 'tools/call', 'get-sum').map(({ status }) => status),
    ['ok', 'tool_error'],
  );
  const failed = lineOf(matches, 'response', 'resources/read').find(({ status }) => status === 'error');
  assert.equal(failed?.target, 'demo://no/such/resource');
  assert.equal(typeof failed?.error.code, 'number');
  assert.equal(lineOf(matches, 'response', 'prompts/get', 'no-such-prompt')[0]?.status, 'error');

  const calls = summary.methods.find(({ name }: { name: string }) => name === 'tools/call');
  assert.deepEqual([calls.calls, calls.errors], [55, 1]);
  const tool = summary.tools.find(({ name }: { name: string }) => name === 'get-sum');
  assert.deepEqual([tool.calls, tool.errors], [2, 1]);
  for (const type of ['request', 'response', 'notification'])
    assert.equal(summary.frames[type], matches.filter(({ line }) => line.type === type).length);
  assert.equal(
    summary.bytes,
    matches.reduce((bytes, { text }) => bytes + Buffer.byteLength(text), 0),
  );
  assert.deepEqual([summary.pending, summary.orphans], [0, 0]);
});

test('SDK client and server-filesystem: every message exactly once, in order, paired and attributed', {
  skip,
}, async () => {
  const { matches, summary } = await exercise('filesystem');
  assertServer(summary, matches, /filesystem/);
  assert.deepEqual(
    lineOf(matches, 'response', 'tools/call', 'read_text_file').map(({ status }) => status),
    ['ok', 'ok', 'tool_error'],
  );
});

test('SDK client and server-memory: every message exactly once, in order, paired and attributed', {
  skip,
}, async () => {
  const { matches, summary } = await exercise('memory');
  assertServer(summary, matches, /memory/);
  assert.equal(lineOf(matches, 'response', 'tools/call').length, 5);
});
