// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeControl } from './escape.ts';

test('ordinary text of any script stays as it is', () => {
  for (const text of ['', 'plain ASCII ~', 'Größe', '東京', 'שלום', '👍', 'back\\slash'])
    assert.equal(escapeControl(text), text);
});

test('control characters become visible', () => {
  assert.equal(escapeControl('a\nb\rc\td'), 'a\\nb\\rc\\td');
  assert.equal(escapeControl('\x1b[31m\x07\0'), '\\x1b[31m\\x07\\x00');
  assert.equal(escapeControl('\x7f\u0080\u009b'), '\\x7f\\x80\\x9b');
});

test('characters that reorder, hide or separate become visible', () => {
  const hostile =
    '\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u200b\u200d\u2060\ufeff\u2028\u2029\u{e0001}\u{e0041}\u{e0000}\u{e007f}';
  for (const character of hostile)
    assert.equal(escapeControl(`a${character}b`), `a\\u{${character.codePointAt(0)?.toString(16)}}b`);
  assert.equal(escapeControl('\u00ad'), '\\xad');
});

test('lone surrogates become visible, pairs stay', () => {
  assert.equal(escapeControl('a\ud83db'), 'a\\u{d83d}b');
  assert.equal(escapeControl('\ude00\ud83d\ude00'), '\\u{de00}😀');
});

test('text that is too long ends in an ellipsis, whole characters and escapes kept', () => {
  assert.equal(escapeControl('abcdef', 6), 'abcdef');
  assert.equal(escapeControl('abcdefg', 6), 'abcde…');
  assert.equal(escapeControl('😀😀😀', 3), '😀😀😀');
  assert.equal(escapeControl('😀😀😀😀', 3), '😀😀…');
  assert.equal(escapeControl('ab\x1bcd', 6), 'ab…');
  assert.equal(escapeControl('ab\x1b', 6), 'ab\\x1b');
  assert.equal(escapeControl('\x1b', 1), '…');
});

test('nothing hostile is left of any text, and the limit holds', () => {
  const text = fc
    .array(fc.oneof(fc.integer({ min: 0, max: 0x10ffff }), fc.integer({ min: 0, max: 0xff })))
    .map((codes) => codes.map((code) => String.fromCodePoint(code)).join(''));
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 40 }), (value, limit) => {
      assert.doesNotMatch(escapeControl(value), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      const cut = escapeControl(value, limit);
      assert.doesNotMatch(cut, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      assert.ok([...cut].length <= limit);
      const whole = escapeControl(value);
      assert.equal(cut, [...whole].length <= limit ? whole : cut);
      assert.ok(whole.startsWith(cut.replace(/…$/, '')));
    }),
  );
});
