// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ContentBuffer } from './content.ts';
import { type Line, LineFramer } from './lines.ts';
import { limitRoom, roomTaken, Share } from './room.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const MIB = 1 << 20;

beforeEach(() => limitRoom(8 * MIB));
after(() => limitRoom(512 * MIB));

function framer() {
  const lines: Line[] = [];
  const one = new LineFramer({ maxSize: 64 * MIB, joined: false });
  let offset = 0;
  const push = (text: string) => {
    one.push(Buffer.from(text), offset, false, (line) => lines.push(line));
    offset += text.length;
  };
  return { push, lines, end: () => one.end('end', (line) => lines.push(line)) };
}

const piece = 'x'.repeat(MIB / 4);

test('lines that are begun and never end hold no more than the room for all of them', () => {
  const framers = Array.from({ length: 100 }, framer);
  for (let round = 0; round < 8; round++) for (const { push } of framers) push(piece);
  assert.ok(roomTaken() <= 8 * MIB, `${roomTaken()}`);
  assert.ok(roomTaken() > 4 * MIB);
  for (const { push } of framers) push('\n');
  assert.equal(roomTaken(), 0);
  const contents = framers.map(({ lines }) => lines[0]?.content);
  const whole = contents.filter((content) => content?.type === 'text');
  assert.ok(whole.length >= 1, 'there was room for some');
  for (const content of contents)
    if (content?.type !== 'text')
      assert.deepEqual(content, { type: 'oversize', head: piece.slice(0, 4096), crowded: true });
  assert.deepEqual(new Set(framers.map(({ lines }) => lines[0]?.size)), new Set([2 * MIB]));
});

test('the line after one for which there was no room is whole, if it finds room', () => {
  const [first, second] = [framer(), framer()];
  for (let round = 0; round < 24; round++) first.push(piece);
  second.push(piece.repeat(12));
  second.push('\nshort\n');
  first.push('\n');
  second.push(`${piece.repeat(12)}\n`);
  assert.deepEqual(
    second.lines.map(({ content, size }) => [content.type, size]),
    [
      ['oversize', 3 * MIB],
      ['text', 5],
      ['text', 3 * MIB],
    ],
  );
  assert.deepEqual(
    first.lines.map(({ content }) => content.type),
    ['text'],
  );
  assert.equal(roomTaken(), 0);
});

test('of a line for which there was no room a last part without a newline is no message', () => {
  const [first, second] = [framer(), framer()];
  first.push(piece.repeat(24));
  second.push(`[${'1,'.repeat(MIB)}1]`);
  second.end();
  first.end();
  assert.equal(second.lines[0]?.content.type, 'incomplete');
  assert.equal(roomTaken(), 0);
});

test('so do bodies and events, and each says what it had', () => {
  const buffers = Array.from({ length: 20 }, () => new ContentBuffer(64 * MIB));
  const bytes = Buffer.from(piece);
  for (let round = 0; round < 8; round++) for (const each of buffers) each.add(bytes, 0, bytes.length);
  assert.ok(roomTaken() <= 8 * MIB);
  for (const each of buffers) assert.equal(each.size, 2 * MIB);
  const types = buffers.map((each) => {
    const cut = each.isCut;
    const content = each.take();
    assert.equal(cut, content.type === 'oversize');
    return content.type;
  });
  assert.deepEqual(new Set(types), new Set(['text', 'oversize']));
  assert.equal(roomTaken(), 0);
});

test('what is small is not counted, and nobody is refused it', () => {
  const shares = Array.from({ length: 10_000 }, () => new Share());
  for (const share of shares) assert.equal(share.resize(8192), true);
  assert.equal(roomTaken(), 0);
});

test('who goes without giving back is noticed', async () => {
  new Share().resize(MIB);
  assert.equal(roomTaken(), MIB);
  for (let attempt = 0; attempt < 100 && roomTaken() > 0; attempt++) {
    await sleep(1);
    collect();
  }
  assert.equal(roomTaken(), 0);
});
