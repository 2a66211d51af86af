// SPDX-License-Identifier: Apache-2.0
/** What becomes of requests, and what a message may look like. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, scratch } from '../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertFaithful,
  assertOrderly,
  assertPaired,
  call,
  converse,
  INITIALIZE,
  type Match,
  notification,
  open,
  request,
  SERVER,
} from '../support/truth.ts';

const skip = cannotCapture;
const cancel = (requestId: unknown) =>
  notification('notifications/cancelled', { requestId, reason: 'enough' });
const find = (matches: readonly Match[], text: string | RegExp) =>
  matches.find((match) => (typeof text === 'string' ? match.text === text : text.test(match.text)))?.line ??
  assert.fail(`no ${text}`);

test('a request that its sender takes back is cancelled; an answer that comes all the same is late', {
  skip,
}, async () => {
  const late = call('late', 'sleep', { seconds: 0.3, thread: true });
  const { capture, truth } = await converse([
    ...open('link'),
    { send: 'link', text: late },
    { send: 'link', text: cancel('late') },
    { answer: 'link', id: 'late' },
    // Cancelled when it was over, or never begun: nothing changes.
    ...ask('link', call(2, 'echo')),
    { send: 'link', text: cancel(2) },
    { send: 'link', text: cancel('never') },
    ...ask('link', request(3, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  const answer = matches.find(({ line }) => line.type === 'response' && line.id === 'late')?.line;
  assert.deepEqual([answer?.status, answer?.method, answer?.target], ['late', 'tools/call', 'sleep']);
  assert.ok(answer?.duration_ms > 290);
  const cancels = matches
    .filter(({ line }) => line.method === 'notifications/cancelled')
    .map(({ line }) => [line.target, line.status]);
  assert.deepEqual(cancels, [
    ['late', 'cancelled'],
    ['2', undefined],
    ['never', undefined],
  ]);
  assertPaired(matches.filter(({ line }) => line.status !== 'late'));
  assert.deepEqual([capture.summary.cancelled, capture.summary.pending, capture.summary.orphans], [1, 0, 0]);
});

test('a request cancelled and never answered counts as cancelled, not as pending; twice cancelled is once', {
  skip,
}, async () => {
  const { capture, truth } = await converse([
    ...open('link'),
    // Without an id the server says nothing to it; with one that never comes back, neither.
    { send: 'link', text: call('gone', 'sleep', { seconds: 10, thread: true }) },
    { send: 'link', text: cancel('gone') },
    { send: 'link', text: cancel('gone') },
    { send: 'link', text: call('open', 'sleep', { seconds: 10, thread: true }) },
    ...ask('link', request(3, 'ping')),
    { kill: 'link' },
  ]);
  assertOrderly(capture);
  assertExactly(capture, truth.sent());
  assert.deepEqual([capture.summary.cancelled, capture.summary.pending], [1, 1]);
});

test('an answer to nothing is an orphan, and takes no request with it', { skip }, async () => {
  const stray = '{"jsonrpc":"2.0","id":"nobody asked","result":{}}';
  const { capture, truth } = await converse([
    ...open('link'),
    ...ask('link', call(1, 'print', { lines: [stray] })),
    ...ask('link', request(2, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  const orphan = find(matches, stray);
  assert.deepEqual([orphan.status, orphan.method, orphan.duration_ms], ['orphan', undefined, undefined]);
  assertPaired(matches.filter(({ line }) => line !== orphan));
  assert.equal(capture.summary.orphans, 1);
});

test('both sides may ask, with the same ids at the same time; each answer goes to its own direction', {
  skip,
}, async () => {
  const question = request(1, 'roots/list');
  const { capture, truth } = await converse([
    ...open('link'),
    { send: 'link', text: call(1, 'print', { lines: [question], seconds: 0 }) },
    { lines: 'link', count: 2 },
    { send: 'link', text: '{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}' },
    { answer: 'link', id: 1 },
    ...ask('link', request(2, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const methods = matches
    .filter(({ line }) => line.type === 'response' && line.id === 1)
    .map(({ direction, line }) => `${direction} ${line.method}`);
  assert.deepEqual(methods.sort(), ['to client tools/call', 'to server roots/list']);
});

test('a batch of 2025-03-26: each element is a message with its place, and answers pair across batches', {
  skip,
}, async () => {
  const batch = (...elements: string[]) => `[${elements.join(',')}]`;
  const { capture, truth } = await converse([
    { start: 'link', command: SERVER },
    ...ask('link', INITIALIZE.replace('2025-06-18', '2025-03-26')),
    {
      send: 'link',
      text: batch(
        call(1, 'echo'),
        notification('notifications/roots/list_changed'),
        call(2, 'fail'),
        request('1', 'ping'),
      ),
    },
    { answer: 'link', id: 1 },
    { answer: 'link', id: 2 },
    { answer: 'link', id: '1' },
    ...ask('link', request(9, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const places = (direction: string) =>
    matches
      .filter((match) => match.direction === direction && match.line.batch)
      .map(({ line }) => line.batch);
  assert.deepEqual(
    places('to server'),
    [0, 1, 2, 3].map((index) => ({ index, size: 4 })),
  );
  assert.deepEqual(
    places('to client'),
    [0, 1, 2].map((index) => ({ index, size: 3 })),
  );
  assert.equal(capture.summary.servers[0].protocol_version, '2025-03-26');
});

test('an unknown method is shown as unknown, and its error is paired', { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('link'),
    ...ask('link', request(1, 'x/never-heard-of', { a: 1 })),
    ...ask('link', request(2, 'x/own')),
    { send: 'link', text: notification('notifications/x') },
    ...ask('link', request(3, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  for (const { line } of matches)
    assert.equal(line.known, /^(notifications\/)?x/.test(line.method) ? false : undefined, line.raw);
  const refused = matches.find(({ line }) => line.type === 'response' && line.id === 1)?.line;
  assert.deepEqual([refused?.status, refused?.error.code], ['error', -32601]);
});

test('ids and numbers of any size survive exactly and pair exactly, and a string is never a number', {
  skip,
}, async () => {
  // As asked, and as Python repeats it.
  const ids = [
    ['9007199254740993', '9007199254740993'],
    ['9007199254740992', '9007199254740992'],
    ['"9007199254740993"', '"9007199254740993"'],
    ['-1', '-1'],
    ['"-1"', '"-1"'],
    ['12345678901234567890', '12345678901234567890'],
    ['"é\\u0000\\ud83d\\ude00"', '"é\\u0000😀"'],
  ] as const;
  const text = (id: string, tool: number) =>
    `{"params":{"name":"tool ${tool}","arguments":{"big":123456789012345678901234567890,"f":1.0e+2}},"method":"tools/call","id":${id},"jsonrpc":"2.0"}`;
  const file = join(scratch(), 'again.jsonl');
  const steps = [
    ...open('link'),
    // In one write, all open at once, so that a wrong match has its chance; answered in turn.
    ...ids.map(([id], tool) => ({
      send: 'link',
      text: text(id, tool).replace('"f"', '"thread":true,"seconds":0.2,"f"'),
    })),
    { lines: 'link', count: ids.length + 1 },
    ...ask('link', request('end', 'ping')),
    { close: 'link' },
  ];
  const { capture, truth } = await converse(steps, { options: ['-q', '-o', file] });
  const matches = assertFaithful(capture, truth);
  const written = readFileSync(file, 'utf8').split('\n');
  for (const [tool, [id, repeated]] of ids.entries()) {
    const line = (type: string) =>
      written.filter((each) => each.includes(`"type":"${type}"`) && each.includes(`"target":"tool ${tool}"`));
    const [asked, ...more] = line('request');
    assert.ok(asked?.includes(`,"id":${id},`) && more.length === 0, asked);
    assert.ok(asked?.includes('"big":123456789012345678901234567890,'), asked);
    assert.ok(asked?.includes('"f":1.0e+2'), asked);
    const [answered, ...others] = line('response');
    assert.ok(answered?.includes(`,"id":${repeated},`) && others.length === 0, answered);
  }
  for (const { line } of matches) if (line.type === 'response') assert.equal(line.status, 'ok', line.raw);
  assert.deepEqual([capture.summary.pending, capture.summary.orphans], [0, 0]);
});
