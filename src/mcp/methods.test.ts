// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  allowsBatch,
  errorName,
  isDistinctive,
  methodOf,
  methodsIn,
  PROTOCOL_VERSIONS,
  targetOf,
} from './methods.ts';

const BASE = [
  'completion/complete',
  'initialize',
  'logging/setLevel',
  'notifications/cancelled',
  'notifications/initialized',
  'notifications/message',
  'notifications/progress',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/roots/list_changed',
  'notifications/tools/list_changed',
  'ping',
  'prompts/get',
  'prompts/list',
  'resources/list',
  'resources/read',
  'resources/subscribe',
  'resources/templates/list',
  'resources/unsubscribe',
  'roots/list',
  'sampling/createMessage',
  'tools/call',
  'tools/list',
];

const ADDED_2025_11_25 = [
  'notifications/elicitation/complete',
  'notifications/tasks/status',
  'tasks/cancel',
  'tasks/get',
  'tasks/list',
  'tasks/result',
];

const IN_2026_07_28 = [
  'completion/complete',
  'elicitation/create',
  'notifications/cancelled',
  'notifications/message',
  'notifications/progress',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/subscriptions/acknowledged',
  'notifications/tools/list_changed',
  'prompts/get',
  'prompts/list',
  'resources/list',
  'resources/read',
  'resources/templates/list',
  'roots/list',
  'sampling/createMessage',
  'server/discover',
  'subscriptions/listen',
  'tools/call',
  'tools/list',
];

const EXTENSION_ONLY = ['notifications/tasks', 'tasks/update'];

const ALL = [
  ...new Set([...BASE, 'elicitation/create', ...ADDED_2025_11_25, ...IN_2026_07_28, ...EXTENSION_ONLY]),
];

const PROTOTYPE_NAMES = Object.getOwnPropertyNames(Object.prototype);

describe('protocol versions', () => {
  test('are the five released ones, oldest first', () => {
    assert.deepEqual(PROTOCOL_VERSIONS, [
      '2024-11-05',
      '2025-03-26',
      '2025-06-18',
      '2025-11-25',
      '2026-07-28',
    ]);
    assert.deepEqual([...PROTOCOL_VERSIONS].sort(), [...PROTOCOL_VERSIONS]);
  });

  test('only 2025-03-26 allows batches', () => {
    assert.deepEqual(PROTOCOL_VERSIONS.filter(allowsBatch), ['2025-03-26']);
  });
});

describe('method tables', () => {
  const sorted = (version: (typeof PROTOCOL_VERSIONS)[number]) => [...methodsIn(version)].sort();

  test('2024-11-05 has the 24 base methods, and 2025-03-26 the same', () => {
    assert.equal(BASE.length, 24);
    assert.deepEqual(sorted('2024-11-05'), BASE);
    assert.deepEqual(sorted('2025-03-26'), BASE);
  });

  test('2025-06-18 adds elicitation/create', () => {
    assert.deepEqual(sorted('2025-06-18'), [...BASE, 'elicitation/create'].sort());
  });

  test('2025-11-25 adds tasks and the end of URL elicitation', () => {
    assert.deepEqual(sorted('2025-11-25'), [...BASE, 'elicitation/create', ...ADDED_2025_11_25].sort());
  });

  test('2026-07-28 has exactly 21 methods', () => {
    assert.equal(IN_2026_07_28.length, 21);
    assert.deepEqual(sorted('2026-07-28'), IN_2026_07_28);
  });

  test('the tasks extension has get, update, cancel and one notification', () => {
    const names = ALL.filter((name) => methodOf(name)?.extension === 'io.modelcontextprotocol/tasks');
    assert.deepEqual(names.sort(), ['notifications/tasks', 'tasks/cancel', 'tasks/get', 'tasks/update']);
    for (const name of EXTENSION_ONLY) assert.deepEqual(methodOf(name)?.versions, []);
  });

  test('a method lists the versions whose table has it', () => {
    for (const name of ALL) {
      const versions = PROTOCOL_VERSIONS.filter((version) => methodsIn(version).has(name));
      assert.deepEqual(methodOf(name)?.versions, versions, name);
    }
  });

  test('what begins with notifications/ is a notification, all else a request', () => {
    for (const name of ALL) {
      assert.equal(
        methodOf(name)?.kind,
        name.startsWith('notifications/') ? 'notification' : 'request',
        name,
      );
    }
  });

  test('every method has a short description of its own wording', () => {
    assert.equal(methodOf('tools/call')?.description, 'Execute a tool');
    for (const name of ALL) assert.match(methodOf(name)?.description ?? '', /^[A-Z][\w -]{5,44}$/, name);
  });

  test('the sender is who the specification says', () => {
    const by = (sender: string) => ALL.filter((name) => methodOf(name)?.sender === sender).sort();
    assert.deepEqual(by('server'), [
      'elicitation/create',
      'notifications/elicitation/complete',
      'notifications/message',
      'notifications/prompts/list_changed',
      'notifications/resources/list_changed',
      'notifications/resources/updated',
      'notifications/subscriptions/acknowledged',
      'notifications/tasks',
      'notifications/tools/list_changed',
      'roots/list',
      'sampling/createMessage',
    ]);
    assert.deepEqual(by('either'), [
      'notifications/cancelled',
      'notifications/progress',
      'notifications/tasks/status',
      'ping',
      'tasks/cancel',
      'tasks/get',
      'tasks/list',
      'tasks/result',
    ]);
  });

  test('unknown names and names of Object.prototype are no methods', () => {
    for (const name of ['', 'tools/Call', 'tools/call ', 'vendor/x', ...PROTOTYPE_NAMES]) {
      assert.equal(methodOf(name), undefined, name);
      assert.equal(isDistinctive(name), false, name);
      assert.equal(targetOf(name, { name: 'x' }), undefined, name);
    }
  });
});

describe('distinctive names', () => {
  test('are all but those that other protocols have', () => {
    assert.deepEqual(ALL.filter((name) => !isDistinctive(name)).sort(), [
      'initialize',
      'ping',
      'tasks/cancel',
      'tasks/get',
      'tasks/list',
      'tasks/result',
      'tasks/update',
    ]);
  });
});

describe('target', () => {
  const cases: readonly [string, unknown, string | undefined][] = [
    ['tools/call', { name: 'get_weather', arguments: {} }, 'get_weather'],
    ['prompts/get', { name: 'review' }, 'review'],
    ['resources/read', { uri: 'file:///a' }, 'file:///a'],
    ['resources/subscribe', { uri: 'file:///a' }, 'file:///a'],
    ['resources/unsubscribe', { uri: 'file:///a' }, 'file:///a'],
    ['notifications/resources/updated', { uri: 'file:///a' }, 'file:///a'],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'review' } }, 'review'],
    ['completion/complete', { ref: { type: 'ref/resource', uri: 'file:///{p}' } }, 'file:///{p}'],
    ['logging/setLevel', { level: 'debug' }, 'debug'],
    ['notifications/message', { level: 'error', data: 'x' }, 'error'],
    ['notifications/progress', { progressToken: 7, progress: 1 }, '7'],
    ['notifications/progress', { progressToken: 'a' }, 'a'],
    ['notifications/cancelled', { requestId: 12 }, '12'],
    ['notifications/elicitation/complete', { elicitationId: 'e1' }, 'e1'],
    ['tasks/get', { taskId: 't1' }, 't1'],
    ['tasks/result', { taskId: 't1' }, 't1'],
    ['tasks/cancel', { taskId: 't1' }, 't1'],
    ['tasks/update', { taskId: 't1' }, 't1'],
    ['notifications/tasks', { taskId: 't1' }, 't1'],
    ['notifications/tasks/status', { taskId: 't1' }, 't1'],
    ['tools/list', { name: 'x' }, undefined],
    ['vendor/x', { name: 'x' }, undefined],
  ];
  for (const [name, params, target] of cases) {
    test(`of ${name} ${JSON.stringify(params)} is ${target}`, () =>
      assert.equal(targetOf(name, params), target));
  }

  test('is absent when params is no object or the member is neither string nor safe integer', () => {
    for (const params of [undefined, null, 1, 'name', true, [], ['name'], {}]) {
      assert.equal(targetOf('tools/call', params), undefined);
    }
    for (const name of [null, {}, [], true, 1.5, Number.POSITIVE_INFINITY, 2 ** 53, { toString: 'x' }]) {
      assert.equal(targetOf('tools/call', { name }), undefined);
    }
    assert.equal(targetOf('completion/complete', { ref: 'review' }), undefined);
    assert.equal(targetOf('completion/complete', { ref: null }), undefined);
  });

  test('is never inherited', () => {
    assert.equal(targetOf('tools/call', Object.create({ name: 'x' })), undefined);
    assert.equal(targetOf('tools/call', JSON.parse('{"__proto__":{"name":"x"}}')), undefined);
  });

  test('never throws, whatever the params', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ALL), fc.anything({ withNullPrototype: true }), (name, params) => {
        const target = targetOf(name, params);
        assert.ok(target === undefined || typeof target === 'string');
      }),
    );
  });
});

describe('error names', () => {
  test('cover JSON-RPC and every MCP version', () => {
    assert.equal(errorName(-32700), 'Parse error');
    assert.equal(errorName(-32600), 'Invalid Request');
    assert.equal(errorName(-32601), 'Method not found');
    assert.equal(errorName(-32602), 'Invalid params');
    assert.equal(errorName(-32603), 'Internal error');
    assert.equal(errorName(-32002), 'Resource not found');
    assert.equal(errorName(-32042), 'URL elicitation required');
    assert.equal(errorName(-32020), 'Header mismatch');
    assert.equal(errorName(-32021), 'Missing required client capability');
    assert.equal(errorName(-32022), 'Unsupported protocol version');
  });

  test('are absent where implementations choose their own meaning', () => {
    for (const code of [-32000, -32001, -32003, -32019, 0, 1, 404, Number.NaN]) {
      assert.equal(errorName(code), undefined);
    }
  });
});
