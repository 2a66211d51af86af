// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { provesMcp } from './evidence.ts';
import { parseFrame } from './jsonrpc.ts';

function proves(message: Readonly<Record<string, unknown>>): boolean {
  const frame = parseFrame(JSON.stringify({ jsonrpc: '2.0', ...message }));
  assert.ok(frame.type === 'messages', JSON.stringify(frame));
  return frame.messages.some(provesMcp);
}

describe('a message proves MCP', () => {
  test('by a method that no other protocol has', () => {
    assert.ok(proves({ id: 1, method: 'tools/call', params: { name: 'x' } }));
    assert.ok(proves({ method: 'notifications/initialized' }));
    assert.ok(proves({ id: 1, method: 'sampling/createMessage' }));
  });

  test('by an `initialize` that names a protocol version, and by its answer', () => {
    assert.ok(proves({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } }));
    assert.ok(proves({ id: 1, result: { protocolVersion: '2025-06-18', serverInfo: { name: 's' } } }));
  });

  test('by a key of `_meta` that MCP reserves, in a request, a notification or a result', () => {
    const meta = { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } };
    assert.ok(proves({ id: 1, method: 'server/anything', params: meta }));
    assert.ok(proves({ method: 'anything', params: meta }));
    assert.ok(proves({ id: 1, result: meta }));
  });
});

describe('a message does not prove MCP', () => {
  test('by a method that others have, too', () => {
    assert.ok(!proves({ id: 1, method: 'ping' }));
    assert.ok(!proves({ id: 1, method: 'tasks/get', params: { id: 'a' } }));
    assert.ok(!proves({ id: 1, method: 'textDocument/hover', params: {} }));
    assert.ok(!proves({ id: 1, method: 'eth_call', params: [] }));
  });

  test('by the `initialize` of the Language Server Protocol, or its answer', () => {
    const params = { processId: 1, clientInfo: { name: 'vim' }, capabilities: {} };
    assert.ok(!proves({ id: 1, method: 'initialize', params }));
    assert.ok(!proves({ id: 1, result: { capabilities: {}, serverInfo: { name: 'clangd' } } }));
  });

  test('by values of the wrong kind where evidence would be', () => {
    assert.ok(!proves({ id: 1, method: 'initialize', params: { protocolVersion: 1 } }));
    assert.ok(!proves({ id: 1, method: 'initialize', params: ['protocolVersion'] }));
    assert.ok(!proves({ id: 1, method: 'x', params: { _meta: 'io.modelcontextprotocol/x' } }));
    assert.ok(!proves({ id: 1, method: 'x', params: { _meta: ['io.modelcontextprotocol/x'] } }));
    assert.ok(!proves({ id: 1, method: 'x', params: { _meta: { progressToken: 1 } } }));
    assert.ok(!proves({ id: 1, result: 'text' }));
    assert.ok(!proves({ id: 1, result: { protocolVersion: '1', serverInfo: 'x' } }));
    assert.ok(!proves({ id: 1, error: { code: 1, message: 'tools/call' } }));
  });

  test('by the name of something that every object inherits', () => {
    assert.ok(!proves({ id: 1, method: 'constructor' }));
    assert.ok(!proves({ id: 1, method: '__proto__' }));
  });
});
