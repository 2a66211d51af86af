// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Headers } from '../protocols/http.ts';
import type { HttpExchange } from '../streams/frame.ts';
import { HttpExchangeState } from './http-exchange.ts';
import { Mask } from './mask.ts';
import { maskRepeated } from './secrets.ts';

type Fields = readonly (readonly [string, string])[];

/** An exchange with these headers. */
function exchange(request: Fields, response: Fields = [], target = '/mcp'): HttpExchangeState {
  return new HttpExchangeState({
    id: 1,
    request: { method: 'POST', target, authority: 'a', version: '1.1', headers: new Headers(request) },
    response: { status: 401, version: '1.1', headers: new Headers(response) },
  } as unknown as HttpExchange);
}

const mask = new Mask();
const masked = (text: string, state: HttpExchangeState) => maskRepeated(text, state, mask);

describe('what a body repeats of its own exchange is masked', () => {
  test('credentials, of Basic also what they encode; the scheme stays', () => {
    assert.equal(
      masked('no: Bearer abc.def, or abc.def', exchange([['authorization', 'Bearer abc.def']])),
      'no: Bearer ***, or ***',
    );
    const basic = Buffer.from('user:open sesame').toString('base64');
    assert.equal(
      masked(`${basic} is user:open sesame, open sesame`, exchange([['authorization', `Basic ${basic}`]])),
      '*** is ***, ***',
    );
    assert.equal(masked('raw-key!', exchange([['proxy-authorization', 'raw-key']])), '***!');
  });

  test('cookies that were sent and that were set, and keys', () => {
    const sent = exchange(
      [
        ['cookie', 'a=first1; b="second2"'],
        ['x-api-key', 'key-4711'],
        ['x-csrf-token', 'csrf-4711'],
      ],
      [['set-cookie', 'c=third3; Path=/; HttpOnly']],
    );
    assert.equal(
      masked('first1 second2 third3 key-4711 csrf-4711 HttpOnly', sent),
      '*** *** *** *** *** HttpOnly',
    );
  });

  test('sessions, by which they can still be followed, from the header or the query', () => {
    const session = 'abcdefgh-ijkl-mnop';
    const expected = mask.session(session);
    assert.equal(masked(`no ${session}`, exchange([['mcp-session-id', session]])), `no ${expected}`);
    assert.equal(masked(`no ${session}`, exchange([], [['mcp-session-id', session]])), `no ${expected}`);
    assert.equal(masked(`no ${session}`, exchange([], [], `/m?sessionId=${session}`)), `no ${expected}`);
    assert.equal(masked('at t%2Fken, t/ken', exchange([], [], '/m?token=t%2Fken')), 'at ***, ***');
  });

  test('as JSON and as a URI have it', () => {
    const state = exchange([['authorization', 'Bearer a/b"c+d=']]);
    const token = 'a/b"c+d=';
    for (const form of [token, JSON.stringify(token).slice(1, -1), 'a\\/b\\"c+d=', encodeURIComponent(token)])
      assert.equal(masked(`<${form}>`, state), '<***>', form);
  });

  test('also where the text was cut off within it', () => {
    const state = exchange([['authorization', 'Bearer 0123456789']]);
    assert.equal(masked('your token is 01234567', state), 'your token is ***');
    assert.equal(masked('your token is 0123', state), 'your token is ***');
    assert.equal(masked('the year 012', state), 'the year 012');
  });
});

test('what another exchange carried, and what is shorter than a secret, stays', () => {
  const state = exchange([
    ['cookie', 'a=1; b=on'],
    ['authorization', 'x'],
    ['content-type', 'application/json'],
  ]);
  const text = '{"error":"no token","type":"application/json","x":1,"on":true}';
  assert.equal(masked(text, state), text);
});

test('whatever the secret and the text around it, it is not there any more', () => {
  const token = fc.string({ minLength: 4, maxLength: 60 }).filter((text) => /^\S+$/.test(text));
  fc.assert(
    fc.property(token, fc.string(), fc.string(), (secret, before, after) => {
      fc.pre(!secret.includes('*'));
      const state = exchange([['authorization', `Bearer ${secret}`]]);
      assert.ok(!masked(`${before}${secret}${after}`, state).includes(secret));
    }),
    { numRuns: 500 },
  );
});
