// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { arrayElements, objectMembers } from './json-members.ts';

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 3 });
const anyString = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', '\\', '\\"', '{', '}', '[', ']', ',', ':', 'a', '\ud800', '\n') }),
);
const key = fc.oneof(anyString, fc.constantFrom('__proto__', 'method', 'constructor', '', '0'));
const scalar = fc.oneof(fc.constantFrom('true', 'false', 'null', '-0.0e+1'), fc.bigInt().map(String));

/** A string as JSON, some of its characters needlessly escaped. */
const written = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.infiniteStream(fc.boolean())).map(([value, escapes]) => {
    let source = '"';
    for (const unit of value.split('')) {
      const must = JSON.stringify(unit).slice(1, -1) !== unit;
      const needless = escapes.next().value === true;
      const hex = `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
      source += needless ? hex : must ? JSON.stringify(unit).slice(1, -1) : unit;
    }
    return `${source}"`;
  });

/** Source text of JSON, with white space wherever it may stand. */
const { value, members, elements } = fc.letrec<{
  value: string;
  object: string;
  array: string;
  members: [string, string][];
  elements: string[];
}>((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, scalar, written(anyString), tie('array'), tie('object')),
  members: fc.array(fc.tuple(written(key), tie('value')), { maxLength: 12 }),
  elements: fc.array(tie('value'), { maxLength: 12 }),
  object: fc.tuple(tie('members'), space).map(([list, s]) => objectSource(list, s)),
  array: fc.tuple(tie('elements'), space).map(([list, s]) => arraySource(list, s)),
}));

function objectSource(list: readonly [string, string][], s: string): string {
  return `${s}{${s}${list.map(([name, source]) => `${name}${s}:${s}${source.trim()}`).join(`${s},${s}`)}${s}}${s}`;
}

function arraySource(list: readonly string[], s: string): string {
  return `${s}[${s}${list.map((source) => source.trim()).join(`${s},${s}`)}${s}]${s}`;
}

describe('members of an object', () => {
  test('are found with their exact text, the last of several, whatever the white space', () => {
    fc.assert(
      fc.property(members, space, (list, s) => {
        const text = objectSource(list, s);
        // The keys are not compared with JSON.parse's: V8 of Node 24.21 sometimes reads the key "\u0022" as a backslash.
        const found = objectMembers(text);
        const expected = new Map(list.map(([name, source]) => [JSON.parse(name) as string, source.trim()]));
        for (const [name, source] of expected) assert.equal(found.get(name), source);
        const names = list.map(([name]) => JSON.parse(name) as string);
        const repeated = names.filter((name, i) => names.indexOf(name) < i);
        assert.deepEqual(new Set(found.duplicates), new Set(repeated));
        assert.equal(found.duplicates.length, new Set(repeated).size);
      }),
      { numRuns: 1000 },
    );
  });

  test('parse to the same values as the whole, also when indented', () => {
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue()), fc.integer({ min: 0, max: 10 }), (object, indent) => {
        const text = JSON.stringify(object, undefined, indent);
        const found = objectMembers(text);
        const parsed = JSON.parse(text) as Record<string, unknown>;
        for (const [name, expected] of Object.entries(parsed)) {
          assert.deepEqual(JSON.parse(found.get(name) ?? ''), expected);
        }
        assert.deepEqual(found.duplicates, []);
        assert.equal(found.get('no such member'), undefined);
      }),
      { numRuns: 500 },
    );
  });

  test('keep every digit', () => {
    const found = objectMembers('{"id":12345678901234567890123,"x":1.0e-0, "y" : -0 }');
    assert.equal(found.get('id'), '12345678901234567890123');
    assert.equal(found.get('x'), '1.0e-0');
    assert.equal(found.get('y'), '-0');
  });

  test('are found by the unescaped key', () => {
    const found = objectMembers('{"\\u006dethod":"a","\\"\\\\":1,"\\ud800":2}');
    assert.equal(found.get('method'), '"a"');
    assert.equal(found.get('"\\'), '1');
    assert.equal(found.get('\ud800'), '2');
    assert.equal(found.get('\\u006dethod'), undefined);
  });

  test('that differ only in their escapes are duplicates, and the last counts', () => {
    const found = objectMembers('{"a":1,"b":2,"\\u0061":3,"a":4}');
    assert.equal(found.get('a'), '4');
    assert.deepEqual(found.duplicates, ['a']);
  });

  test('may be called like properties of every object', () => {
    const found = objectMembers('{"__proto__":{"a":1},"toString":1}');
    assert.equal(found.get('__proto__'), '{"a":1}');
    assert.equal(found.get('toString'), '1');
    assert.equal(found.get('hasOwnProperty'), undefined);
  });

  test('do not exist in other values', () => {
    for (const text of ['[]', '1', '"a"', 'null', '{}', ' { } ']) {
      assert.equal(objectMembers(text).get('a'), undefined);
      assert.deepEqual(objectMembers(text).duplicates, []);
    }
  });
});

describe('elements of an array', () => {
  test('are found with their exact text, whatever the white space', () => {
    fc.assert(
      fc.property(elements, space, (list, s) => {
        assert.deepEqual(
          arrayElements(arraySource(list, s)),
          list.map((source) => source.trim()),
        );
      }),
      { numRuns: 1000 },
    );
  });

  test('do not exist in other values', () => {
    for (const text of ['{}', '1', '"[1]"', 'null', '[]', ' [ ] ']) assert.deepEqual(arrayElements(text), []);
  });
});

describe('the scan', () => {
  test('follows nesting 100,000 deep', () => {
    const deep = `${'[{"a":'.repeat(100_000)}"]}"${'}]'.repeat(100_000)}`;
    assert.equal(objectMembers(`{"x":${deep},"y":1}`).get('x'), deep);
    assert.equal(objectMembers(`{"x":${deep},"y":1}`).get('y'), '1');
    assert.deepEqual(arrayElements(`[${deep},1]`), [deep, '1']);
  });

  test('passes long strings of backslashes and quotes', () => {
    for (const unit of ['\\', '"', '\\"', '\\\\"', 'x"\\', '漢"']) {
      const string = JSON.stringify(unit.repeat(200_000));
      assert.equal(objectMembers(`{"s":${string},"t":2}`).get('s'), string);
      assert.equal(objectMembers(`{"s":${string},"t":2}`).get('t'), '2');
    }
  });

  test('never throws and always ends, on any text', () => {
    const fragments = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      ' ',
      'a',
      '1',
      '"a":',
      '\n',
      'é',
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fragments, maxLength: 60 }),
        fc.constantFrom('', '{', '[', '{"a":'),
        (tail, head) => {
          const found = objectMembers(head + tail);
          found.get('a');
          assert.ok(found.duplicates.length <= tail.length);
          assert.ok(arrayElements(head + tail).length <= tail.length + 1);
        },
      ),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(value, fc.nat(), (source, at) => {
        objectMembers(source.slice(0, at % (source.length + 1)));
        arrayElements(source.slice(0, at % (source.length + 1)));
      }),
    );
  });

  test('takes linear time on hostile text', { timeout: 20_000 }, () => {
    const size = 1_000_000;
    for (const unit of ['{', '[', '"', '\\', ':', ',', '"\\', '{"":', '[[]', '"":1,', '"a":{},', ' ']) {
      for (const head of ['', '{', '[', '{"a":"', '["']) {
        const text = head + unit.repeat(size);
        assert.ok(objectMembers(text).duplicates.length <= 1);
        arrayElements(text);
      }
    }
  });
});
