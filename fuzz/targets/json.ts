// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { idKey, parseFrame } from '../../src/mcp/jsonrpc.ts';
import { LargeMessage } from '../../src/mcp/large-message.ts';
import { objectSpans } from '../../src/protocols/json-bytes.ts';
import { arrayElements, objectMembers } from '../../src/protocols/json-members.ts';
import { WireText } from '../../src/protocols/wire-text.ts';
import { bytesOf, whole } from '../input.ts';
import type { Target } from '../target.ts';

function parsed(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const same = (text: string | undefined, value: unknown) => assert.deepEqual(parsed(text ?? '')?.value, value);

/** What the scanners find must be what JSON.parse does. */
export const json: Target = {
  name: 'json',
  tokens: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '\\u00e9',
    '\\ud800',
    '\\"',
    'true',
    'null',
    '-0',
    '1e400',
    '1.5',
    '"jsonrpc":"2.0"',
    '"id":',
    '"method":',
    '"params":',
    '"result":',
    '"error":{"code":1,"message":""}',
    '"__proto__":',
    '\n',
    ' ',
    '\xc3\xa9',
    '12345678901234567890',
  ],
  steps: { perByte: 200, base: 1500 },
  seeds: () =>
    [
      '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"h\\u00e9 \\"x\\""}}}',
      '{"jsonrpc":"2.0","id":"a\\"b","result":{"content":[{"type":"text","text":"{\\"a\\":[1,2]}"}],"isError":false}}',
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error","data":[null,true,1.5e3]}}',
      '[{"jsonrpc":"2.0","method":"a"},1,{"jsonrpc":"2.0","id":12345678901234567890,"method":"b","params":[]}]',
      ' { "a" : 1 , "a" : { } , "__proto__" : [ ] } ',
    ].map((text) => whole(text)),
  run(input) {
    const bytes = bytesOf(input);
    if (!isUtf8(bytes)) return 'no text';
    const text = bytes.toString('utf8');
    const truth = parsed(text);
    const members = objectMembers(text);
    const elements = arrayElements(text);
    const frame = parseFrame(text);
    const spans = objectSpans(bytes);
    assert.equal(frame.type === 'not-json', truth === undefined);
    if (!truth) {
      assert.equal(spans, undefined, 'what is accepted is JSON');
      return 'not JSON';
    }
    const { value } = truth;
    if (Array.isArray(value)) {
      assert.equal(elements.length, value.length);
      for (const [n, element] of elements.entries()) same(element, value[n]);
    } else if (typeof value === 'object' && value !== null) {
      for (const key of Object.keys(value)) same(members.get(key), (value as Record<string, unknown>)[key]);
      if (spans) assert.deepEqual([...spans.keys()].sort(), Object.keys(value).sort());
      for (const [key, { start, end }] of spans ?? [])
        same(bytes.toString('utf8', start, end), (value as Record<string, unknown>)[key]);
    }
    if (frame.type !== 'messages') return frame.type;
    const large = frame.batch ? undefined : LargeMessage.from(new WireText(Buffer.from(bytes)));
    const out = frame.messages.map((message) => {
      const { id, method, type, warnings } = message;
      assert.ok(warnings.length <= 17);
      const params = message.member('params') ?? message.member('result') ?? message.member('error');
      const key = id && idKey(id);
      if (id)
        assert.equal(idKey({ text: key?.startsWith('"') ? JSON.stringify(key.slice(1)) : `${key}` }), key);
      if (large)
        assert.deepEqual(
          [large.id, large.type, large.method, large.member('params')],
          [id, type, method, message.member('params')],
        );
      return `${type} ${key} ${method} ${params?.length}`;
    });
    return out.join();
  },
};
