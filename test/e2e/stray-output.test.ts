// SPDX-License-Identifier: Apache-2.0
/** What a server says besides its messages: standard error, and stray lines on standard output. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type CaptureResult, cannotCapture, NODE, scratch } from '../support/mcpspy.ts';
import {
  ask,
  assertFaithful,
  assertIsPeer,
  assertPaired,
  call,
  converse,
  INHERIT,
  INITIALIZE,
  open,
  request,
  SERVER,
  type Step,
  shellWords,
  type Truth,
} from '../support/truth.ts';

const skip = cannotCapture;

/** Each line a server logged, once, in order, from the process that wrote it, as part of its conversation. */
function assertLogged(capture: CaptureResult, truth: Truth, connection: number): void {
  const logged = truth.logged();
  assert.deepEqual(
    capture.stderrLines.map(({ text }) => text),
    logged.map(({ text }) => text),
  );
  for (const [index, line] of capture.stderrLines.entries()) {
    const writer = logged[index]?.peer ?? assert.fail();
    assertIsPeer(line.from, writer, 'from');
    assert.equal(line.connection, connection);
  }
  assert.equal(capture.summary.frames.stderr, logged.length);
}

const lines = ['a warning', '{"jsonrpc":"2.0","id":1,"result":{}}', 'grüße \u001b[31mred\u001b[0m', 'four'];
const gate = join(scratch(), 'said');
const chatty = [...SERVER, '--log', 'before everything', '--log', 'and once more', '--touch', gate];

const ways: Record<string, { command: readonly string[]; more?: Step }> = {
  'on a pipe that the client reads': { command: chatty, more: { stderr: 'pipe' } },
  'on the standard error that it inherited': { command: chatty },
  'on a file': { command: ['sh', '-c', `exec ${shellWords(chatty)} 2>/dev/null`] },
  'behind a wrapper': { command: [NODE, INHERIT, ...chatty], more: { stderr: 'pipe' } },
};

for (const [way, { command, more }] of Object.entries(ways))
  test(`a server's standard error ${way} is captured line by line, what it said before its first message included`, {
    skip,
  }, async () => {
    rmSync(gate, { force: true });
    const { capture, truth } = await converse([
      { start: 'link', command, ...more },
      // It has long said something when the client sends its first message.
      { gate },
      { sleep: 0.5 },
      ...ask('link', INITIALIZE),
      ...ask('link', call(1, 'log', { lines })),
      ...ask('link', call(2, 'echo')),
      { close: 'link' },
    ]);
    const matches = assertFaithful(capture, truth);
    assertPaired(matches);
    assertLogged(capture, truth, matches[0]?.line.connection);
    assert.equal(capture.stderrLines.length, 6);
    assert.deepEqual(
      capture.stderrLines.slice(0, 2).map(({ seq }) => seq),
      [1, 2],
    );
  });

test("the client's own standard error is not the server's and stays out", { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('link'),
    ...ask('link', call(1, 'echo')),
    { close: 'link' },
    { kill: 'no such link' },
  ]);
  assert.notEqual(capture.code, 0);
  assert.match(capture.stderr, /Traceback/);
  assert.deepEqual(capture.stderrLines, []);
  assert.equal(capture.messages.length, truth.sent().length);
});

test('two servers that log at once: each line belongs to its own', { skip }, async () => {
  const links = ['a', 'b'];
  const { capture, truth } = await converse([
    ...links.flatMap((link) => open(link, [...SERVER, '--log', `${link} begins`], { stderr: 'pipe' })),
    {
      parallel: links.map((link) =>
        Array.from({ length: 20 }, (_, id) =>
          ask(link, call(id + 1, 'log', { lines: [`${link} ${id}`] })),
        ).flat(),
      ),
    },
    ...links.map((close) => ({ close })),
  ]);
  const matches = assertFaithful(capture, truth);
  const connections = new Map(matches.map(({ link, line }) => [link, line.connection]));
  for (const link of links) {
    const shown = capture.stderrLines
      .filter(({ connection }) => connection === connections.get(link))
      .map(({ text }) => text);
    assert.deepEqual(shown, [`${link} begins`, ...Array.from({ length: 20 }, (_, id) => `${link} ${id}`)]);
  }
});

test('what a server said long before its first message is shown late, and marked so', { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('busy'),
    { start: 'quiet', command: [...chatty, '--print', 'ready'], stderr: 'pipe' },
    { lines: 'quiet', count: 1 },
    { sleep: 0.3 },
    { burst: 'busy', first: 1, count: 5 },
    { sleep: 0.3 },
    ...ask('quiet', INITIALIZE),
    ...ask('quiet', call(1, 'log', { lines: ['now known'] })),
    { close: 'quiet' },
    { close: 'busy' },
  ]);
  assertFaithful(capture, truth);
  const shown = capture.lines.filter(({ kind }) => ['stderr', 'invalid'].includes(kind));
  assert.deepEqual(
    shown.map(({ text, raw, late }) => [text ?? raw, late]),
    [
      ['before everything', true],
      ['and once more', true],
      ['ready', true],
      ['now known', undefined],
    ],
  );
});

test('stray lines on standard output, before the first message and between messages, are invalid frames; the messages are intact', {
  skip,
}, async () => {
  const { capture, truth } = await converse([
    { start: 'link', command: [...SERVER, '--print', 'Starting up…', '--print', '{"level":"info"}'] },
    { lines: 'link', count: 2 },
    ...ask('link', INITIALIZE),
    ...ask(
      'link',
      call(1, 'print', {
        lines: ['Debug: x', '{"half":', '42', '[]', '{"jsonrpc":"1.0","id":1,"result":{}}', '  '],
      }),
    ),
    ...ask('link', call(2, 'fail')),
    ...ask('link', request(3, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const reasons = matches.filter(({ line }) => line.kind === 'invalid').map(({ line }) => line.reason);
  assert.equal(reasons.length, 8);
  assert.match(reasons[0], /not JSON:/);
  assert.match(reasons[1], /not JSON-RPC: "jsonrpc" is missing/);
  assert.equal(capture.summary.frames.invalid, 8);
});
