// SPDX-License-Identifier: Apache-2.0
/** What is JSON-RPC but not MCP, and what is only JSON. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture } from '../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertOrderly,
  assertPaired,
  call,
  converse,
  notification,
  open,
  request,
  SERVER,
} from '../support/truth.ts';

const skip = cannotCapture;

/** A language server, an Ethereum node, a program that speaks JSON but no JSON-RPC, and one MCP server. */
const steps = [
  { start: 'lsp', command: SERVER },
  ...ask('lsp', request(1, 'textDocument/hover', { position: { line: 1, character: 2 } })),
  { send: 'lsp', text: notification('textDocument/didOpen', { uri: 'file:///x' }) },
  ...ask('lsp', request(2, 'workspace/no-such', {})),
  { start: 'eth', command: SERVER, via: 'socketpair' },
  ...ask('eth', request(1, 'eth_call', { to: '0x0' })),
  {
    start: 'logs',
    command: [
      ...SERVER,
      '--print',
      '{"level":"info","msg":"up"}',
      '--print',
      '{"level":"info","msg":"still up"}',
    ],
  },
  { lines: 'logs', count: 2 },
  ...open('mcp'),
  ...ask('mcp', call(1, 'echo')),
  { close: 'lsp' },
  { close: 'eth' },
  { close: 'logs' },
  { close: 'mcp' },
];

test('JSON-RPC of other protocols and other JSON stay out by default', { skip }, async () => {
  const { capture, truth } = await converse(steps);
  assert.equal(capture.code, 0, capture.stderr);
  assertOrderly(capture);
  assertPaired(
    assertExactly(
      capture,
      truth.sent().filter(({ link }) => link === 'mcp'),
    ),
  );
  assert.equal(capture.summary.servers.length, 1);
  assert.equal(capture.summary.frames.request, 2);
});

test('--all-jsonrpc shows the other JSON-RPC, paired and marked as foreign, but no other JSON', {
  skip,
}, async () => {
  const { capture, truth } = await converse(steps, { options: ['-q', '--all-jsonrpc'] });
  assert.equal(capture.code, 0, capture.stderr);
  assertOrderly(capture);
  const matches = assertExactly(
    capture,
    truth.sent().filter(({ link }) => link !== 'logs'),
  );
  assertPaired(matches);
  for (const { link, line } of matches)
    assert.equal(line.foreign, link === 'mcp' ? undefined : true, line.raw);
  assert.equal(capture.summary.servers.length, 1);
});

test('--all-jsonrpc goes on showing a foreign stream, however much it has carried; without it, its bulk disturbs nobody', {
  skip,
}, async () => {
  const bulk = [
    { start: 'lsp', command: SERVER },
    ...open('mcp'),
    {
      parallel: [
        [{ burst: 'lsp', first: 1, count: 4000, method: 'textDocument/hover' }],
        [{ burst: 'mcp', first: 1, count: 500 }],
      ],
    },
    { close: 'lsp' },
    { close: 'mcp' },
  ];
  for (const all of [true, false]) {
    const { capture, truth } = await converse(bulk, { options: all ? ['-q', '--all-jsonrpc'] : ['-q'] });
    assert.equal(capture.code, 0, capture.stderr);
    assertOrderly(capture);
    assertPaired(
      assertExactly(
        capture,
        truth.sent().filter(({ link }) => all || link === 'mcp'),
      ),
    );
  }
});

test('a connection that shows itself to be MCP only after a while is shown from its first message', {
  skip,
}, async () => {
  const { capture, truth } = await converse([
    { start: 'link', command: SERVER },
    ...ask('link', request(1, 'ping')),
    ...ask('link', request(2, 'x/own', { v: 1 })),
    ...ask('link', call(3, 'echo')),
    { close: 'link' },
  ]);
  assert.equal(capture.code, 0, capture.stderr);
  assertOrderly(capture);
  assertPaired(assertExactly(capture, truth.sent()));
});

test('a stateless conversation of 2026-07-28: no initialize; both names and the version come from _meta', {
  skip,
}, async () => {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'stateless-client', version: '9' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const { capture, truth } = await converse([
    { start: 'link', command: [...SERVER, '--name', 'stateless-server'] },
    ...ask('link', request(1, 'server/discover', { _meta })),
    ...ask('link', request(2, 'tools/list', { _meta })),
    ...ask('link', request(3, 'tools/call', { name: 'echo', arguments: {}, _meta })),
    { close: 'link' },
  ]);
  assert.equal(capture.code, 0, capture.stderr);
  assertOrderly(capture);
  const matches = assertExactly(capture, truth.sent());
  assertPaired(matches);
  const [{ server, client, protocol_version, messages }, ...others] = capture.summary.servers;
  assert.deepEqual(others, []);
  assert.deepEqual(
    [server.name, server.version, client.name, client.version],
    ['stateless-server', '1.2.3', 'stateless-client', '9'],
  );
  assert.deepEqual([protocol_version, messages], ['2026-07-28', 6]);
  assert.equal(server.endpoint.pid, matches.find(({ direction }) => direction === 'to client')?.from.pid);
});

test('a stateless conversation that never says server/discover is recognised by its first _meta', {
  skip,
}, async () => {
  const _meta = { 'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' } };
  const { capture, truth } = await converse([
    { start: 'link', command: SERVER },
    ...ask('link', request(1, 'x/own', { _meta })),
    ...ask('link', request(2, 'x/own', { _meta })),
    { close: 'link' },
  ]);
  assertOrderly(capture);
  assertPaired(assertExactly(capture, truth.sent()));
});
