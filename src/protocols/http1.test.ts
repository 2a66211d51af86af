// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HttpSink, Side } from './http.ts';
import { Http1Connection } from './http1.ts';

/** A connection, and what it says, a line each: `2 < 200` is the head of the response of exchange 2. */
class Peer {
  readonly said: string[] = [];
  readonly headers: (readonly (readonly [string | undefined, string])[])[] = [];
  readonly authorities: (string | undefined)[] = [];
  readonly offsets: number[] = [];
  readonly connection: Http1Connection;
  readonly #at: Record<Side, number> = { request: 0, response: 0 };
  readonly #cut: number;

  constructor(joined: Partial<Record<Side, boolean>> = {}, cut = Number.POSITIVE_INFINITY) {
    this.#cut = cut;
    const arrow = (side: Side) => (side === 'request' ? '>' : '<');
    /** Pieces of one body, or tunnel, in a row count as one. */
    const bytes = (label: string, text: string) => {
      const last = this.said.at(-1);
      if (last?.startsWith(`${label} `)) this.said[this.said.length - 1] = last + text;
      else this.said.push(`${label} ${text}`);
    };
    const sink: HttpSink = {
      request: (exchange, head, offset) => {
        this.said.push(`${exchange} > ${head.method} ${head.target} ${head.version}`);
        this.headers.push(head.headers.fields);
        this.authorities.push(head.authority);
        this.offsets.push(offset);
      },
      response: (exchange, head, offset) => {
        this.said.push(`${exchange} < ${head.status} ${head.version}`);
        this.headers.push(head.headers.fields);
        this.offsets.push(offset);
      },
      body: (exchange, side, piece) => bytes(`${exchange} ${arrow(side)} body`, piece.toString('latin1')),
      lost: (exchange, side, offset, count) =>
        this.said.push(`${exchange} ${arrow(side)} lost ${count} at ${offset}`),
      end: (exchange, side, how, offset) => {
        this.said.push(`${exchange} ${arrow(side)} ${how}`);
        this.offsets.push(offset);
      },
      upgrade: (exchange, protocol) => this.said.push(`${exchange} upgrade ${protocol}`),
      tunnel: (side, piece) => bytes(`tunnel ${arrow(side)}`, piece.toString('latin1')),
      tunnelLost: (side, offset, count) => this.said.push(`tunnel lost ${arrow(side)} ${count} at ${offset}`),
    };
    this.connection = new Http1Connection(sink, { joined: { request: false, response: false, ...joined } });
  }

  /** A call of its own. */
  push(side: Side, text: string, boundary = true): this {
    const bytes = Buffer.from(text, 'latin1');
    for (let from = 0; from < bytes.length; from += this.#cut) {
      const piece = Buffer.from(bytes.subarray(from, from + this.#cut));
      this.connection.push(side, piece, this.#at[side], boundary && from === 0);
      this.#at[side] += piece.length;
      // The ring uses its memory again: what was not copied shows.
      piece.fill(0xee);
    }
    return this;
  }

  client(...lines: readonly string[]): this {
    return this.push('request', lines.join('\r\n'));
  }

  server(...lines: readonly string[]): this {
    return this.push('response', lines.join('\r\n'));
  }

  gap(side: Side, bytes: number): this {
    this.connection.gap(side, this.#at[side], bytes);
    this.#at[side] += bytes;
    return this;
  }

  close(how: 'closed' | 'stop' = 'closed'): this {
    this.connection.end('request', how);
    this.connection.end('response', how);
    return this;
  }

  get lost(): readonly [request: boolean, response: boolean] {
    return [this.connection.lost('request'), this.connection.lost('response')];
  }

  /** What was said since the last time. */
  take(): string[] {
    return this.said.splice(0);
  }
}

/** The rule holds for whole messages and byte by byte. */
function rule(name: string, joined: Partial<Record<Side, boolean>>, play: (peer: Peer) => void): void {
  test(name, () => play(new Peer(joined)));
  test(`${name}, byte by byte`, () => play(new Peer(joined, 1)));
}

const get = (target = '/') => [`GET ${target} HTTP/1.1`, 'Host: h', '', ''] as const;
const ok = (body: string) => ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, '', body] as const;

describe('messages', () => {
  rule('a request and its response are one exchange', {}, (peer) => {
    peer
      .client('POST /mcp HTTP/1.1', 'Host: h:8080', 'Content-Length: 5', '', 'hello')
      .server(...ok('world!'));
    assert.deepEqual(peer.said, [
      '1 > POST /mcp 1.1',
      '1 > body hello',
      '1 > complete',
      '1 < 200 1.1',
      '1 < body world!',
      '1 < complete',
    ]);
    assert.deepEqual(peer.authorities, ['h:8080']);
    assert.deepEqual(peer.offsets, [0, 60, 0, 44]);
  });

  rule('a connection is kept alive for more exchanges, in 1.0 as well', {}, (peer) => {
    peer.client('GET /a HTTP/1.0', 'Connection: keep-alive', '', '');
    peer.server('HTTP/1.0 200 OK', 'Connection: keep-alive', 'Content-Length: 1', '', 'a');
    peer.client(...get('/b')).server(...ok('b'));
    assert.deepEqual(peer.said, [
      '1 > GET /a 1.0',
      '1 > complete',
      '1 < 200 1.0',
      '1 < body a',
      '1 < complete',
      '2 > GET /b 1.1',
      '2 > complete',
      '2 < 200 1.1',
      '2 < body b',
      '2 < complete',
    ]);
  });

  rule('responses answer pipelined requests in their order', {}, (peer) => {
    peer.push('request', ['/1', '/2', '/3'].map((target) => get(target).join('\r\n')).join(''));
    peer.take();
    peer.push('response', ok('one').join('\r\n') + ok('two').join('\r\n') + ok('three').join('\r\n'));
    assert.deepEqual(
      peer.said.filter((line) => line.includes('body')),
      ['1 < body one', '2 < body two', '3 < body three'],
    );
  });

  rule('interim responses are passed over', {}, (peer) => {
    peer.client('PUT / HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 2', '', '');
    peer.server('HTTP/1.1 100 Continue', '', '');
    peer.client('ab');
    peer.server('HTTP/1.1 103 Early Hints', 'Link: </x>', '', '').server(...ok(''));
    assert.deepEqual(peer.said, [
      '1 > PUT / 1.1',
      '1 > body ab',
      '1 > complete',
      '1 < 200 1.1',
      '1 < complete',
    ]);
  });

  rule('a response may come before its request is over', {}, (peer) => {
    peer.client('POST / HTTP/1.1', 'Content-Length: 2', '', 'a');
    peer.server(...ok('no')).client('b');
    peer.client(...get('/next'));
    assert.deepEqual(peer.said.slice(-4), [
      '1 > body b',
      '1 > complete',
      '2 > GET /next 1.1',
      '2 > complete',
    ]);
  });

  rule('a request after the end of the responses has none', {}, (peer) => {
    peer.client(...get('/a'));
    peer.connection.end('response', 'closed');
    peer.client(...get('/b'));
    assert.deepEqual(peer.said, [
      '1 > GET /a 1.1',
      '1 > complete',
      '1 < closed',
      '2 > GET /b 1.1',
      '2 < closed',
      '2 > complete',
    ]);
  });
});

describe('heads', () => {
  const fields = (peer: Peer) => peer.headers.flat();

  rule('names are in lower case, values trimmed, the order kept', {}, (peer) => {
    peer.client('GET / HTTP/1.1', 'X-B:  two \t', 'x-a:one', 'X-B:three', 'Empty:', '', '');
    assert.deepEqual(fields(peer), [
      ['x-b', 'two'],
      ['x-a', 'one'],
      ['x-b', 'three'],
      ['empty', ''],
    ]);
  });

  rule('folded lines are one value', {}, (peer) => {
    peer.client('GET / HTTP/1.1', 'A: one', ' two', '\t  three', 'B:', ' x', '', '');
    assert.deepEqual(fields(peer), [
      ['a', 'one two three'],
      ['b', 'x'],
    ]);
  });

  rule('a bare LF ends a line', {}, (peer) => {
    peer
      .client('GET / HTTP/1.1\nHost: h\nContent-Length: 1\n\na')
      .server('HTTP/1.1 200 OK\nContent-Length: 0\n\n');
    assert.deepEqual(peer.said.slice(1), ['1 > body a', '1 > complete', '1 < 200 1.1', '1 < complete']);
  });

  rule('line ends before a start line belong to no message', {}, (peer) => {
    peer.client('', '', ...get('/a')).client('', ...get('/b'));
    assert.deepEqual(peer.said, ['1 > GET /a 1.1', '1 > complete', '2 > GET /b 1.1', '2 > complete']);
    assert.equal(peer.offsets[0], 4);
  });

  rule('a target may be absolute, an authority or an asterisk, and stays as it was sent', {}, (peer) => {
    peer.client('GET http://user:secret@a.example:81/x?y HTTP/1.1', 'Host: other', '', '');
    peer.client('OPTIONS * HTTP/1.1', 'Host: b', '', '').client('CONNECT c:443 HTTP/1.1', '', '');
    assert.deepEqual(
      peer.said.filter((line) => line.endsWith('1.1')),
      ['1 > GET http://user:secret@a.example:81/x?y 1.1', '2 > OPTIONS * 1.1', '3 > CONNECT c:443 1.1'],
    );
    assert.deepEqual(peer.authorities, ['a.example:81', 'b', 'c:443']);
  });

  rule('a line that is no header field is left out', {}, (peer) => {
    peer.client(
      'GET / HTTP/1.1',
      ' folded onto nothing',
      'no colon',
      ': no name',
      'a b: c',
      ' d',
      'E: f',
      '',
      '',
    );
    assert.deepEqual(fields(peer), [['e', 'f']]);
  });

  rule('a CR inside a value is a space', {}, (peer) => {
    peer.client('GET / HTTP/1.1', 'A: b\rc\r', '', '');
    assert.deepEqual(fields(peer), [['a', 'b c']]);
  });

  rule('values are latin1, byte for byte', {}, (peer) => {
    peer.client('GET /\xe9 HTTP/1.1', 'A: \xff\x80', '', '');
    assert.deepEqual(fields(peer), [['a', '\xff\x80']]);
    assert.equal(peer.said[0], '1 > GET /\xe9 1.1');
  });

  rule('a status line needs no reason', {}, (peer) => {
    peer.client(...get()).server('HTTP/1.1 204', '', '');
    assert.deepEqual(peer.said.slice(2), ['1 < 204 1.1', '1 < complete']);
  });

  for (const [what, text] of [
    ['binary data', '\x16\x03\x01'],
    ['a method of more than 32 characters', 'X'.repeat(33)],
    ['another protocol', 'GET / HTTP/2.0\r\nA'],
    ['a target with a space', 'GET /a b HTTP/1.1\r\nA'],
  ] as const)
    rule(`${what} is seen to be none before its end`, {}, (peer) => {
      assert.deepEqual(peer.client(text).lost, [true, false]);
    });

  for (const text of ['HTTP/2 200\r\n', 'HTTP/1.1 20x', 'HTTP/1.1 2000', 'ICY 200 OK\r\n'])
    rule(`${JSON.stringify(text)} is seen to be no response before its end`, {}, (peer) => {
      assert.deepEqual(peer.client(...get()).server(text).lost, [false, true]);
    });

  test('a head of 256 KiB is read, a larger one is not', () => {
    for (const [size, read] of [
      [256 << 10, true],
      [(256 << 10) + 1, false],
    ] as const) {
      for (const cut of [Number.POSITIVE_INFINITY, 1000]) {
        const peer = new Peer({}, cut);
        const frame = 'GET / HTTP/1.1\r\nA: \r\n\r\n';
        peer.client('GET / HTTP/1.1', `A: ${'x'.repeat(size - frame.length)}`, '', '');
        assert.equal(peer.said.length > 0, read);
        assert.equal(peer.lost[0], !read);
        peer.client(...get('/next'));
        assert.equal(peer.said.at(-1), read ? '2 > complete' : '1 > complete');
      }
    }
  });
});

describe('where a body ends (RFC 9112, section 6.3)', () => {
  const bodyOf = (peer: Peer, side: '>' | '<' = '<') =>
    peer.said.filter((line) => line.startsWith(`1 ${side}`)).slice(1);

  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const)
    rule(`${status} to ${method} has none, whatever its fields say`, {}, (peer) => {
      peer.client(`${method} / HTTP/1.1`, '', '').client(...get());
      peer
        .server(`HTTP/1.1 ${status} X`, 'Content-Length: 5', 'Transfer-Encoding: chunked', '', '')
        .server(...ok(''));
      assert.deepEqual(bodyOf(peer), ['1 < complete']);
      assert.equal(peer.said.at(-1), '2 < complete');
    });

  rule('a request without length or coding has none', {}, (peer) => {
    peer.client('POST / HTTP/1.1', '', '').client(...get());
    assert.deepEqual(bodyOf(peer, '>'), ['1 > complete']);
    assert.equal(peer.said.at(-1), '2 > complete');
  });

  rule('the same length may be said several times', {}, (peer) => {
    peer.client(...get()).server('HTTP/1.1 200 OK', 'Content-Length: 3, 3', 'Content-Length: 3', '', 'abc');
    assert.deepEqual(bodyOf(peer), ['1 < body abc', '1 < complete']);
  });

  for (const value of ['3, 4', '-1', '+3', '0x3', '3.0', '', '3,', '99999999999999999999'])
    rule(`"Content-Length: ${value}" leaves the end unknown`, {}, (peer) => {
      peer.client('POST / HTTP/1.1', `Content-Length: ${value}`, '', 'abcd');
      assert.deepEqual(bodyOf(peer, '>'), ['1 > gap']);
      assert.deepEqual(peer.lost, [true, false]);
      peer.server('HTTP/1.1 400 Bad Request', 'Content-Length: 0', '', '').client(...get('/next'));
      assert.deepEqual(peer.said.slice(-4), [
        '1 < 400 1.1',
        '1 < complete',
        '2 > GET /next 1.1',
        '2 > complete',
      ]);
    });

  rule('chunks are joined, extensions and trailers passed over', {}, (peer) => {
    peer.client(
      'POST / HTTP/1.1',
      'Transfer-Encoding: chunked',
      '',
      '3;a=b;c="d;e"',
      'abc',
      '00A  ;x',
      '0123456789',
      '0;last',
      'Trailer: value',
      '\r0',
      'Folded:',
      ' more',
      '',
      '',
    );
    peer.client(...get());
    assert.deepEqual(bodyOf(peer, '>'), ['1 > body abc0123456789', '1 > complete']);
    assert.equal(peer.said.at(-1), '2 > complete');
  });

  rule('chunks with bare LF line ends are read', {}, (peer) => {
    peer.client(...get()).server('HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nab\n0\nT: v\n\n');
    assert.deepEqual(bodyOf(peer), ['1 < body ab', '1 < complete']);
  });

  rule('a transfer coding wins over a length', {}, (peer) => {
    peer.client(
      'POST / HTTP/1.1',
      'Content-Length: 100',
      'Transfer-Encoding: chunked',
      '',
      '1',
      'a',
      '0',
      '',
      '',
    );
    assert.deepEqual(bodyOf(peer, '>'), ['1 > body a', '1 > complete']);
  });

  rule('codings before chunked stay, and their names', {}, (peer) => {
    peer.client(...get());
    peer.server(
      'HTTP/1.1 200 OK',
      'Transfer-Encoding: gzip',
      'Transfer-Encoding: , Chunked',
      '',
      '1',
      'z',
      '0',
      '',
      '',
    );
    assert.deepEqual(bodyOf(peer), ['1 < body z', '1 < complete']);
  });

  rule('a response whose last coding is another one ends with the connection', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.1 200 OK', 'Content-Length: 1', 'Transfer-Encoding: gzip', '', 'zzz')
      .close();
    assert.deepEqual(bodyOf(peer), ['1 < body zzz', '1 < complete']);
  });

  rule('a response whose last coding follows chunked ends with the connection, too', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked, gzip', '', '1', 'z')
      .close();
    assert.deepEqual(bodyOf(peer), ['1 < body 1\r\nz', '1 < complete']);
  });

  rule('a request whose last coding is another one has no known end', {}, (peer) => {
    peer.client('POST / HTTP/1.1', 'Transfer-Encoding: chunked, gzip', '', 'zzz');
    assert.deepEqual(bodyOf(peer, '>'), ['1 > gap']);
  });

  rule('a response without length or coding ends with the connection', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.0 200 OK', '', 'abc')
      .server('HTTP/1.1 200 not a head')
      .close();
    assert.deepEqual(bodyOf(peer), ['1 < body abcHTTP/1.1 200 not a head', '1 < complete']);
  });

  for (const [what, chunks] of [
    ['no size', 'x\r\n'],
    ['an empty size', '\r\n'],
    ['a size that no number holds', 'fffffffffffffffff\r\n'],
    ['something between size and line end', '1\rx\r\n'],
    ['more data than the size says', '1\r\nabc\r\n'],
    ['a CR alone behind the data', '1\r\na\rb'],
    ['an extension of more than 16 KiB', `1;${'x'.repeat(17 << 10)}\r\na\r\n`],
    ['a trailer section of more than 256 KiB', `0\r\n${'a: b\r\n'.repeat(45_000)}`],
  ] as const)
    test(`chunks with ${what} end the message where they are met`, () => {
      const peer = new Peer().client(...get());
      peer.server('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', chunks);
      assert.equal(peer.said.at(-1), '1 < gap');
      assert.deepEqual(peer.lost, [false, true]);
      peer.client(...get('/next')).server(...ok('fine'));
      assert.deepEqual(peer.said.slice(-3), ['2 < 200 1.1', '2 < body fine', '2 < complete']);
    });

  test('the sizes of several extensions do not add up', () => {
    const peer = new Peer().client(...get()).server('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', '');
    for (let i = 0; i < 4; i++) peer.server(`1;${'x'.repeat(10_000)}`, 'a', '');
    peer.server('0', '', '');
    assert.deepEqual(bodyOf(peer), ['1 < body aaaa', '1 < complete']);
  });

  test('bodies are handed on as views, not copied', () => {
    const seen: ArrayBufferLike[] = [];
    const nothing = () => {};
    const sink = {
      request: nothing,
      response: nothing,
      lost: nothing,
      end: nothing,
      upgrade: nothing,
      tunnel: nothing,
      tunnelLost: nothing,
      body: (_exchange: number, _side: Side, bytes: Buffer) => void seen.push(bytes.buffer),
    };
    const connection = new Http1Connection(sink, { joined: { request: false, response: false } });
    const bytes = Buffer.from('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n');
    connection.push('request', bytes, 0, true);
    assert.deepEqual(seen, [bytes.buffer, bytes.buffer]);
  });
});

describe('the end of a connection', () => {
  for (const how of ['closed', 'stop'] as const) {
    rule(`${how} is how a message ends that is not complete`, {}, (peer) => {
      peer.client('POST / HTTP/1.1', 'Content-Length: 9', '', 'abc');
      peer.server('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', '9', 'abc').close(how);
      assert.deepEqual(peer.said.slice(-2), [`1 > ${how}`, `1 < ${how}`]);
    });

    rule(`${how} is how a response ends that was never complete enough to be told`, {}, (peer) => {
      peer
        .client(...get())
        .server('HTTP/1.1 200 OK', 'Content-Le')
        .close(how);
      assert.deepEqual(peer.said.slice(2), [`1 < ${how}`]);
    });

    rule(`${how} is how all responses end that are still awaited`, {}, (peer) => {
      peer
        .client(...get('/a'))
        .client(...get('/b'))
        .close(how);
      assert.deepEqual(peer.said.slice(4), [`1 < ${how}`, `2 < ${how}`]);
    });
  }

  rule('a body that ends with the connection is not complete when the capture stops', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.1 200 OK', '', 'abc')
      .close('stop');
    assert.deepEqual(peer.said.slice(-2), ['1 < body abc', '1 < stop']);
  });

  rule('nothing is read behind it', {}, (peer) => {
    peer
      .close()
      .client(...get())
      .server(...ok('x'))
      .gap('request', 5)
      .close();
    assert.deepEqual(peer.said, []);
  });
});

describe('other protocols on the connection', () => {
  const upgrade = ['GET /ws HTTP/1.1', 'Connection: Upgrade', 'Upgrade: WebSocket', '', ''] as const;
  const switching = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: WebSocket', '', ''] as const;

  rule('101 hands over to the protocol that it names, in both directions', {}, (peer) => {
    peer.client(...upgrade).push('response', `${switching.join('\r\n')}GET`);
    peer.client('GET / HTTP/1.1\r\n\r\n').server('more');
    assert.deepEqual(peer.take(), [
      '1 > GET /ws 1.1',
      '1 > complete',
      '1 < 101 1.1',
      '1 upgrade websocket',
      'tunnel < GET',
      'tunnel > GET / HTTP/1.1\r\n\r\n',
      'tunnel < more',
    ]);
    peer.gap('request', 7).gap('response', 8);
    assert.deepEqual(peer.take(), ['tunnel lost > 7 at 79', 'tunnel lost < 8 at 63']);
    assert.deepEqual(peer.lost, [false, false]);
    assert.deepEqual(peer.close().said, []);
  });

  rule('to h2c there is no response in HTTP/1', {}, (peer) => {
    peer.client('POST / HTTP/1.1', 'Upgrade: h2c', 'Content-Length: 2', '', 'ab');
    peer.push('response', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0');
    assert.deepEqual(peer.said.slice(1), ['1 > body ab', '1 > complete', '1 upgrade h2c', 'tunnel < \0\0\0']);
  });

  rule('CONNECT with 2xx opens a tunnel', {}, (peer) => {
    peer
      .client('CONNECT a:443 HTTP/1.1', '', '')
      .push('response', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi');
    assert.deepEqual(peer.said.slice(1), ['1 > complete', '1 < 200 1.1', '1 upgrade connect', 'tunnel < hi']);
  });

  rule('CONNECT with another status does not', {}, (peer) => {
    peer.client('CONNECT a:443 HTTP/1.1', '', '').client(...get('/b'));
    assert.deepEqual(peer.take(), ['1 > CONNECT a:443 1.1', '1 > complete']);
    peer.server('HTTP/1.1 407 No', 'Content-Length: 2', '', 'no');
    assert.deepEqual(peer.said, [
      '1 < 407 1.1',
      '2 > GET /b 1.1',
      '2 > complete',
      '1 < body no',
      '1 < complete',
    ]);
  });

  rule('what a client sends before 101 belongs to the other protocol', {}, (peer) => {
    peer.client(...upgrade).client('GET / HTTP/1.1', '', '');
    assert.deepEqual(peer.take(), ['1 > GET /ws 1.1', '1 > complete']);
    peer.server(...switching);
    assert.deepEqual(peer.said, ['1 < 101 1.1', '1 upgrade websocket', 'tunnel > GET / HTTP/1.1\r\n\r\n']);
  });

  rule('what a client sends before another response is its next request', {}, (peer) => {
    peer
      .client(...upgrade)
      .client(...get('/next'))
      .client('POST / HTTP/1.1', 'Content-Length: 2', '', 'a');
    peer.server(...ok('')).client('b');
    assert.deepEqual(peer.said.filter((line) => line.includes('>')).slice(2), [
      '2 > GET /next 1.1',
      '2 > complete',
      '3 > POST / 1.1',
      '3 > body a',
      '3 > body b',
      '3 > complete',
    ]);
    peer.take();
    peer.server(...ok('')).close();
    assert.deepEqual(peer.said, ['2 < 200 1.1', '2 < complete', '3 < closed']);
  });

  rule('a second request for an upgrade waits for its own response', {}, (peer) => {
    peer
      .client(...upgrade)
      .client(...upgrade)
      .client('frames')
      .server(...ok(''));
    peer.server(...switching);
    assert.deepEqual(peer.said.slice(-3), ['2 < 101 1.1', '2 upgrade websocket', 'tunnel > frames']);
  });

  rule('what waits is the next request when no response comes any more', {}, (peer) => {
    peer
      .client(...upgrade)
      .client(...get('/next'))
      .close();
    assert.deepEqual(peer.said.slice(2), ['1 < closed', '2 > GET /next 1.1', '2 < closed', '2 > complete']);
  });

  rule('a body that is still being sent when 101 comes is not the other protocol', {}, (peer) => {
    peer.client('POST / HTTP/1.1', 'Upgrade: x', 'Content-Length: 4', '', 'ab');
    peer.server('HTTP/1.1 101 Switching Protocols', 'Upgrade: x', '', '').client('cdef');
    assert.deepEqual(peer.said.slice(-3), ['1 > body cd', '1 > complete', 'tunnel > ef']);
  });

  test('at most 64 KiB wait for the response', () => {
    for (const [answer, expected] of [
      [switching, [`tunnel > ${'x'.repeat(65536)}`, 'tunnel lost > 1000 at 65597', 'tunnel > {']],
      [ok(''), []],
    ] as const) {
      const peer = new Peer({}, 1000);
      peer
        .client(...upgrade)
        .client('x'.repeat(65536 + 999))
        .client('x')
        .server(...answer);
      const said = peer.client('{').said.slice(4);
      assert.deepEqual(
        said.filter((line) => line.startsWith('tunnel')).map((line) => line.trim()),
        expected,
      );
      assert.deepEqual(peer.lost, [answer !== switching, false]);
    }
  });

  rule('a gap in what waits is a gap of the tunnel', {}, (peer) => {
    peer
      .client(...upgrade)
      .client('ab')
      .gap('request', 5)
      .client('cd')
      .server(...switching);
    assert.deepEqual(peer.said.slice(-2), ['tunnel > ab', 'tunnel lost > 7 at 63']);
  });

  rule('a gap in what waits is one of the next request, when that is what waits', {}, (peer) => {
    peer
      .client(...upgrade)
      .client('POST / HTTP/1.1', 'Content-Length: 9', '', 'a')
      .gap('request', 5)
      .client('bcd');
    peer.server(...ok('')).client(...get('/next'));
    assert.deepEqual(
      peer.said.filter((line) => line.startsWith('2 >')),
      ['2 > POST / 1.1', '2 > body a', '2 > lost 8 at 100', '2 > complete'],
    );
    assert.equal(peer.said.at(-1), '3 > complete');
  });

  rule('what has come of the next request is handed on when 101 comes unasked', {}, (peer) => {
    peer
      .client(...get())
      .client('PART')
      .server(...switching)
      .client('more');
    assert.deepEqual(peer.said.slice(-3), ['1 < 101 1.1', '1 upgrade websocket', 'tunnel > PARTmore']);
  });

  rule('101 to a request that was not seen switches, too', { request: true }, (peer) => {
    peer.server(...switching).client('frame');
    assert.deepEqual(peer.said, ['1 < 101 1.1', '1 upgrade websocket', 'tunnel > frame']);
  });

  rule('what is lost behind such a body is a gap of the tunnel', {}, (peer) => {
    peer.client('POST / HTTP/1.1', 'Upgrade: x', 'Content-Length: 4', '', 'ab');
    peer.server('HTTP/1.1 101 Switching Protocols', 'Upgrade: x', '', '').gap('request', 5).client('z');
    assert.deepEqual(peer.said.slice(-4), [
      '1 > lost 2 at 52',
      '1 > gap',
      'tunnel lost > 3 at 54',
      'tunnel > z',
    ]);
  });

  rule('what could have been a request is handed on when 101 comes', { request: true }, (peer) => {
    peer.client('GET').server(...switching);
    assert.deepEqual(peer.said.slice(-1), ['tunnel > GET']);
  });
});

describe('bytes that are lost', () => {
  const long = ['HTTP/1.1 200 OK', 'Content-Length: 10', '', ''] as const;
  const chunked = ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', ''] as const;

  rule('inside a body of known length are counted, and the message goes on', {}, (peer) => {
    peer
      .client(...get())
      .server(...long)
      .server('ab')
      .gap('response', 5)
      .server('hij');
    assert.deepEqual(peer.said.slice(3), ['1 < body ab', '1 < lost 5 at 41', '1 < body hij', '1 < complete']);
    peer
      .client(...get())
      .server(...long)
      .gap('response', 10)
      .client(...get())
      .server(...ok(''));
    assert.deepEqual(peer.said.slice(9, 12), ['2 < 200 1.1', '2 < lost 10 at 88', '2 < complete']);
    assert.equal(peer.said.at(-1), '3 < complete');
  });

  rule('inside a chunk are counted, and the message goes on', {}, (peer) => {
    peer
      .client(...get())
      .server(...chunked)
      .server('6', 'a')
      .gap('response', 5)
      .server('', '1', 'g', '0', '', '');
    assert.deepEqual(peer.said.slice(3), ['1 < body a', '1 < lost 5 at 51', '1 < body g', '1 < complete']);
  });

  rule('inside a body that ends with the connection are told', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.1 200 OK', '', 'a')
      .gap('response', 1e9)
      .server('b')
      .close();
    assert.deepEqual(peer.said.slice(3), [
      '1 < body a',
      '1 < lost 1000000000 at 20',
      '1 < body b',
      '1 < complete',
    ]);
  });

  rule('across the end of a message cut it, and reading goes on at the next beginning', {}, (peer) => {
    peer.client('POST /a HTTP/1.1', 'Content-Length: 3', '', 'a').gap('request', 7);
    assert.deepEqual(peer.take().slice(2), ['1 > lost 2 at 40', '1 > gap']);
    assert.deepEqual(peer.lost, [true, false]);
    peer
      .client('tail\r\n')
      .push('request', 'GET /not-here HTTP/1.1\r\n\r\n', false)
      .client(...get('/b'));
    assert.deepEqual(peer.said, ['2 > GET /b 1.1', '2 > complete']);
    assert.deepEqual(peer.lost, [false, false]);
  });

  rule("in a chunk's framing cut the message", {}, (peer) => {
    peer
      .client(...get())
      .server(...chunked)
      .server('3', 'abc')
      .gap('response', 3);
    assert.deepEqual(peer.said.slice(3), ['1 < body abc', '1 < gap']);
    assert.deepEqual(peer.lost, [false, true]);
  });

  rule('in the head of a request leave nothing of it', {}, (peer) => {
    peer
      .client('GET / HTTP/1.1', 'A: ')
      .gap('request', 1)
      .client('b', '', '')
      .client(...get('/next'));
    assert.deepEqual(peer.said, ['1 > GET /next 1.1', '1 > complete']);
  });

  rule('in the head of a response leave its request waiting: it may have been an interim one', {}, (peer) => {
    peer
      .client(...get())
      .server('HTTP/1.1 103 Early Hints', 'A: ')
      .gap('response', 1)
      .server('', '')
      .server(...ok('x'));
    assert.deepEqual(peer.said.slice(2), ['1 < 200 1.1', '1 < body x', '1 < complete']);
  });

  rule('between messages make the next beginning uncertain', {}, (peer) => {
    peer
      .gap('request', 3)
      .client('X / HTTP/1.1 or not', '', '')
      .client('', ...get());
    assert.deepEqual(peer.said, ['1 > GET / 1.1', '1 > complete']);
  });

  rule('none of them are none', {}, (peer) => {
    peer.client('GET / HT').gap('request', 0).client('TP/1.1', '', '');
    assert.deepEqual(peer.said, ['1 > GET / 1.1', '1 > complete']);
  });
});

describe('which request a response answers', () => {
  rule('none whose head was not complete when the response began', {}, (peer) => {
    peer
      .client('GET / HTTP/1.1\r\n')
      .server('H')
      .client('\r\n')
      .server('TTP/1.1 408 Timeout', 'Content-Length: 0', '', '');
    assert.deepEqual(peer.said, ['1 > GET / 1.1', '1 > complete', '2 < 408 1.1', '2 < complete']);
  });

  rule(
    'none whose head was not complete, also where the response is found again',
    { response: true },
    (peer) => {
      peer
        .server('HTTP/1.1')
        .client(...get())
        .server(' 200 OK', 'Content-Length: 0', '', '')
        .server(...ok(''));
      assert.deepEqual(peer.said.slice(2), ['2 < 200 1.1', '2 < complete', '1 < 200 1.1', '1 < complete']);
    },
  );

  rule('none, when its request was sent before the capture', { request: true, response: true }, (peer) => {
    peer
      .server(...ok('old'))
      .client(...get())
      .server(...ok('new'));
    assert.deepEqual(peer.said, [
      '1 < 200 1.1',
      '1 < body old',
      '1 < complete',
      '2 > GET / 1.1',
      '2 > complete',
      '2 < 200 1.1',
      '2 < body new',
      '2 < complete',
    ]);
  });

  rule('not the one before, whose response was lost: the client has sent the next', {}, (peer) => {
    peer
      .client(...get('/a'))
      .gap('response', 100)
      .client(...get('/b'));
    assert.deepEqual(peer.take().slice(2), ['1 < gap', '2 > GET /b 1.1', '2 > complete']);
    peer.server(...ok('b'));
    assert.deepEqual(peer.said, ['2 < 200 1.1', '2 < body b', '2 < complete']);
  });

  rule('not the one before, whose response passed and was not understood', { response: true }, (peer) => {
    peer
      .client(...get('/a'))
      .server('tail of something')
      .client(...get('/b'))
      .server(...ok('b'));
    assert.deepEqual(peer.said.slice(2), [
      '1 < gap',
      '2 > GET /b 1.1',
      '2 > complete',
      '2 < 200 1.1',
      '2 < body b',
      '2 < complete',
    ]);
  });

  rule('the only one that waits, when bytes before it are lost', {}, (peer) => {
    peer
      .client(...get('/a'))
      .gap('response', 100)
      .server(...ok('a'));
    assert.deepEqual(peer.said.slice(2), ['1 < 200 1.1', '1 < body a', '1 < complete']);
  });

  rule('none of several that may have lost theirs', {}, (peer) => {
    peer
      .client(...get('/a'))
      .client(...get('/b'))
      .gap('response', 100)
      .server(...ok(''));
    assert.deepEqual(peer.take().slice(4), ['1 < gap', '2 < gap', '3 < 200 1.1', '3 < complete']);
    peer.client(...get('/c')).server(...ok(''));
    assert.deepEqual(peer.said.slice(2), ['4 < 200 1.1', '4 < complete']);
  });

  rule('the one whose response has a head that is none', {}, (peer) => {
    peer
      .client(...get('/a'))
      .server('HTTP/1.1 what', '', '')
      .client(...get('/b'))
      .server(...ok(''));
    assert.equal(peer.said[2], '1 < gap');
    assert.equal(peer.said.at(-1), '2 < complete');
  });

  rule('none that was asked with it before: its response may lie behind that head', {}, (peer) => {
    peer
      .client(...get('/a'))
      .client(...get('/b'))
      .server('no head at all')
      .client(...get('/c'));
    assert.deepEqual(peer.said.slice(4), ['1 < gap', '2 < gap', '3 > GET /c 1.1', '3 > complete']);
  });

  test('what waits after a request for an upgrade is in doubt with it', () => {
    const peer = new Peer().client('GET / HTTP/1.1', 'Upgrade: x', '', '').client(...get('/b'));
    peer.gap('response', 50).server(...ok(''));
    assert.deepEqual(peer.said.slice(2), [
      '2 > GET /b 1.1',
      '2 > complete',
      '1 < gap',
      '2 < gap',
      '3 < 200 1.1',
      '3 < complete',
    ]);
  });

  test('beyond 4096 pipelined requests it is not known, behind them it is again', () => {
    const peer = new Peer();
    const requests = 4098;
    for (let i = 0; i < requests; i++) peer.client(...get());
    assert.deepEqual(
      peer.take().filter((line) => line.includes('<')),
      ['4097 < gap', '4098 < gap'],
    );
    for (let i = 0; i < requests; i++) peer.server(...ok(''));
    const said = peer.take().filter((line) => line.endsWith('200 1.1'));
    assert.equal(said[4095], '4096 < 200 1.1');
    assert.deepEqual(said.slice(4096), ['4099 < 200 1.1', '4100 < 200 1.1']);
    peer.client(...get()).server(...ok(''));
    assert.equal(peer.said.at(-1), '4101 < complete');
    for (let i = 0; i < requests; i++) peer.client(...get());
    peer
      .gap('response', 9)
      .server(...ok(''))
      .client(...get())
      .server(...ok(''));
    const [request] = peer
      .take()
      .filter((line) => line.includes('GET'))
      .slice(-1);
    assert.equal(request, '8201 > GET / 1.1');
    peer.client(...get()).server(...ok(''));
    assert.deepEqual(peer.said, ['8202 > GET / 1.1', '8202 > complete', '8202 < 200 1.1', '8202 < complete']);
  });
});

describe('a direction joined in the middle', () => {
  const both = { request: true, response: true };
  const event = 'event: message\ndata: {}\n\n';

  rule('is lost until a call begins with a message', both, (peer) => {
    assert.deepEqual(peer.lost, [true, true]);
    peer.client('rest of a body').push('request', get('/no').join('\r\n'), false).client('{"a":1}');
    assert.deepEqual(peer.lost, [true, true]);
    assert.deepEqual(peer.said, []);
    peer
      .client(...get('/yes'))
      .server('tail')
      .server(...ok('x'));
    assert.deepEqual(peer.lost, [false, false]);
    assert.deepEqual(peer.said.slice(2), ['1 < 200 1.1', '1 < body x', '1 < complete']);
  });

  rule('finds a beginning that comes in several calls', both, (peer) => {
    peer.client('GE').client('T /a HT').client('TP/1.1\r\n').client('\r\n');
    peer.server('HTTP/').server('1.1 20').server('0 OK\r\n').server('Content-Length: 0\r\n\r\n');
    assert.deepEqual(peer.said, ['1 > GET /a 1.1', '1 > complete', '1 < 200 1.1', '1 < complete']);
    assert.deepEqual(peer.offsets.slice(0, 1), [0]);
  });

  rule('is not misled by a call that begins almost like a message', both, (peer) => {
    peer
      .client('word ')
      .client(...get('/a'))
      .server('HTTP/1')
      .server(...ok(''));
    assert.deepEqual(peer.said, ['1 > GET /a 1.1', '1 > complete', '1 < 200 1.1', '1 < complete']);
    assert.equal(peer.offsets[0], 5);
  });

  for (const [what, text] of [
    ['JSON', '{"jsonrpc":"2.0"}'],
    ['prose', 'GET the message HTTP/1.1\r\n'],
    ['a status without HTTP', '200 OK\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['binary data that begins with a colon', ':\x00\x01\x02\n'],
    ['a chunk of something else', '5\r\nhello\r\n'],
    ['the last chunk', '0\r\n\r\n'],
    ['a long hexadecimal number', `${'a'.repeat(600)}\r\n`],
  ] as const)
    rule(`does not take ${what} for a beginning`, both, (peer) => {
      peer.client(text).server(text);
      assert.deepEqual(peer.said, []);
      assert.deepEqual(peer.lost, [true, true]);
    });

  for (const [first, line] of [
    ['event', 'event: message\n'],
    ['data', 'data:{}\n'],
    ['id', 'id: 7\n'],
    ['retry', 'retry: 3000\n'],
    ['a comment', ': ping - 2026\n'],
    ['an empty comment', ':\n'],
  ] as const) {
    rule(`follows an event stream in chunks, from a chunk that begins with ${first}`, both, (peer) => {
      const chunk = (text: string) => `${text.length.toString(16)};ext\r\n${text}\r\n`;
      peer
        .server('rest of an event\n\n')
        .server(chunk(`${line}\n`))
        .server(chunk(event))
        .server('0', '', '');
      assert.deepEqual(peer.said, ['1 < undefined 1.1', `1 < body ${line}\n${event}`, '1 < complete']);
      assert.deepEqual(peer.headers, [
        [
          ['content-type', 'text/event-stream'],
          ['transfer-encoding', 'chunked'],
        ],
      ]);
      peer.client(...get()).server(...ok(''));
      assert.equal(peer.said.at(-1), '2 < complete');
    });

    rule(`follows an event stream without chunks, from a call that begins with ${first}`, both, (peer) => {
      peer.server(`${line}\n`).server(event).close();
      assert.deepEqual(peer.said, ['1 < undefined 1.1', `1 < body ${line}\n${event}`, '1 < complete']);
      assert.deepEqual(peer.headers, [[['content-type', 'text/event-stream']]]);
    });
  }

  rule('follows an event stream behind the line end of the chunk before', both, (peer) => {
    peer.server('').server('\r\n19\r\n').server(`${event}\r\n`);
    assert.deepEqual(peer.said, ['1 < undefined 1.1', `1 < body ${event}`]);
  });

  test('a call that begins with a status line shows that an event stream without chunks was over', () => {
    const peer = new Peer(both)
      .server(event)
      .client(...get())
      .server(...ok('x'));
    assert.deepEqual(peer.said, [
      '1 < undefined 1.1',
      `1 < body ${event}`,
      '2 > GET / 1.1',
      '2 > complete',
      '1 < gap',
      '2 < 200 1.1',
      '2 < body x',
      '2 < complete',
    ]);
  });

  test('does not wait for the body that a HEAD before the capture did not ask for', () => {
    const peer = new Peer(both)
      .server('HTTP/1.1 200 OK', 'Content-Length: 9999', '', '')
      .client(...get())
      .server(...ok('x'));
    assert.deepEqual(peer.said, [
      '1 < 200 1.1',
      '2 > GET / 1.1',
      '2 > complete',
      '1 < gap',
      '2 < 200 1.1',
      '2 < body x',
      '2 < complete',
    ]);
  });

  rule('an event stream found behind a gap answers the request that was waiting', {}, (peer) => {
    peer
      .client(...get())
      .gap('response', 200)
      .server(event);
    assert.deepEqual(peer.said.slice(2), ['1 < undefined 1.1', `1 < body ${event}`]);
  });

  rule('an event stream that was there before a request does not answer it', both, (peer) => {
    peer.client(...get()).server(event);
    assert.deepEqual(peer.said.slice(2), ['2 < undefined 1.1', `2 < body ${event}`]);
  });
});
