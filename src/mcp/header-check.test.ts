// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Headers } from '../protocols/http.ts';
import { checkHeaders, decodeHeader } from './header-check.ts';
import { parseFrame, type RpcMessage } from './jsonrpc.ts';

const VERSION = { 'mcp-protocol-version': '2026-07-28' };

function messageOf(method: string, params: Record<string, unknown> = {}, version?: string): RpcMessage {
  const meta = version === undefined ? {} : { _meta: { 'io.modelcontextprotocol/protocolVersion': version } };
  const text = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, ...meta } });
  const parsed = parseFrame(text);
  assert.ok(parsed.type === 'messages' && parsed.messages[0]);
  return parsed.messages[0];
}

const headersOf = (fields: Record<string, string>) => new Headers(Object.entries(fields));
const check = (fields: Record<string, string>, message: RpcMessage) =>
  checkHeaders(headersOf(fields), message);
const call = (args: unknown, version = '2026-07-28') =>
  messageOf('tools/call', { name: 'echo', arguments: args }, version);

describe('a header value', () => {
  test('between the sentinels is base64 of UTF-8', () => {
    assert.equal(decodeHeader('=?base64?w6k=?='), 'é');
    assert.equal(decodeHeader('=?base64??='), '');
  });

  test('is itself when the sentinel is of another case, not whole, or holds no base64 or no UTF-8', () => {
    for (const value of ['=?BASE64?w6k=?=', '=?base64?w6k=', 'w6k=', '=?base64?*?=', '=?base64?/w==?='])
      assert.equal(decodeHeader(value), value);
  });

  test('of any text survives being encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(decodeHeader(`=?base64?${Buffer.from(text).toString('base64')}?=`), text);
      }),
    );
  });
});

describe('headers that say what the body says', () => {
  test('are worth no warning', () => {
    const both = { ...VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'echo' };
    assert.deepEqual(check(both, call({})), []);
    const encoded = { ...VERSION, 'mcp-method': 'tools/call', 'mcp-name': '=?base64?ZWNobw==?=' };
    assert.deepEqual(check(encoded, call({})), []);
    const read = { ...VERSION, 'mcp-method': 'resources/read', 'mcp-name': 'file:///x' };
    assert.deepEqual(check(read, messageOf('resources/read', { uri: 'file:///x' }, '2026-07-28')), []);
    const task = { ...VERSION, 'mcp-method': 'tasks/get', 'mcp-name': 't1' };
    assert.deepEqual(check(task, messageOf('tasks/get', { taskId: 't1' }, '2026-07-28')), []);
  });

  test('are not asked for before 2026-07-28', () => {
    assert.deepEqual(
      check({ 'mcp-protocol-version': '2025-11-25' }, messageOf('tools/call', { name: 'x' })),
      [],
    );
    assert.deepEqual(check({}, messageOf('tools/call', { name: 'x' })), []);
  });

  test('are not asked for where a name is unknown', () => {
    const headers = new Headers([
      ['mcp-protocol-version', '2026-07-28'],
      [undefined, 'tools/call'],
    ]);
    assert.deepEqual(checkHeaders(headers, call({})), []);
  });

  test('repeat arguments, of any type and at any depth', () => {
    const both = { ...VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'echo' };
    const args = { region: 'us', deep: [{ count: 3, on: true, off: null }] };
    for (const value of ['us', '3', 'true', '3.0', '=?base64?dXM=?='])
      assert.deepEqual(check({ ...both, 'mcp-param-x': value }, call(args)), []);
  });
});

describe('headers that say something else', () => {
  test('are a warning each', () => {
    const fields = { 'mcp-protocol-version': '2025-11-25', 'mcp-method': 'tools/list', 'mcp-name': 'x' };
    assert.deepEqual(check(fields, call({})), [
      'header MCP-Protocol-Version says "2025-11-25", the body "2026-07-28"',
      'header Mcp-Method says "tools/list", the body "tools/call"',
      'header Mcp-Name says "x", the body "echo"',
    ]);
  });

  test('are a warning when the body has no such thing', () => {
    const fields = { ...VERSION, 'mcp-method': 'tools/list', 'mcp-name': 'x' };
    assert.deepEqual(check(fields, messageOf('tools/list', {}, '2026-07-28')), [
      'header Mcp-Name says "x", the body does not',
    ]);
  });

  test('are a warning when they are missing, from 2026-07-28 on', () => {
    assert.deepEqual(check(VERSION, call({})), [
      'header Mcp-Method is missing',
      'header Mcp-Name is missing',
    ]);
    assert.deepEqual(check({}, call({})), [
      'header MCP-Protocol-Version is missing',
      'header Mcp-Method is missing',
      'header Mcp-Name is missing',
    ]);
  });

  test('are a warning when no argument has that value', () => {
    const both = { ...VERSION, 'mcp-method': 'tools/call', 'mcp-name': 'echo', 'mcp-param-region': 'eu' };
    assert.deepEqual(check(both, call({ region: 'us' })), [
      'header Mcp-Param-Region says "eu", no argument does',
    ]);
  });

  test('are quoted in part, and so are many', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`mcp-param-${index}`, 'x']));
    const warnings = check({ ...VERSION, 'mcp-method': 'y'.repeat(10_000), ...many }, call({}));
    assert.equal(warnings.length, 8);
    assert.ok(warnings.every((warning) => warning.length < 200));
  });
});
