// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FrameContent } from '../streams/frame.ts';
import { ContentBuffer, checkMaxSize, contentOf, headOf } from './content.ts';
import { LARGE_TEXT, WireText } from './wire-text.ts';

/** As a plain value: large texts come as bytes. */
const plain = (content: FrameContent) => (content.type === 'text' ? content.text : content);

test('a content is the same at once and from any pieces', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.from(each)),
    fc.string({ maxLength: 40 }).map((each) => Buffer.from(each)),
    fc
      .tuple(fc.string({ minLength: 1 }), fc.nat(3000))
      .map(([each, times]) => Buffer.from(each.repeat(times))),
  );
  const limit = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constant(5000), fc.constant(1 << 24));
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 8 }), limit, (all, cuts, maxSize) => {
      const buffer = new ContentBuffer(maxSize);
      const places = [0, ...cuts.map((cut) => cut % (all.length + 1)).sort((a, b) => a - b), all.length];
      for (const [i, place] of places.entries()) {
        const kept = buffer.bytes.length;
        const added = buffer.add(all, places[i - 1] ?? 0, place);
        assert.ok(added === 0 || buffer.bytes.length === kept + added);
      }
      assert.equal(buffer.size, all.length);
      assert.ok(buffer.held <= Math.max(16_384, 2 * maxSize));
      assert.deepEqual(plain(buffer.take()), plain(contentOf(all, maxSize)));
      assert.equal(buffer.size, 0);
    }),
    { numRuns: 500 },
  );
});

test('a content is a copy', () => {
  for (const text of ['a', 'ü', 'ü'.repeat(LARGE_TEXT)]) {
    const bytes = Buffer.from(text);
    const content = contentOf(bytes, 1 << 24);
    bytes.fill(0);
    assert.equal(plain(content), text);
  }
});

test('a large text is kept as bytes and not written to by what follows', () => {
  const buffer = new ContentBuffer(1 << 24);
  const text = 'x'.repeat(LARGE_TEXT);
  buffer.add(Buffer.from(text), 0, LARGE_TEXT);
  const content = buffer.take();
  buffer.add(Buffer.alloc(LARGE_TEXT), 0, LARGE_TEXT);
  assert.ok(content instanceof WireText && content.text === text);
});

test('the head ends before a character that would be cut', () => {
  assert.equal(headOf(Buffer.from('€'.repeat(2000))), '€'.repeat(1365));
});

test('white space at the end is taken off what is whole', () => {
  const buffer = new ContentBuffer(10);
  buffer.add(Buffer.from('{ } \r\n\t '), 0, 8);
  buffer.trimEnd();
  assert.deepEqual(buffer.take(), { type: 'text', text: '{ }' });
  buffer.add(Buffer.from('0123456789 '), 0, 11);
  buffer.trimEnd();
  assert.deepEqual(buffer.take(), { type: 'oversize', head: '0123456789 ' });
});

test('a largest size out of range is refused', () => {
  for (const maxSize of [0, -1, 1.5, Number.NaN, 2 ** 29])
    assert.throws(() => checkMaxSize(maxSize), RangeError);
  checkMaxSize(2 ** 29 - 25);
});
