// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatRawBox, indentJson } from './raw-box.ts';

test('JSON is indented as JSON.stringify would', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 1), (json, spaces) => {
      const value = JSON.parse(json);
      const text = JSON.stringify(value, undefined, spaces);
      assert.equal(indentJson(text), JSON.stringify(value, undefined, 2));
    }),
  );
});

test('numbers, duplicate keys and escapes stay as they were', () => {
  assert.equal(
    indentJson('{"a":12345678901234567890,"a":1.0,"b":"\\u0041\\"{"}'),
    '{\n  "a": 12345678901234567890,\n  "a": 1.0,\n  "b": "\\u0041\\"{"\n}',
  );
});

test('what is too large or too deep is shown as it is', () => {
  assert.equal(indentJson(`"${'x'.repeat(1 << 20)}"`), undefined);
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  assert.equal(formatRawBox(deep, true), `┌────\n│ ${deep}\n└────`);
});

test('a long string does not exhaust the stack', () => {
  const json = `"${'x\\n'.repeat(300_000)}"`;
  assert.ok(indentJson(json) === json);
});

test('text that is no JSON keeps its lines, escaped', () => {
  assert.equal(formatRawBox('a\r\n\x1b[2J', false), '┌────\n│ a\\r\n│ \\x1b[2J\n└────');
});
