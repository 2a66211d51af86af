// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseFrame, type RpcMessage } from './jsonrpc.ts';
import { meaningOf } from './meaning.ts';

function messageOf(text: string): RpcMessage {
  const parsed = parseFrame(text);
  assert.ok(parsed.type === 'messages' && parsed.messages[0]);
  return parsed.messages[0];
}

const meaning = (message: unknown) =>
  meaningOf(messageOf(typeof message === 'string' ? message : JSON.stringify(message)));

/** The same value with the members of every object in the opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, each]) => [key, reversed(each)]),
  );
}

describe('what a message says', () => {
  test('is the same in any order of members and any spelling', () => {
    assert.equal(
      meaning('{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"é","b":[1.0,{"c":null,"d":true}]}}'),
      meaning('{ "params":{"b":[1,{"d":true,"c":null}],"a":"\\u00e9"},"method":"m", "id":1,"jsonrpc":"2.0"}'),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (params) => {
        const message = { jsonrpc: '2.0', id: 1, method: 'm', params };
        assert.equal(meaning(JSON.stringify(reversed(message), null, 1)), meaning(message));
      }),
      { numRuns: 200 },
    );
  });

  test('is another when anything is', () => {
    const base = { jsonrpc: '2.0', id: 1, method: 'm', params: { a: [1, '2', { b: null }], c: {} } };
    const others = [
      { ...base, id: '1' },
      { ...base, id: 2 },
      { ...base, method: 'n' },
      { jsonrpc: '2.0', method: 'm', params: base.params },
      { jsonrpc: '2.0', id: 1, result: base.params },
      { ...base, params: undefined },
      { ...base, params: { a: ['1', '2', { b: null }], c: {} } },
      { ...base, params: { a: [1, 2, { b: null }], c: {} } },
      { ...base, params: { a: [1, '2', { b: 'null' }], c: {} } },
      { ...base, params: { a: ['2', 1, { b: null }], c: {} } },
      { ...base, params: { a: [1, '2', { b: null }], c: [] } },
      { ...base, params: { a: [1, '2', { b: null, c: {} }] } },
    ];
    const all = [base, ...others].map(meaning);
    assert.equal(new Set(all).size, all.length);
  });

  test('is not compared when it is too deep or has too many values', () => {
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    assert.equal(meaning(`{"jsonrpc":"2.0","id":1,"result":${deep}}`), undefined);
    assert.equal(meaning({ jsonrpc: '2.0', id: 1, result: Array(30_000).fill(0) }), undefined);
    const wide = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`k${index}`, 0]));
    assert.equal(meaning({ jsonrpc: '2.0', id: 1, result: wide }), undefined);
  });
});
