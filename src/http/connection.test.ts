// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import zlib from 'node:zlib';
import { Headers, type Side } from '../protocols/http.ts';
import { HttpConnection } from './connection.ts';

const REQUEST_BODY = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const RESPONSE_BODY = '{"jsonrpc":"2.0","id":1,"result":{}}';
const REQUEST = `POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: ${REQUEST_BODY.length}\r\n\r\n${REQUEST_BODY}`;
const RESPONSE = `HTTP/1.1 200 OK\r\nContent-Length: ${RESPONSE_BODY.length}\r\n\r\n${RESPONSE_BODY}`;

const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A connection of which all that comes out is written down, one line each. `first`: number of its first exchange. */
function connection({ protocol = 'http1', joined = false, first = 1 }: Partial<Options> = {}) {
  const out: string[] = [];
  const offsets: Record<Side, number> = { request: 0, response: 0 };
  let next = first;
  const http = new HttpConnection(
    protocol,
    {
      frame: (side, { content, http: { exchange, form } }) =>
        out.push(`${side} ${form} #${exchange.id} ${'text' in content ? content.text : content.type}`),
      step: (side, offset, exchange, step) => {
        if (step.type === 'end')
          out.push(
            `${side} end@${offset} #${exchange.id} ${step.how} ${step.size}/${step.frames} ${step.body ?? ''}`.trim(),
          );
        else if (step.type === 'head')
          out.push(
            `${side} head@${offset} #${exchange.id} ${side === 'request' ? exchange.request?.method : exchange.response?.status}`,
          );
        else out.push(`${side} event #${exchange.id} ${step.name} ${step.data}`);
      },
      unwanted: (side) => out.push(`${side} unwanted`),
      foreign: () => out.push('foreign'),
    },
    {
      maxMessage: 1 << 20,
      connection: 7,
      joined: { request: joined, response: joined },
      streams: { request: { id: 1, carrier: 'tcp' }, response: { id: 2, carrier: 'tcp' } },
      nextExchange: () => next++,
    },
  );
  const push = (side: Side, text: string, boundary = true) => {
    const bytes = Buffer.from(text, 'latin1');
    http.push(side, bytes, offsets[side], boundary);
    offsets[side] += bytes.length;
  };
  const gap = (side: Side, bytes: number) => {
    http.gap(side, offsets[side], bytes);
    offsets[side] += bytes;
  };
  return { http, push, gap, out };
}

interface Options {
  readonly protocol: 'http1' | 'http2';
  readonly joined: boolean;
  readonly first: number;
}

describe('an exchange', () => {
  test('is told head by head, body by body, each with its place, and ends on both sides', () => {
    const { push, out } = connection();
    push('request', REQUEST);
    push('response', RESPONSE);
    assert.deepEqual(out, [
      'request head@0 #1 POST',
      `request body #1 ${REQUEST_BODY}`,
      `request end@${REQUEST.length} #1 complete ${REQUEST_BODY.length}/1`,
      'response head@0 #1 200',
      `response body #1 ${RESPONSE_BODY}`,
      `response end@${RESPONSE.length} #1 complete ${RESPONSE_BODY.length}/1`,
    ]);
  });

  test('has a number that is given from outside, not one of its connection', () => {
    const { push, out } = connection({ first: 41 });
    push('request', REQUEST + REQUEST);
    push('response', RESPONSE + RESPONSE);
    assert.deepEqual(
      out.filter((line) => line.includes(' head@')),
      [
        'request head@0 #41 POST',
        `request head@${REQUEST.length} #42 POST`,
        'response head@0 #41 200',
        `response head@${RESPONSE.length} #42 200`,
      ],
    );
  });

  test('without a frame tells the beginning of its body', () => {
    const { push, out } = connection();
    push('request', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    push('response', 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nno access');
    assert.equal(out.at(-1), 'response end@57 #1 complete 9/0 no access');
  });

  test('tells events that hold no JSON as such', () => {
    const { push, out } = connection();
    push('request', 'GET /sse HTTP/1.1\r\nHost: h\r\n\r\n');
    push('response', 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
    push('response', 'event: endpoint\ndata: /messages?id=1\n\n');
    assert.equal(out.at(-1), 'response event #1 endpoint /messages?id=1');
  });

  test('ends as the connection does: closed or, when the capture stops, with that', () => {
    for (const how of ['closed', 'stop'] as const) {
      const { http, push, out } = connection();
      push('request', REQUEST);
      push('response', RESPONSE.slice(0, -4));
      http.close('request', how);
      http.close('response', how);
      http.close('response', how);
      const size = RESPONSE_BODY.length - 4;
      assert.deepEqual(out.slice(4), [
        'response body #1 incomplete',
        `response end@${RESPONSE.length - 4} #1 ${how} ${size}/1`,
      ]);
    }
  });

  test('of HTTP/2 whose response was seen first is one with the request that is seen later', () => {
    const { http, out } = connection({ protocol: 'http2', joined: true });
    const headers = new Headers();
    http.response(5, { status: 200, version: '2', headers }, 10);
    http.request(
      5,
      { method: undefined, target: undefined, authority: undefined, version: '2', headers },
      20,
    );
    http.body(5, 'response', Buffer.from(RESPONSE_BODY), 30);
    http.end(5, 'response', 'complete', 40);
    http.end(5, 'request', 'complete', 50);
    assert.deepEqual(out, [
      'response head@10 #1 200',
      'request head@20 #1 undefined',
      `response body #1 ${RESPONSE_BODY}`,
      `response end@40 #1 complete ${RESPONSE_BODY.length}/1`,
      'request end@50 #1 complete 0/0',
    ]);
  });
});

describe('an exchange that nobody wants', () => {
  test('tells no frame any more, but its end', () => {
    const { http, push, out } = connection();
    push('request', REQUEST);
    http.skip(1);
    push('response', RESPONSE);
    assert.deepEqual(out.slice(3), [
      'response head@0 #1 200',
      `response end@${RESPONSE.length} #1 complete ${RESPONSE_BODY.length}/0`,
    ]);
  });

  test('gives up in the middle of a body', () => {
    const { http, push, out } = connection();
    push('request', REQUEST);
    push('response', RESPONSE.slice(0, -4));
    http.skip(1);
    push('response', RESPONSE.slice(-4));
    assert.equal(out.at(-1), `response end@${RESPONSE.length} #1 complete ${RESPONSE_BODY.length}/0`);
  });

  test('leaves the others on the connection alone', () => {
    const { http, push, out } = connection();
    push('request', REQUEST + REQUEST);
    http.skip(1);
    http.skip(99);
    push('response', RESPONSE + RESPONSE);
    assert.deepEqual(
      out.filter((line) => line.startsWith('response body')),
      [`response body #2 ${RESPONSE_BODY}`],
    );
  });

  test('is not copied beyond 16 KiB: neither a response nor a request', () => {
    for (const side of ['request', 'response'] as const) {
      const { http, push, out } = connection();
      push('request', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n');
      if (side === 'response') {
        push('request', 'x'.repeat(100_000));
        push('response', 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n');
      }
      http.skip(1);
      push(side, 'x'.repeat(16 << 10));
      assert.ok(!out.includes(`${side} unwanted`));
      push(side, 'x');
      assert.equal(out.at(-1), `${side} unwanted`);
    }
  });

  test('of HTTP/2 is copied: others share its connection', () => {
    const { http, out } = connection({ protocol: 'http2' });
    http.response(1, { status: 200, version: '2', headers: new Headers() }, 0);
    http.skip(1);
    http.body(1, 'response', Buffer.alloc(100_000), 0);
    assert.deepEqual(out, ['response head@0 #1 200']);
  });
});

describe('a connection that becomes', () => {
  function websocket() {
    const opened = connection();
    opened.push('request', `GET /ws HTTP/1.1\r\nHost: h\r\n${WEBSOCKET}`);
    opened.push('response', `HTTP/1.1 101 Switching Protocols\r\n${WEBSOCKET}`);
    opened.out.length = 0;
    return opened;
  }
  const message = `\x81${String.fromCharCode(RESPONSE_BODY.length)}${RESPONSE_BODY}`;

  test('a WebSocket gives the messages of both sides, with the exchange that opened it', () => {
    const { push, out } = websocket();
    push('request', message);
    push('response', message.slice(0, 10));
    push('response', message.slice(10));
    assert.deepEqual(out, [
      `request websocket #1 ${RESPONSE_BODY}`,
      `response websocket #1 ${RESPONSE_BODY}`,
    ]);
  });

  test('a WebSocket goes on after a loss', () => {
    const { push, gap, out } = websocket();
    push('response', message.slice(0, 10));
    gap('response', 500);
    push('response', message);
    assert.equal(out.at(-1), `response websocket #1 ${RESPONSE_BODY}`);
  });

  for (const [status, says] of [
    [200, [`request websocket #1 ${RESPONSE_BODY}`]],
    [403, []],
  ] as const)
    test(`a WebSocket in a stream of HTTP/2 (RFC 8441): status ${status} gives ${says.length} message, of that stream only`, () => {
      const { http, out } = connection({ protocol: 'http2' });
      const version = '2';
      const head = { target: '/ws', authority: 'h', version } as const;
      const headers = new Headers([[':protocol', 'websocket']]);
      http.request(1, { method: 'CONNECT', ...head, headers }, 0);
      http.request(2, { method: 'POST', ...head, headers: new Headers() }, 0);
      http.response(1, { status, version, headers: new Headers() }, 0);
      out.length = 0;
      http.body(1, 'request', Buffer.from(message, 'latin1'), 0);
      http.body(2, 'request', Buffer.from(REQUEST_BODY), 0);
      http.end(1, 'request', 'complete', 99);
      http.end(2, 'request', 'complete', 99);
      assert.deepEqual(
        out.filter((line) => line.includes('websocket')),
        says,
      );
      assert.ok(out.includes(`request body #2 ${REQUEST_BODY}`), out.join('\n'));
    });

  test('a WebSocket that nobody wants is foreign from then on', () => {
    const { http, push, out } = websocket();
    http.skip(1);
    http.skip(1);
    push('response', message);
    http.close('response', 'closed');
    assert.deepEqual(out, ['foreign']);
  });

  test('a tunnel is foreign from then on', () => {
    const { push, gap, out } = connection();
    push('request', 'CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n');
    push('response', 'HTTP/1.1 200 OK\r\n\r\n');
    const before = out.length;
    assert.equal(out.at(-1), 'foreign');
    push('request', REQUEST);
    gap('response', 10);
    push('response', RESPONSE);
    assert.equal(out.length, before);
  });

  test('HTTP/2 answers the request with which it began there', () => {
    const { push, out } = connection();
    const upgrade = 'Connection: Upgrade\r\nUpgrade: h2c\r\n';
    push('request', `GET / HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n`);
    push('response', `HTTP/1.1 101 Switching Protocols\r\n${upgrade}\r\n`);
    push('request', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    push('response', '\0\0\0\x04\0\0\0\0\0');
    // HEADERS on stream 1 with :status 200 (RFC 7541, appendix A: 8), then DATA that ends it.
    push('response', '\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x02\0\x01\0\0\0\x01{}');
    assert.deepEqual(
      out.map((line) => line.replace(/@\d+/, '')),
      [
        'request head #1 GET',
        'request end #1 complete 0/0',
        'response head #1 200',
        'response body #1 {}',
        'response end #1 complete 2/1',
      ],
    );
  });

  test('the body of the request with which HTTP/2 began is over before it', () => {
    const { http, push, gap, out } = connection();
    const upgrade = 'Connection: Upgrade\r\nUpgrade: h2c\r\n';
    push('request', `POST / HTTP/1.1\r\nHost: h\r\n${upgrade}Content-Length: 9\r\n\r\n{"a"`);
    push('response', `HTTP/1.1 101 Switching Protocols\r\n${upgrade}\r\n`);
    push('request', ':"b"}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    push('response', '\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x07\0\x01\0\0\0\x01{"c"');
    gap('response', 2);
    push('response', '}', false);
    push('request', '\0\0\x01\x01\x05\0\0\0\x03\x83');
    http.close('request', 'closed');
    http.close('response', 'closed');
    assert.deepEqual(
      out.map((line) => line.replace(/@\d+/, '')),
      [
        'request head #1 POST',
        'request body #1 {"a":"b"}',
        'request end #1 complete 9/1',
        'response head #1 200',
        'response body #1 incomplete',
        'response end #1 complete 5/1',
        'request head #2 POST',
        'request end #2 complete 0/0',
        'response end #2 closed 0/0',
      ],
    );
  });
});

describe('HTTP/2 joined in the middle', () => {
  test('a body is taken for what it looks like where a field of its head has no name', () => {
    // :status 200, then a field that the unseen part of the table tells.
    const head = (stream: string) => `\0\0\x02\x01\x04\0\0\0${stream}\x88\xc0`;
    const data = (stream: string, text: string) =>
      `\0\0${String.fromCharCode(text.length)}\0\0\0\0\0${stream}${text}`;
    const { push, out } = connection({ protocol: 'http2', joined: true });
    push('response', head('\x05') + data('\x05', 'data: {"a":1}\n\n'));
    push('response', head('\x07') + data('\x07', zlib.gzipSync('data: {"b":2}\n\n').toString('latin1')));
    push('response', data('\x05', ': ping\n\ndata: {"c":3}\n\n'));
    assert.deepEqual(
      out.filter((line) => !line.includes(' head@')),
      ['response sse #1 {"a":1}', 'response sse #2 {"b":2}', 'response sse #1 {"c":3}'],
    );
  });
});
