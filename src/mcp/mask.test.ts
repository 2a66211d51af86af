// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Mask, pathAndQuery, pathOf, sessionInQuery } from './mask.ts';

describe('a session', () => {
  test('keeps its first four characters and gets four digits that tell it from others', () => {
    const mask = new Mask();
    const ids = Array.from({ length: 20 }, (_, index) => `abcdefghijklmnop${index}`);
    const masked = ids.map((id) => mask.session(id));
    for (const each of masked) assert.match(each, /^abcd…[0-9a-f]{4}$/);
    assert.ok(new Set(masked).size > 15);
    assert.equal(mask.session('abcdefghijklmnop0'), masked[0]);
  });

  test('that is short keeps a quarter at most', () => {
    const mask = new Mask();
    assert.match(mask.session('12345678'), /^12…/);
    assert.match(mask.session('123'), /^…/);
  });

  test('looks otherwise in every capture', () => {
    const looks = new Set(Array.from({ length: 20 }, () => new Mask().session('0123456789abcdef')));
    assert.ok(looks.size > 15);
  });

  test('is found in a query, by any of its names', () => {
    for (const name of ['sessionId', 'session_id', 'sessionid', 'session-id', 'SESSIONID'])
      assert.equal(sessionInQuery(`/messages?a=1&${name}=x%2Fy&b`), 'x/y');
    for (const target of ['/messages', '/messages?', '/messages?sessionId', '/m?sessionId=', '/sessionId=x'])
      assert.equal(sessionInQuery(target), undefined);
  });
});

describe('a path', () => {
  test('is what it was, but for what is secret in the query', () => {
    const own = new Mask();
    assert.equal(own.path('/mcp'), '/mcp');
    assert.equal(own.path('/mcp?a=1&b&=c&%zz=1'), '/mcp?a=1&b&=c&%zz=1');
    assert.equal(
      own.path('/mcp?token=abc&apiKey=d&x%74oken=1&password='),
      '/mcp?token=***&apiKey=***&x%74oken=***&password=',
    );
    assert.equal(own.path('https://u:p@host:1/mcp?key=1'), '/mcp?key=***');
    assert.equal(own.path('*'), '*');
    assert.equal(own.host('u:p@host:1'), 'host:1');
  });

  test('is cut from any form of target', () => {
    assert.equal(pathAndQuery('http://host/mcp?a'), '/mcp?a');
    assert.equal(pathAndQuery('http://host'), '/');
    assert.equal(pathAndQuery('http://host?a'), '/?a');
    assert.equal(pathOf('http://host/mcp?a#b'), '/mcp');
    assert.equal(pathOf('/mcp'), '/mcp');
  });

  test('of any kind never shows a session in its query', () => {
    const mask = new Mask();
    const id = fc.stringMatching(/^[a-z0-9]{12,40}$/);
    fc.assert(
      fc.property(fc.string(), id, fc.string(), (before, session, after) => {
        const target = `/${before.replaceAll('?', '')}?${after.replaceAll('&', '')}&sessionId=${session}`;
        assert.ok(!mask.path(target).endsWith(session));
      }),
      { numRuns: 300 },
    );
  });
});
