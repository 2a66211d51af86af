// SPDX-License-Identifier: Apache-2.0
/** Generated traffic: against node's own parser, cut anywhere, mutated, with gaps. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Assembler, type Message } from '../../test/support/http1-assembler.ts';
import type { HttpSink, Side } from './http.ts';
import { Http1Connection } from './http1.ts';

const SIDES = ['request', 'response'] as const;
const NEITHER = { request: false, response: false };

// ---- traffic ----------------------------------------------------------------

/** One exchange, as it goes over the wire. */
interface Traffic {
  readonly method: string;
  readonly request: Buffer;
  readonly response: Buffer;
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*';
const word = fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 12 });
const value = fc.string({
  unit: fc.constantFrom(...letters, ' ', '\t', ':', ',', '"', '\xe9', '\xff'),
  maxLength: 30,
});
const field = fc
  .tuple(word, value, fc.constantFrom(': ', ':', ': \t '))
  .map(([name, text, colon]) => `X-${name}${colon}${text}\r\n`);
const fields = fc.array(field, { maxLength: 4 }).map((lines) => lines.join(''));
const blob = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const extension = fc.oneof(
  fc.constant(''),
  word.map((name) => `;${name.replaceAll(/[^a-z]/gi, 'x')}`),
  fc.constant(';a=b;c="d e"'),
);
const chunk = fc
  .tuple(blob, extension, fc.boolean())
  .filter(([data]) => data.length > 0)
  .map(([data, more, upper]) => {
    const size = data.length.toString(16);
    return `${upper ? size.toUpperCase() : size.padStart(4, '0')}${more}\r\n${data}\r\n`;
  });
const chunks = fc
  .tuple(fc.array(chunk, { maxLength: 4 }), extension, fields)
  .map(([all, more, trailers]) => `${all.join('')}0${more}\r\n${trailers}\r\n`);

/** The fields that say how long the body is, and the body. */
const framed = fc.oneof(
  blob.map((data) => [`Content-Length: ${data.length}\r\n`, data] as const),
  fc
    .tuple(
      chunks,
      fc.constantFrom(
        'Transfer-Encoding: chunked',
        'transfer-encoding:Chunked ',
        'Transfer-Encoding: gzip, chunked',
      ),
    )
    .map(([data, line]) => [`${line}\r\n`, data] as const),
);
const target = fc.oneof(
  word.map((path) => `/${path}`),
  word.map((query) => `http://h.example/x?${query}`),
);

const traffic: fc.Arbitrary<Traffic> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'),
    old: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    target,
    blank: fc.constantFrom('', '', '\r\n', '\r\n\r\n'),
    requestFields: fields,
    requestBody: fc.option(framed, { nil: ['', ''] as const }),
    interim: fc.constantFrom(
      '',
      '',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
    ),
    status: fc.constantFrom(200, 200, 202, 204, 304, 404, 500),
    responseFields: fields,
    responseBody: framed,
  })
  .map((x) => {
    // Chunks belong to 1.1; where there is no body, a length may be told none the less.
    const [version, keep] = x.old ? ['HTTP/1.0', 'Connection: keep-alive\r\n'] : ['HTTP/1.1', ''];
    const plain = ([length, body]: readonly [string, string]) =>
      x.old && /^t/i.test(length) ? [`Content-Length: ${body.length}\r\n`, body] : [length, body];
    const [requestLength, requestBody] = plain(x.requestBody);
    const [responseLength, responseBody] = plain(x.responseBody);
    const empty = x.method === 'HEAD' || x.status === 204 || x.status === 304;
    const request = `${x.blank}${x.method} ${x.target} ${version}\r\n${keep}${x.requestFields}${requestLength}\r\n${requestBody}`;
    const head = `${version} ${x.status} Some Reason\r\n${keep}${x.responseFields}${responseLength}\r\n`;
    return {
      method: x.method,
      request: Buffer.from(request, 'latin1'),
      response: Buffer.from(`${x.old ? '' : x.interim}${head}${empty ? '' : responseBody}`, 'latin1'),
    };
  });

const conversation = fc.array(traffic, { minLength: 1, maxLength: 5 });
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const positions = places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b);
  return [0, ...positions].map((start, i) => bytes.subarray(start, positions[i] ?? bytes.length));
}

// ---- node's own parser ------------------------------------------------------

interface NodeParser {
  initialize(type: number, resource: object): void;
  execute(bytes: Buffer): number | Error;
  finish(): undefined | Error;
  [callback: number]: (...args: never[]) => unknown;
}
interface NodeParserClass {
  new (): NodeParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}
const { HTTPParser } = process.getBuiltinModule('node:_http_common') as unknown as {
  HTTPParser: NodeParserClass;
};

/** Numbers of methods in llhttp. */
const METHODS = new Map([
  [0, 'DELETE'],
  [1, 'GET'],
  [2, 'HEAD'],
  [3, 'POST'],
  [4, 'PUT'],
  [6, 'OPTIONS'],
  [28, 'PATCH'],
]);

/** What node's parser finds. @param methods Of the requests, for their responses. */
function nodeMessages(side: Side, bytes: Buffer, methods: readonly string[]): Omit<Message, 'lost'>[] {
  const parser = new HTTPParser();
  parser.initialize(side === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  const messages: Omit<Message, 'lost'>[] = [];
  let final = true;
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    minor: number,
    raw: string[] = [],
    method: number,
    url: string,
    status: number,
  ) => {
    final = side === 'request' || status >= 200;
    if (!final) return 0;
    const start = side === 'request' ? `${METHODS.get(method)} ${url}` : `${status}`;
    const pairs = raw.flatMap((name, i) =>
      i % 2 === 0 ? [[name.toLowerCase(), raw[i + 1] ?? ''] as const] : [],
    );
    messages.push({ head: [`${start} 1.${minor}`, pairs], body: Buffer.alloc(0), how: undefined });
    return side === 'response' && methods[messages.length - 1] === 'HEAD' ? 1 : 0;
  };
  const last = () => messages.at(-1) ?? assert.fail('no head');
  parser[HTTPParser.kOnBody] = (piece: Buffer) => {
    last().body = Buffer.concat([last().body, piece]);
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    if (final) last().how = 'complete';
  };
  assert.equal(parser.execute(bytes), bytes.length);
  assert.equal(parser.finish(), undefined);
  return messages;
}

describe('HTTP/1, against the parser of node', () => {
  const expected = (all: readonly Traffic[]) => {
    const methods = all.map(({ method }) => method);
    const read = (side: Side) => nodeMessages(side, Buffer.concat(all.map((each) => each[side])), methods);
    return { request: read('request'), response: read('response') };
  };

  const check = (all: readonly Traffic[], assembler: Assembler) => {
    const messages = expected(all);
    assert.equal(assembler.exchanges.size, all.length);
    for (const [exchange, sides] of assembler.exchanges)
      for (const side of SIDES) {
        const { lost, ...message } = sides[side] ?? assert.fail('a side is missing');
        assert.equal(lost, 0);
        assert.deepEqual(message, messages[side][exchange - 1]);
      }
  };

  const feeder = (assembler: Assembler) => {
    const connection = new Http1Connection(assembler, { joined: NEITHER });
    const at = { request: 0, response: 0 };
    return (side: Side, pieces: readonly Buffer[]) => {
      for (const piece of pieces) {
        const bytes = Buffer.from(piece);
        connection.push(side, bytes, at[side], true);
        at[side] += bytes.length;
        // The ring uses its memory again.
        bytes.fill(0xee);
      }
    };
  };

  test('pipelined exchanges cut anywhere have the same heads and bodies', () => {
    fc.assert(
      fc.property(conversation, cuts, cuts, (all, requestCuts, responseCuts) => {
        const assembler = new Assembler();
        const feed = feeder(assembler);
        feed('request', cut(Buffer.concat(all.map(({ request }) => request)), requestCuts));
        feed('response', cut(Buffer.concat(all.map(({ response }) => response)), responseCuts));
        check(all, assembler);
      }),
      { numRuns: 400 },
    );
  });

  test('exchanges one after another, byte by byte, have the same heads and bodies', () => {
    fc.assert(
      fc.property(conversation, (all) => {
        const assembler = new Assembler();
        const feed = feeder(assembler);
        for (const { request, response } of all) {
          feed(
            'request',
            [...request].map((byte) => Buffer.from([byte])),
          );
          feed(
            'response',
            [...response].map((byte) => Buffer.from([byte])),
          );
        }
        check(all, assembler);
      }),
      { numRuns: 60 },
    );
  });
});

describe('HTTP/1 that ends with the connection, against the parser of node', () => {
  test('has the same head and body, wherever it is cut', () => {
    const head = fc.tuple(fields, fc.constantFrom('', 'Transfer-Encoding: gzip\r\n'));
    fc.assert(
      fc.property(conversation, head, blob, cuts, (all, [more, coding], body, places) => {
        const methods = [...all.map(({ method }) => method), 'GET'];
        const last = Buffer.from(`HTTP/1.1 200 OK\r\n${more}${coding}\r\n${body}`, 'latin1');
        const bytes = Buffer.concat([...all.map(({ response }) => response), last]);
        const assembler = new Assembler();
        const connection = new Http1Connection(assembler, { joined: NEITHER });
        const asked = Buffer.concat([
          ...all.map(({ request }) => request),
          Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        ]);
        connection.push('request', asked, 0, true);
        let at = 0;
        for (const piece of cut(bytes, places)) {
          connection.push('response', piece, at, true);
          at += piece.length;
        }
        const message = () => assembler.exchanges.get(methods.length)?.response ?? assert.fail('no response');
        assert.equal(message().how, undefined);
        connection.end('response', 'closed');
        const { lost: _lost, ...told } = message();
        assert.deepEqual(told, nodeMessages('response', bytes, methods).at(-1));
      }),
      { numRuns: 200 },
    );
  });
});

// ---- what is not valid ------------------------------------------------------

const mutation = fc.tuple(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.constantFrom('replace', 'insert', 'remove'),
  fc.oneof(
    fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        '\r',
        '\n',
        '\r\n\r\n',
        ' ',
        ':',
        '0',
        'ffffffffffffffff',
        'HTTP/1.1 101 X\r\nUpgrade: y\r\n\r\n',
      )
      .map((text) => Buffer.from(text)),
    fc
      .constantFrom(
        'GET / HTTP/1.1\r\nUpgrade: z\r\n\r\n',
        'Content-Length: 7\r\n',
        'Transfer-Encoding: x\r\n',
      )
      .map((text) => Buffer.from(text)),
  ),
);

function mutate(bytes: Buffer, [place, how, what]: readonly [number, string, Buffer]): Buffer {
  const at = Math.floor(place * bytes.length);
  const behind = how === 'insert' ? at : at + (how === 'replace' ? what.length : 3);
  return Buffer.concat([
    bytes.subarray(0, at),
    how === 'remove' ? Buffer.alloc(0) : what,
    bytes.subarray(behind),
  ]);
}

/** Both directions, mostly valid or not at all. */
const hostile = fc
  .oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(
        conversation,
        fc.array(mutation, { maxLength: 3 }),
        fc.array(mutation, { maxLength: 3 }),
      ),
    },
    { weight: 1, arbitrary: fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 })) },
  )
  .map(([first, second, third]) => {
    if (first instanceof Uint8Array)
      return { request: Buffer.from(first), response: Buffer.from(second as Uint8Array) };
    const whole = (side: Side, mutations: typeof second) =>
      (mutations as (readonly [number, string, Buffer])[]).reduce(
        mutate,
        Buffer.concat(first.map((each) => each[side])),
      );
    return { request: whole('request', second), response: whole('response', third ?? []) };
  });

describe('HTTP/1 that is not valid', () => {
  test('reads the same wherever it is cut', () => {
    const play = (bytes: Record<Side, Buffer>, places: Record<Side, readonly number[]>, joined: boolean) => {
      const assembler = new Assembler();
      const connection = new Http1Connection(assembler, { joined: { request: joined, response: joined } });
      for (const side of SIDES) {
        let at = 0;
        for (const piece of cut(bytes[side], places[side])) {
          connection.push(side, piece, at, at === 0);
          at += piece.length;
        }
      }
      for (const side of SIDES) connection.end(side, 'closed');
      return assembler.trace;
    };
    fc.assert(
      fc.property(hostile, cuts, cuts, fc.boolean(), (bytes, request, response, joined) => {
        const whole = play(bytes, { request: [], response: [] }, joined);
        assert.deepEqual(play(bytes, { request, response }, joined), whole);
      }),
      { numRuns: 600 },
    );
  });

  test('never throws, and keeps to what the interface says, with gaps and ends anywhere', () => {
    const step = fc.record({
      side: fc.constantFrom(...SIDES),
      what: fc.constantFrom('push', 'push', 'push', 'push', 'skip', 'end'),
      length: fc.integer({ min: 0, max: 120 }),
      boundary: fc.boolean(),
      how: fc.constantFrom('closed' as const, 'stop' as const),
    });
    const flag = fc.boolean();
    fc.assert(
      fc.property(
        hostile,
        fc.array(step, { maxLength: 40 }),
        flag,
        flag,
        (bytes, steps, request, response) => {
          const assembler = new Assembler();
          const connection = new Http1Connection(assembler, { joined: { request, response } });
          const at = { request: 0, response: 0 };
          for (const { side, what, length, boundary, how } of steps) {
            const piece = bytes[side].subarray(at[side], at[side] + length);
            if (what === 'end') connection.end(side, how);
            else {
              if (what === 'push') connection.push(side, piece, at[side], boundary);
              else connection.gap(side, at[side], piece.length);
              at[side] += piece.length;
            }
          }
          for (const side of SIDES) connection.end(side, 'stop');
          const upgraded = assembler.trace.some((line) => line.includes('upgrade'));
          for (const { request: asked, response: answered } of assembler.exchanges.values()) {
            if (asked) assert.ok(asked.how, 'a request that was told comes to its end');
            if (!upgraded) assert.ok(answered?.how, 'and so does its response, seen or not');
          }
        },
      ),
      { numRuns: 1500 },
    );
  });
});

describe('HTTP/1 with bytes missing', () => {
  test('the messages behind a gap are whole, and answer their own requests', () => {
    const place = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(conversation, fc.constantFrom(...SIDES), place, place, (all, side, one, other) => {
        const size = all.reduce((sum, each) => sum + each[side].length, 0);
        const [from, to] = [one, other].map((each) => Math.floor(each * size)).sort((a, b) => a - b);
        const hole = { from: from ?? 0, to: to ?? 0 };
        const assembler = new Assembler();
        const connection = new Http1Connection(assembler, { joined: NEITHER });
        const at = { request: 0, response: 0 };
        /** Each message begins a call. */
        const feed = (which: Side, bytes: Buffer) => {
          const start = at[which];
          const behind = start + bytes.length;
          const holed = which === side ? hole : { from: behind, to: behind };
          const first = Math.max(start, Math.min(holed.from, behind));
          const second = Math.max(start, Math.min(holed.to, behind));
          connection.push(which, bytes.subarray(0, first - start), start, true);
          connection.gap(which, first, second - first);
          connection.push(which, bytes.subarray(second - start), second, second === start);
          at[which] = behind;
        };
        const whole = { request: new Set<number>(), response: new Set<number>() };
        for (const [i, each] of all.entries())
          for (const which of SIDES) {
            const start = at[which];
            if (which !== side || start >= hole.to || start + each[which].length <= hole.from)
              whole[which].add(i);
            feed(which, each[which]);
          }
        const found = [...assembler.exchanges.values()];
        const methods = all.map(({ method }) => method);
        for (const [i, each] of all.entries()) {
          const [asked] = nodeMessages('request', each.request, []);
          const [answered] = nodeMessages('response', each.response, methods.slice(i));
          const same = (message: Message | undefined, right: Omit<Message, 'lost'> | undefined) =>
            message?.head?.[0] === right?.head?.[0] &&
            JSON.stringify(message?.head?.[1]) === JSON.stringify(right?.head?.[1]) &&
            message?.how === 'complete' &&
            right?.body.equals(message.body) &&
            message.lost === 0;
          const heard = !whole.request.has(i) || found.some(({ request }) => same(request, asked));
          assert.ok(heard, `request ${i} is whole`);
          // The answer to a HEAD that was not seen is taken for one with a body.
          if (!whole.response.has(i) || (each.method === 'HEAD' && !whole.request.has(i))) continue;
          const pairs = found.filter(({ response }) => same(response, answered));
          assert.ok(pairs.length > 0, `response ${i} is whole`);
          if (whole.request.has(i))
            assert.ok(
              pairs.some(({ request }) => same(request, asked)),
              `exchange ${i}`,
            );
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('what HTTP/1 costs', () => {
  const nothing = () => {};
  const silent: HttpSink = {
    request: nothing,
    response: nothing,
    body: nothing,
    lost: nothing,
    end: nothing,
    upgrade: nothing,
    tunnel: nothing,
    tunnelLost: nothing,
  };
  const methods = ({ indexOf, copy, toString: text }: Buffer) => ({
    indexOf: indexOf as (this: Buffer, byte: number, from: number) => number,
    copy,
    toString: text,
  });
  const many = (text: string, length: number) =>
    text.repeat(Math.ceil(length / text.length)).slice(0, length);
  const streams: readonly (readonly [string, Side, boolean, (length: number) => string])[] = [
    ['a head of one line', 'request', false, (n) => `GET /${many('x', n)} HTTP/1.1\r\n\r\n`],
    ['a head of many lines', 'request', false, (n) => `GET / HTTP/1.1\r\n${many('a: b\r\n', n)}\r\n\r\n`],
    [
      'a head of folds',
      'request',
      false,
      (n) => `GET / HTTP/1.1\r\na:\r\n${many(' \t \t b\r\n', n)}\r\n\r\n`,
    ],
    ['blanks', 'request', false, (n) => `GET / HTTP/1.1\r\na: ${many(' ', n)}b\r\n\r\n`],
    ['line ends', 'request', false, (n) => many('\r\n', n)],
    [
      'small chunks',
      'response',
      false,
      (n) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${many('1\r\na\r\n', n)}`,
    ],
    ['interim responses', 'response', false, (n) => many('HTTP/1.1 100 X\r\n\r\n', n)],
    [
      'bytes held for an upgrade',
      'request',
      false,
      (n) => `GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n${many('y', n)}`,
    ],
    ['a request line that may begin again', 'request', true, (n) => `GET /${many('x', n)}`],
    ['text that is nothing', 'response', true, (n) => many('some text: in lines\n', n)],
    ['what is almost a chunk', 'response', true, (n) => many(`1a;${'x'.repeat(190)}`, n)],
  ];

  for (const [name, side, joined, stream] of streams)
    test(`${name}: looks at and copies each byte a bounded number of times`, (t) => {
      let looked = 0;
      const original = methods(Buffer.prototype);
      t.after(() => Object.assign(Buffer.prototype, original));
      Object.assign(Buffer.prototype, {
        indexOf(this: Buffer, byte: number, from = 0) {
          const found = original.indexOf.call(this, byte, from);
          looked += (found < 0 ? this.length : found + 1) - from;
          return found;
        },
        copy(this: Buffer, to: Buffer, at = 0, from = 0, end = this.length) {
          looked += end - from;
          return original.copy.call(this, to, at, from, end);
        },
        toString(this: Buffer, encoding: BufferEncoding, from = 0, end = this.length) {
          looked += end - from;
          return original.toString.call(this, encoding, from, end);
        },
      });
      const cost = (length: number, piece: number) => {
        const bytes = Buffer.from(stream(length));
        const connection = new Http1Connection(silent, { joined: { request: joined, response: joined } });
        looked = 0;
        for (let at = 0; at < bytes.length; at += piece)
          connection.push(side, bytes.subarray(at, at + piece), at, true);
        return looked / bytes.length;
      };
      for (const piece of [1, 7, 1000]) {
        const [small, large] = [cost(30_000, piece), cost(120_000, piece)];
        assert.ok(large <= 2 * small + 1, `${piece}: ${small} times, ${large} times`);
        assert.ok(large <= 150, `${piece}: ${large} times`);
      }
    });
});
