// SPDX-License-Identifier: Apache-2.0
/** Frames made to break a parser, a terminal or the memory: captured exactly, and harmless to all that follows. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, captureRun, type OutputLine, ROOT, scratch } from '../support/mcpspy.ts';
import { assertFrames, bytesOf, framesOf } from '../support/mover.ts';
import { assertOutput } from '../support/schema.ts';

const PEER = join(ROOT, 'test', 'peers', 'hostile.py');

/** Sends a case's frames: every one of them is in the output, exact and in order. */
async function send(name: string, options: readonly string[] = ['-q']) {
  const directory = scratch();
  const result = await captureRun(['python3', PEER, directory, name], { options });
  assert.equal(result.code, 0, result.stderr.slice(0, 2000));
  assertOutput(result.lines, result.isPart);
  assert.deepEqual(result.summary['losses'], {});
  const sent = framesOf(readFileSync(join(directory, 'sent')));
  const frames = result.lines.filter((line) => line['kind'] === 'message' || line['kind'] === 'invalid');
  return { result, sent, frames };
}

/** The hostile frame number `index` of the case, and the innocent one after it. */
function pair(frames: readonly OutputLine[], index: number): [OutputLine, OutputLine] {
  return [frames[1 + 2 * index] ?? {}, frames[2 + 2 * index] ?? {}];
}

for (const name of ['nesting', 'keys', 'numbers', 'text']) {
  test(`hostile ${name}`, { skip: cannotCapture }, async () => {
    const { sent, frames } = await send(name);
    assertFrames(frames, sent, name);
    for (let index = 0; 2 + 2 * index < sent.length; index++) {
      const [, innocent] = pair(frames, index);
      assert.equal(innocent['kind'], 'message');
      assert.equal(innocent['id'], 1000 + index);
      assert.deepEqual(innocent['params'], { name: 'echo', arguments: { text: 'innocent' } });
    }
  });
}

test('100,000 levels deep is a message, unclosed it is none', { skip: cannotCapture }, async () => {
  const { frames } = await send('nesting');
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((index) => pair(frames, index)[0]['kind']),
    ['message', 'message', 'invalid', 'invalid', 'invalid'],
  );
});

test('ids that no number can hold', { skip: cannotCapture }, async () => {
  const { frames } = await send('numbers');
  const kinds = Array.from({ length: 11 }, (_, index) => pair(frames, index)[0]['kind']);
  // Infinite ids are no ids; 9…9 of 5000 digits is infinite, of 300 digits it is not.
  assert.deepEqual(kinds, [
    'invalid',
    'invalid',
    'message',
    'invalid',
    'message',
    'message',
    'message',
    'message',
    'invalid',
    'message',
    'message',
  ]);
});

test('what is not UTF-8 is kept byte for byte in raw_base64', { skip: cannotCapture }, async () => {
  const { frames, sent } = await send('text');
  for (const index of [4, 5, 6, 7, 8]) {
    const [line] = pair(frames, index);
    assert.equal(line['kind'], 'invalid');
    assert.equal(line['reason'], 'not UTF-8');
    assert.equal(line['raw'], undefined);
    assert.ok(bytesOf(line)?.equals(sent[1 + 2 * index] ?? Buffer.alloc(0)));
  }
});

/** SGR as styleText writes it: the only escape sequences that are mcpspy's own. */
const OWN_COLOUR = /\x1b\[\d{1,3}m/g;
/** C0 except the line end, DEL, C1, bidi controls, zero width, separators. */
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

for (const more of [[], ['-b'], ['-l', 'debug']]) {
  test(`nothing captured reaches the terminal unescaped ${more.join(' ')}`, {
    skip: cannotCapture,
  }, async () => {
    for (const name of ['terminal', 'text', 'keys']) {
      const { result, sent, frames } = await send(name, ['--color', 'always', ...more]);
      assertFrames(
        frames.filter((line) => line['batch'] === undefined && !line['reason']?.startsWith('batch element')),
        sent.filter((frame) => frame[0] !== 0x5b),
        name,
      );
      const shown = result.stderr.replace(OWN_COLOUR, '');
      const at = OBEYED.exec(shown)?.index ?? -1;
      assert.ok(at < 0, `${name}: ${JSON.stringify(shown.slice(Math.max(0, at - 80), at + 20))}`);
      assert.ok(result.stderr.includes('\x1b['), 'colours were asked for');
      // One frame must not pass for several: where no raw text is shown, every line begins with its time.
      if (!more.length) {
        const live = shown.split('\n').filter((line) => /\b(REQ|RESP|NOTF|ERR|BAD)\b/.test(line));
        for (const line of live) assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} /);
        assert.equal(live.length, result.messages.length + result.invalid.length);
      }
    }
  });
}

test('a string of 60 MiB, full of what must be escaped', { skip: cannotCapture }, async () => {
  const { result, sent, frames } = await send('huge', ['-q', '--ring-size', '128M']);
  assertFrames(frames, sent, 'huge');
  const peak = Number(result.stdout.trim()) / 1024;
  assert.ok(peak > 50 && peak < 1200, `the monitor used up to ${peak} MiB`);
});

test('forty messages of 3 MiB begun at once, with room for few: those are whole, of the others the size is told', {
  skip: cannotCapture,
}, async () => {
  const script = `
import os
begin = b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"'
pieces = [begin] + [b'x' * 49152] * 64 + [b'"}}}\\n']
pipes = [os.pipe() for _ in range(40)]
for out, into in pipes:
    os.write(into, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\\n')
    os.read(out, 65536)
for piece in pieces:
    for out, into in pipes:
        os.write(into, piece)
        os.read(out, 65536)
for out, into in pipes:
    os.write(into, b'{"jsonrpc":"2.0","id":3,"method":"tools/list"}\\n')
    os.read(out, 65536)
`;
  const { messages, invalid, summary } = await captureRun(['python3', '-c', script], {
    options: ['-q', '--max-message', '4M', '--ring-size', '256M'],
  });
  const count = (id: number) => messages.filter((line) => line['id'] === id).length;
  assert.deepEqual([count(1), count(3), summary['losses']], [40, 40, {}]);
  assert.equal(count(2) + invalid.length, 40);
  assert.ok(count(2) >= 4 && count(2) <= 8, `${count(2)} found room`);
  for (const { reason, size } of invalid) {
    assert.match(String(reason), /^too large beside the others/);
    assert.equal(size, String(messages.find((line) => line['id'] === 2)?.['raw']).length);
  }
});
