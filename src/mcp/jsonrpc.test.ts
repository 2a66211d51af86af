// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { idKey, type ParsedFrame, parseFrame, type RpcMessage } from './jsonrpc.ts';

function only(text: string): RpcMessage {
  const frame = parseFrame(text);
  assert.equal(frame.type, 'messages');
  assert.equal(frame.type === 'messages' && frame.messages.length, 1);
  const message = frame.type === 'messages' ? frame.messages[0] : undefined;
  assert.ok(message !== undefined);
  return message;
}

function key(text: string): string {
  return idKey({ text });
}

describe('a single message', () => {
  test('with method and id is a request', () => {
    const raw = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x", "n": 1.0}}';
    const message = only(raw);
    assert.equal(message.type, 'request');
    assert.equal(message.method, 'tools/call');
    assert.deepEqual(message.id, { text: '7' });
    assert.equal(message.raw, raw);
    assert.equal(message.member('params'), '{"name":"x", "n": 1.0}');
    assert.equal(message.member('result'), undefined);
    assert.equal(message.member('error'), undefined);
    assert.deepEqual(message.warnings, []);
  });

  test('with method and no id is a notification', () => {
    const message = only('{"jsonrpc":"2.0","method":"notifications/initialized"}');
    assert.equal(message.type, 'notification');
    assert.equal(message.id, undefined);
    assert.equal(message.member('params'), undefined);
    assert.deepEqual(message.warnings, []);
  });

  test('with result or error is a response', () => {
    const result = only('{"result":{},"jsonrpc":"2.0","id":"a"}');
    assert.equal(result.type, 'response');
    assert.equal(result.method, undefined);
    assert.deepEqual(result.id, { text: '"a"' });
    assert.equal(result.member('result'), '{}');
    const error = only('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}');
    assert.equal(error.type, 'response');
    assert.equal(error.member('error'), '{"code":-32601,"message":"no"}');
    assert.deepEqual(error.warnings, []);
  });

  test('that reports an error may have id null or, since 2025-11-25, none', () => {
    const nullId = only('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}');
    assert.equal(nullId.id, undefined);
    assert.deepEqual(nullId.warnings, ['"id" is null']);
    const noId = only('{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}');
    assert.equal(noId.type, 'response');
    assert.equal(noId.id, undefined);
    assert.deepEqual(noId.warnings, ['"id" is missing']);
  });

  test('keeps its id exactly as written', () => {
    for (const id of ['0', '-0', '1.0', '1e0', '12345678901234567890', '""', '"\\u0061\\/"', '"7"', '0.5']) {
      assert.equal(only(`{"jsonrpc":"2.0","id": ${id} ,"method":"x"}`).id?.text, id);
      assert.equal(only(`{"jsonrpc":"2.0","result":{"id":1,"x":"\\"id\\":2"},"id":${id}}`).id?.text, id);
    }
  });

  test('may escape its keys and be surrounded by white space', () => {
    const raw =
      ' \t{ "\\u006asonrpc" : "2.0", "\\u0069d" : 1.0, "\\u006dethod":"x", "para\\u006ds" : [ ] } \r';
    const message = only(raw);
    assert.equal(message.method, 'x');
    assert.equal(message.id?.text, '1.0');
    assert.equal(message.member('params'), '[ ]');
    assert.equal(message.raw, raw);
  });

  test('may have an array as params or any value as result, with a warning', () => {
    assert.deepEqual(only('{"jsonrpc":"2.0","method":"x","params":[1]}').warnings, ['"params" is an array']);
    for (const [result, kind] of [
      ['null', 'null'],
      ['false', 'a boolean'],
      ['0', 'a number'],
      ['""', 'a string'],
      ['[]', 'an array'],
    ]) {
      const message = only(`{"jsonrpc":"2.0","id":1,"result":${result}}`);
      assert.equal(message.member('result'), result);
      assert.deepEqual(message.warnings, [`"result" is ${kind}`]);
    }
  });

  test('has warnings for duplicate keys, of which the last counts', () => {
    const message = only(
      '{"jsonrpc":"2.0","id":1,"method":"a","id":2,"method":"b","params":{},"params":{"x":1}}',
    );
    assert.equal(message.method, 'b');
    assert.equal(message.id?.text, '2');
    assert.equal(message.member('params'), '{"x":1}');
    assert.deepEqual([...message.warnings].sort(), [
      'duplicate key "id"',
      'duplicate key "method"',
      'duplicate key "params"',
    ]);
  });

  test('has warnings for members that its type does not have', () => {
    assert.deepEqual(only('{"jsonrpc":"2.0","method":"x","extra":1,"__proto__":{}}').warnings, [
      'unknown member "extra"',
      'unknown member "__proto__"',
    ]);
    assert.deepEqual(only('{"jsonrpc":"2.0","id":1,"result":{},"params":{}}').warnings, [
      'unknown member "params"',
    ]);
  });

  test('has warnings for ids that peers may not keep', () => {
    assert.deepEqual(only('{"jsonrpc":"2.0","id":1.5,"method":"x"}').warnings, ['"id" is fractional']);
    assert.deepEqual(only('{"jsonrpc":"2.0","id":9007199254740993,"method":"x"}').warnings, [
      '"id" is beyond 2^53',
    ]);
  });

  test('has at most 17 warnings, of bounded length', () => {
    const members = Array.from({ length: 1000 }, (_, i) => `"${'k'.repeat(500)}${i}":0`).join();
    const { warnings } = only(`{"jsonrpc":"2.0","method":"x",${members}}`);
    assert.equal(warnings.length, 17);
    assert.equal(warnings[16], 'and more');
    assert.ok(warnings.every((warning) => warning.length < 100));
  });

  test('does not take members from a __proto__ member', () => {
    const text = '{"__proto__":{"jsonrpc":"2.0","method":"x"}}';
    assert.deepEqual(parseFrame(text), { type: 'json', reason: '"jsonrpc" is missing' });
  });
});

describe('JSON that is not JSON-RPC 2.0 is told by the first rule it breaks', () => {
  const cases: readonly [string, string][] = [
    ['1', 'a number, not an object'],
    ['"x"', 'a string, not an object'],
    ['null', 'null, not an object'],
    [' true', 'a boolean, not an object'],
    ['{}', '"jsonrpc" is missing'],
    ['{"jsonrpc":2.0,"method":"x"}', '"jsonrpc" is a number'],
    ['{"jsonrpc":"1.0","method":"x"}', '"jsonrpc" is "1.0", not "2.0"'],
    ['{"jsonrpc":"my secret token","method":"x"}', '"jsonrpc" is not "2.0"'],
    ['{"jsonrpc":"2.0"}', 'neither "method" nor "result" nor "error"'],
    ['{"jsonrpc":"2.0","id":1}', 'neither "method" nor "result" nor "error"'],
    ['{"jsonrpc":"2.0","method":null}', '"method" is null'],
    ['{"jsonrpc":"2.0","method":["x"]}', '"method" is an array'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","result":{}}', 'both "method" and "result"'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","error":{}}', 'both "method" and "error"'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","params":"p"}', '"params" is a string'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","params":null}', '"params" is null'],
    ['{"jsonrpc":"2.0","id":null,"method":"x"}', '"id" is null'],
    ['{"jsonrpc":"2.0","id":{},"method":"x"}', '"id" is an object'],
    ['{"jsonrpc":"2.0","id":[1],"method":"x"}', '"id" is an array'],
    ['{"jsonrpc":"2.0","id":true,"method":"x"}', '"id" is a boolean'],
    ['{"jsonrpc":"2.0","id":1e999,"method":"x"}', '"id" is out of range'],
    ['{"jsonrpc":"2.0","id":-1e999,"result":{}}', '"id" is out of range'],
    ['{"jsonrpc":"2.0","result":{}}', '"id" is missing'],
    ['{"jsonrpc":"2.0","id":null,"result":{}}', '"id" is null'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', 'both "result" and "error"'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":null}', 'both "result" and "error"'],
    ['{"jsonrpc":"2.0","id":1,"error":null}', '"error" is null'],
    ['{"jsonrpc":"2.0","id":1,"error":"no"}', '"error" is a string'],
    ['{"jsonrpc":"2.0","id":1,"error":{"message":"no"}}', '"error" has no integer "code"'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"no"}}', '"error" has no integer "code"'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"no"}}', '"error" has no integer "code"'],
    ['{"jsonrpc":"2.0","id":1,"error":{"code":1}}', '"error" has no string "message"'],
    ['{"jsonrpc":"2.0","id":{},"error":{"code":1,"message":"no"}}', '"id" is an object'],
    ['[]', 'empty batch'],
    ['[1,{}]', 'batch without a valid message: a number, not an object'],
  ];
  for (const [text, reason] of cases) {
    test(`${text}: ${reason}`, () => assert.deepEqual(parseFrame(text), { type: 'json', reason }));
  }
});

describe('text that is not JSON', () => {
  const cases: readonly [string, string][] = [
    ['', 'does not begin like JSON'],
    [' \t', 'does not begin like JSON'],
    ['INFO server started', 'does not begin like JSON'],
    ['\ufeff{}', 'does not begin like JSON'],
    ['null and void', 'Unexpected non-whitespace character at position 5'],
    ['{"jsonrpc":', 'Unexpected end of JSON input'],
    ['{"a":1}{"b":2}', 'Unexpected non-whitespace character at position 7'],
    ['{"a":"x', 'Unterminated string at position 7'],
    ["{'a':1}", "Expected property name or '}' at position 1"],
    ['{"a":1,}', 'Expected double-quoted property name at position 7'],
    ['[1 2]', "Expected ',' or ']' after array element at position 3"],
    ['{"a":"\u0001"}', 'Bad control character in string literal at position 6'],
    ['[-]', 'No number after minus sign at position 2'],
    ['{"a":hunter2}', 'Unexpected token'],
    ['[warn] hunter2', 'Unexpected token'],
    ['{"a":Z in JSON at position 5}', 'Unexpected token'],
  ];
  for (const [text, reason] of cases) {
    test(`${JSON.stringify(text)}: ${reason}`, () =>
      assert.deepEqual(parseFrame(text), { type: 'not-json', reason }));
  }

  test('is never quoted in the reason', () => {
    const word = fc.stringMatching(/^[0-9]{2}[a-z]{6,30}$/);
    const around = fc.constantFrom(
      '{',
      '[',
      '{"',
      '["',
      '{"a":',
      '{"a":1 ',
      '"',
      '-',
      'n',
      '1e',
      '[[[',
      '{"a\\',
    );
    fc.assert(
      fc.property(around, word, around, (before, secret, after) => {
        const frame = parseFrame(before + secret + after);
        if (frame.type === 'messages') assert.fail();
        assert.ok(!frame.reason.includes(secret.slice(2)), frame.reason);
      }),
    );
  });
});

describe('a batch', () => {
  const request = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  const note = '{"jsonrpc":"2.0", "method":"notifications/initialized"}';

  test('is an array of messages, each with its own exact text', () => {
    const frame = parseFrame(` [ ${request} ,\t${note}] `);
    assert.ok(frame.type === 'messages');
    assert.equal(frame.batch, true);
    assert.deepEqual(
      frame.messages.map((message) => [message.type, message.raw]),
      [
        ['request', request],
        ['notification', note],
      ],
    );
    assert.deepEqual(frame.invalid, []);
    assert.equal(frame.messages[0]?.id?.text, '1');
  });

  test('of one message is still a batch', () => {
    const frame = parseFrame(`[${note}]`);
    assert.ok(frame.type === 'messages' && frame.batch);
  });

  test('may have invalid elements, each told on its own', () => {
    const frame = parseFrame(`[1,${request},[${note}],{"jsonrpc":"2.0"}]`);
    assert.ok(frame.type === 'messages');
    assert.deepEqual(
      frame.messages.map((message) => message.raw),
      [request],
    );
    assert.deepEqual(frame.invalid, [
      { index: 0, reason: 'a number, not an object', raw: '1' },
      { index: 2, reason: 'an array, not an object', raw: `[${note}]` },
      { index: 3, reason: 'neither "method" nor "result" nor "error"', raw: '{"jsonrpc":"2.0"}' },
    ]);
  });

  test('of more than 65536 elements is refused', () => {
    const frame = parseFrame(`[${'1,'.repeat(65_536)}${request}]`);
    assert.deepEqual(frame, { type: 'json', reason: 'batch of more than 65536 elements' });
  });
});

describe('hostile input', () => {
  const depth = 100_000;
  const deep = `${'['.repeat(depth)}${']'.repeat(depth)}`;

  test('nested 100,000 deep is parsed, and its members cut out', () => {
    const message = only(`{"jsonrpc":"2.0","method":"x","params":{"a":${deep}},"id":3}`);
    assert.equal(message.member('params')?.length, deep.length + 6);
    assert.equal(message.id?.text, '3');
    const objects = `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    assert.equal(only(`{"jsonrpc":"2.0","id":1,"result":${objects}}`).member('result'), objects);
    assert.equal(parseFrame(deep).type, 'json');
    assert.equal(parseFrame('['.repeat(depth)).type, 'not-json');
  });

  test('with lone surrogates is kept', () => {
    const message = only('{"jsonrpc":"2.0","id":"\ud800","method":"\udc00","params":{"\ud800":"\\ud800"}}');
    assert.equal(message.id?.text, '"\ud800"');
    assert.equal(message.member('params'), '{"\ud800":"\\ud800"}');
  });

  test('of 60 MiB is parsed within seconds', () => {
    const big = 'x'.repeat(60 << 20);
    const started = performance.now();
    const message = only(`{"jsonrpc":"2.0","id":1,"result":{"text":"${big}"}}`);
    assert.equal(message.member('result')?.length, big.length + 11);
    assert.ok(performance.now() - started < 5000);
  });
});

describe('id keys', () => {
  test('of strings and numbers differ', () => assert.notEqual(key('"1"'), key('1')));

  test('of strings are equal when their characters are', () => {
    assert.equal(key('"a/b"'), key('"\\u0061\\/b"'));
    assert.notEqual(key('"a"'), key('"A"'));
    assert.notEqual(key('""'), key('"\\""'));
    assert.equal(key('"\ud800"'), key('"\\ud800"'));
  });

  test('of numbers are equal when their values are', () => {
    for (const one of ['1', '1.0', '1e0', '1E+0', '0.1e1', '10e-1', '100.00e-2']) assert.equal(key(one), '1');
    for (const zero of ['0', '-0', '0.0', '0e5', '-0.00e-9']) assert.equal(key(zero), '0');
    assert.equal(key('1e3'), '1000');
    assert.equal(key('-120'), key('-1.2e2'));
    assert.equal(key('0.5'), key('5e-1'));
    assert.notEqual(key('1'), key('-1'));
    assert.notEqual(key('0.5'), key('5'));
  });

  test('of large integers are exact', () => {
    assert.notEqual(key('9007199254740993'), key('9007199254740992'));
    assert.equal(key('9007199254740993.0'), '9007199254740993');
    assert.notEqual(key('12345678901234567890'), key('12345678901234567891'));
    assert.equal(key('1e20'), '100000000000000000000');
  });

  test('of absurd exponents are small', () => {
    for (const text of [
      '1e308',
      '1e-999999999',
      '1e999999999',
      '1e-99999999999999999999',
      '-1e99999999999999999999',
    ]) {
      assert.ok(key(text).length < 410);
    }
    assert.notEqual(key('1e-99999999999999999999'), key('1e-99999999999999999998'));
  });

  test('of any double agree with its value, however it is written', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (n) => {
        assert.equal(key(String(n)), key(n.toExponential()));
        assert.equal(Number(key(String(n))), n === 0 ? 0 : n);
      }),
    );
  });
});

describe('for any input', () => {
  const id = fc.oneof(fc.string({ unit: 'binary' }), fc.maxSafeInteger());
  const params = fc.option(fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.array(fc.jsonValue())), {
    nil: undefined,
  });
  const method = fc.string();
  const request = fc.record({ jsonrpc: fc.constant('2.0'), id, method, params });
  const notification = fc.record({ jsonrpc: fc.constant('2.0'), method, params });
  const result = fc.record({ jsonrpc: fc.constant('2.0'), id, result: fc.jsonValue() });
  const error = fc.record({
    jsonrpc: fc.constant('2.0'),
    id: fc.option(id),
    error: fc.record(
      { code: fc.integer(), message: fc.string(), data: fc.jsonValue() },
      { requiredKeys: ['code', 'message'] },
    ),
  });
  const wellFormed = fc.oneof(request, notification, result, error);
  const spaces = fc.constantFrom(undefined, 1, '\t');

  const typeOf = (message: object) =>
    !('method' in message) ? 'response' : 'id' in message ? 'request' : 'notification';

  function assertSame(parsed: RpcMessage, message: Record<string, unknown>): void {
    // As JSON has it: without members that are undefined, and -0 as 0.
    const expected = JSON.parse(JSON.stringify(message)) as Record<string, unknown>;
    assert.equal(parsed.type, typeOf(message));
    assert.equal(parsed.method, expected.method);
    assert.deepEqual(parsed.value, expected);
    assert.deepEqual(JSON.parse(parsed.raw), expected);
    assert.equal(parsed.id && JSON.parse(parsed.id.text), expected.id ?? undefined);
    for (const name of ['params', 'result', 'error'] as const) {
      const text = parsed.member(name);
      assert.deepEqual(text === undefined ? undefined : JSON.parse(text), expected[name]);
    }
    assert.ok(parsed.warnings.every((warning) => warning.startsWith('"')));
  }

  test('a well-formed message is classified right and cut exactly, in any order of members', () => {
    fc.assert(
      fc.property(wellFormed, spaces, fc.infiniteStream(fc.nat()), (message, space, order) => {
        const shuffled = Object.fromEntries(
          Object.entries(message)
            .map((entry) => [order.next().value ?? 0, entry] as const)
            .sort(([a], [b]) => a - b)
            .map(([, entry]) => entry),
        );
        assertSame(only(JSON.stringify(shuffled, null, space)), message);
      }),
    );
  });

  test('the text of a batch element parses to that element', () => {
    const elements = fc.array(fc.oneof(wellFormed, fc.jsonValue()), { minLength: 1 });
    fc.assert(
      fc.property(elements, request, spaces, (some, last, space) => {
        const batch = [...some, last];
        const text = JSON.stringify(batch, null, space);
        const frame = parseFrame(text);
        assert.ok(frame.type === 'messages' && frame.batch);
        assert.equal(frame.messages.length + frame.invalid.length, batch.length);
        const texts = frame.messages.map((message) => message.raw);
        for (const { index, raw } of frame.invalid) texts.splice(index, 0, raw);
        assert.deepEqual(
          texts.map((raw) => JSON.parse(raw)),
          JSON.parse(text),
        );
      }),
    );
  });

  function readAll(frame: ParsedFrame): void {
    if (frame.type !== 'messages') {
      assert.ok(frame.reason.length > 0 && frame.reason.length < 120);
      return;
    }
    assert.ok(frame.messages.length > 0);
    for (const message of frame.messages) {
      if (message.id !== undefined) idKey(message.id);
      for (const name of ['params', 'result', 'error'] as const) message.member(name);
      assert.ok(message.warnings.length <= 17);
    }
  }

  test('random JSON never throws', () => {
    const member = fc.oneof(fc.jsonValue(), fc.constantFrom('2.0', null, 1));
    const almost = fc.dictionary(
      fc.constantFrom('jsonrpc', 'id', 'method', 'params', 'result', 'error', '__proto__', 'x'),
      member,
    );
    fc.assert(
      fc.property(fc.oneof(almost, fc.array(almost), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        const frame = parseFrame(text);
        assert.notEqual(frame.type, 'not-json');
        readAll(frame);
      }),
    );
  });

  test('random text never throws', () => {
    const junk = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(
          fc.constantFrom(
            '{',
            '}',
            '[',
            ']',
            '"',
            ',',
            ':',
            '\\',
            '1',
            'e',
            '-',
            'null',
            '"jsonrpc":"2.0"',
            ' ',
          ),
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(fc.property(junk, (text) => readAll(parseFrame(text))));
  });
});
