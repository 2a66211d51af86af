// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { recognise } from './recognise.ts';

const said = (bytes: string | Buffer, joined = false) => {
  const speech = recognise(Buffer.from(bytes as string, 'latin1'), joined);
  return speech && ('side' in speech ? `${speech.protocol} ${speech.side}` : speech.protocol);
};

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64';

describe('the first bytes of a socket say what it speaks', () => {
  for (const [what, bytes, expected] of [
    ['a request line', 'POST /mcp HTTP/1.1\r\nHost: x\r\n', 'http1 request'],
    ['a request line of HTTP/1.0 that ends in a bare newline', 'GET / HTTP/1.0\n', 'http1 request'],
    ['a request behind an empty line', '\r\nPOST /mcp HTTP/1.1\r\n', 'http1 request'],
    ['a method of ones own', 'M-SEARCH * HTTP/1.1\r\n', 'http1 request'],
    ['a status line', 'HTTP/1.1 200 OK\r\n', 'http1 response'],
    ['a status line without a reason', 'HTTP/1.1 200\r\n', 'http1 response'],
    ['the preface of HTTP/2', PREFACE, 'http2 request'],
    ['the first SETTINGS of a server of HTTP/2', SETTINGS, 'http2 response'],
    ['an object', '{"jsonrpc":"2.0"}', 'lines'],
    ['an array', '[{"jsonrpc":"2.0"}]', 'lines'],
    ['an object behind a newline', '\n{"jsonrpc":"2.0"}', 'lines'],
    ['a record of TLS', '\x16\x03\x01\x02\0', 'tls'],
    ['a record of something like TLS', '\x16\x05\x01', 'unknown'],
    ['words', 'Server started\n', 'unknown'],
    ['a log line about a request', 'POST /mcp HTTP/1.1 200 OK\n', 'unknown'],
    ['a greeting of SSH', 'SSH-2.0-OpenSSH_9.2\r\n', 'unknown'],
    ['binary', '\x00\x01\x02\x03\x04\x05\x06\x07\x08', 'unknown'],
  ] as const)
    test(`${what}: ${expected}`, () => assert.equal(said(bytes), expected));

  test('a message cut anywhere is undecided until it is known', () => {
    for (const whole of [
      'M-SEARCH /mcp?\xe9 HTTP/1.1\r\n',
      '\r\n \t\n{"a":1}',
      'POST /mcp HTTP/1.1\r\n',
      'HTTP/1.1 200 OK\r\n',
      PREFACE,
      SETTINGS,
    ]) {
      const final = said(whole);
      for (let length = 1; length < whole.length; length++) {
        const early = said(whole.slice(0, length));
        assert.ok(
          early === undefined || early === final,
          `${JSON.stringify(whole.slice(0, length))}: ${early}`,
        );
      }
    }
  });

  test('no bytes take it by surprise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, joined) => {
        recognise(Buffer.from(bytes), joined);
      }),
    );
  });
});

describe('in the middle of a connection', () => {
  for (const [what, bytes, expected] of [
    ['a chunk of an event stream', '1f\r\nevent: message\ndata: {}\n\n\r\n', 'http1 response'],
    ['an event without chunks', 'data: {}\n\n', 'http1 response'],
    ['a comment that keeps an event stream alive', ': ping\n\n', 'http1 response'],
    ['HEADERS that begin with a method', '\0\0\x02\x01\x05\0\0\0\x03\x83\x86', 'http2 request'],
    ['HEADERS that begin with a status', '\0\0\x01\x01\x04\0\0\0\x03\x88', 'http2 response'],
    ['HEADERS with a priority', '\0\0\x06\x01\x25\0\0\0\x03\0\0\0\0\x10\x82', 'http2 request'],
    ['application data of TLS', '\x17\x03\x03\0\x20', 'tls'],
  ] as const)
    test(`${what}: ${expected}`, () => {
      assert.equal(said(bytes, true), expected);
    });

  test('what only makes sense there is unknown at the beginning', () => {
    assert.equal(said('data: {}\n\n'), 'unknown');
    assert.equal(said('\0\0\x01\x01\x04\0\0\0\x03\x88'), 'unknown');
  });
});
