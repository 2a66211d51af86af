// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasControl, objectSpans } from './json-bytes.ts';

/** What it found, as text by key; undefined when it did not accept. */
function members(text: string): Record<string, string> | undefined {
  const bytes = Buffer.from(text);
  const spans = objectSpans(bytes);
  return (
    spans &&
    Object.fromEntries([...spans].map(([key, { start, end }]) => [key, bytes.toString('utf8', start, end)]))
  );
}

/** Plain keys: those written with escapes are left to the parser. */
const key = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '_', '$', '1'), minLength: 1, maxLength: 6 });

test('every member of a compact object is found, exactly as written', () => {
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue(), { maxKeys: 20 }), (object) => {
      const found = members(JSON.stringify(object));
      assert.deepEqual(
        found,
        Object.fromEntries(Object.entries(object).map(([name, value]) => [name, JSON.stringify(value)])),
      );
    }),
  );
});

test('whatever it accepts is JSON', () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    ':',
    '\\',
    '\\u00',
    '1',
    '-',
    '.',
    'e5',
    'true',
    'nul',
    ' ',
    '"a"',
    '"a":',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const text = `{"k":${pieces.join('')}}`;
      if (members(text)) JSON.parse(text);
    }),
    { numRuns: 5000 },
  );
});

test('a broken byte anywhere is never accepted as something else than JSON', () => {
  fc.assert(
    fc.property(
      fc.dictionary(key, fc.jsonValue()),
      fc.nat(),
      fc.integer({ min: 0x20, max: 0x7e }),
      (object, place, byte) => {
        const bytes = Buffer.from(JSON.stringify(object));
        bytes[place % bytes.length] = byte;
        const text = bytes.toString('utf8');
        if (!text.includes('\ufffd') && members(text)) JSON.parse(text);
      },
    ),
    { numRuns: 3000 },
  );
});

test('duplicate keys, escaped keys, control characters and great depth are left to the parser', () => {
  assert.equal(members('{"a":1,"a":2}'), undefined);
  assert.equal(members('{"\\u0061":1}'), undefined);
  assert.equal(members('{\n"a":1}'), undefined);
  assert.equal(members(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`), undefined);
});

test('a control character is noticed at every place', () => {
  for (let length = 1; length < 24; length++)
    for (let at = 0; at < length; at++) {
      const bytes = Buffer.alloc(length + 3, 'é').subarray(1, 1 + length);
      assert.equal(hasControl(bytes), false);
      bytes[at] = 0x1f;
      assert.equal(hasControl(bytes), true);
    }
});
