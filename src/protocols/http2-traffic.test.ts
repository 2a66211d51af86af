// SPDX-License-Identifier: Apache-2.0
/** What node's HTTP/2 says, through a relay that records it: whole, cut, joined late, with losses, mutated. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { HttpSink, MessageEnd, RequestHead, ResponseHead, Side } from './http.ts';
import { Http2Connection } from './http2.ts';
import { FRAME, frameHead, HEAD_LENGTH } from './http2-frame-head.ts';

const SIDES = ['request', 'response'] as const;
const NEITHER = { request: false, response: false };
const BOTH = { request: true, response: true };

// ---- what was decoded -------------------------------------------------------

interface Message {
  start: string | undefined;
  fields: readonly (readonly [string | undefined, string])[];
  cut: boolean;
  /** Of the head. */
  offset: number;
  readonly body: { readonly bytes: Buffer; readonly offset: number }[];
  lost: number;
  how: MessageEnd | undefined;
}

/** Puts messages together, and holds the decoder to what its interface promises. */
class Assembler implements HttpSink {
  readonly exchanges = new Map<number, Partial<Record<Side, Message>>>();
  /** In order, bodies in a row as one: what does not depend on where the bytes were cut. */
  readonly trace: string[] = [];

  #message(exchange: number, side: Side): Message {
    assert.ok(exchange > 0 && exchange <= this.exchanges.size + 1, 'exchanges are numbered from 1');
    const sides = this.exchanges.get(exchange) ?? {};
    this.exchanges.set(exchange, sides);
    const none = { start: undefined, fields: [], cut: false, offset: -1, lost: 0, how: undefined };
    const message = sides[side] ?? { ...none, body: [] };
    sides[side] = message;
    assert.equal(message.how, undefined, 'nothing follows the end of a message');
    return message;
  }

  #head(exchange: number, side: Side, start: string, head: RequestHead | ResponseHead, offset: number): void {
    const message = this.#message(exchange, side);
    assert.equal(message.start, undefined, 'one head a message');
    const { fields } = head.headers;
    const cut = !head.headers.complete && fields.every(([name]) => name !== undefined);
    Object.assign(message, { start, offset, fields, cut });
    this.trace.push(`${exchange} ${side} ${offset} ${start} ${JSON.stringify(head.headers.fields)}`);
  }

  request(exchange: number, head: RequestHead, offset: number): void {
    this.#head(exchange, 'request', `${head.method} ${head.target} ${head.authority}`, head, offset);
  }

  response(exchange: number, head: ResponseHead, offset: number): void {
    this.#head(exchange, 'response', `${head.status}`, head, offset);
  }

  body(exchange: number, side: Side, bytes: Buffer, offset: number): void {
    assert.ok(bytes.length > 0);
    const message = this.#message(exchange, side);
    assert.ok(message.start !== undefined, 'a body follows a head');
    message.body.push({ bytes: Buffer.from(bytes), offset });
    const label = `${exchange} ${side} body `;
    const text = bytes.toString('latin1');
    const last = this.trace.length - 1;
    if (this.trace[last]?.startsWith(label)) this.trace[last] += text;
    else this.trace.push(label + text);
  }

  lost(exchange: number, side: Side, offset: number, bytes: number): void {
    const message = this.#message(exchange, side);
    assert.ok(message.start !== undefined, 'a body follows a head');
    message.lost++;
    this.trace.push(`${exchange} ${side} lost ${offset} ${bytes}`);
  }

  end(exchange: number, side: Side, how: MessageEnd): void {
    const message = this.#message(exchange, side);
    assert.ok(message.start !== undefined || (side === 'response' && how !== 'complete'));
    message.how = how;
    this.trace.push(`${exchange} ${side} ${how}`);
  }

  upgrade(): void {
    assert.fail('HTTP/2 is not left');
  }

  tunnel(): void {
    assert.fail('HTTP/2 is not left');
  }

  tunnelLost(): void {
    assert.fail('HTTP/2 is not left');
  }
}

// ---- node's traffic ---------------------------------------------------------

/** Bytes of a direction, as they came. */
interface Piece {
  readonly side: Side;
  readonly bytes: Buffer;
  readonly offset: number;
}

/** What a peer says of one message. */
interface Told {
  headers: http2.IncomingHttpHeaders;
  body: string;
}

interface Traffic {
  readonly pieces: readonly Piece[];
  /** By the number that each request carries: what the server got and what the client got. */
  readonly requests: Map<string, Told>;
  readonly responses: Map<string, Told>;
  /** Informational responses that the client got. */
  informational: number;
  /** Trailers that either got. */
  trailers: number;
  pushed: string[];
}

const text = (length: number, seed: number): string =>
  Array.from(
    { length },
    (_, at) => 'abcdefghijklmnopqrstuvwxyz{":}'[(at * 7 + seed * 13 + (at >> 5)) % 30],
  ).join('');

async function bodyOf(stream: http2.Http2Stream): Promise<string> {
  let body = '';
  stream.setEncoding('latin1');
  for await (const chunk of stream) body += chunk;
  return body;
}

const LARGE = { maxHeaderListPairs: 2000, settings: { maxHeaderListSize: 1 << 20 } };

/** The server echoes with trailers; `x-do` asks for more. */
async function serve(traffic: Traffic, padding: boolean): Promise<http2.Http2Server> {
  const { PADDING_STRATEGY_MAX, PADDING_STRATEGY_NONE } = http2.constants;
  const paddingStrategy = padding ? PADDING_STRATEGY_MAX : PADDING_STRATEGY_NONE;
  const server = http2.createServer({ ...LARGE, maxSendHeaderBlockLength: 1 << 20, paddingStrategy });
  server.on('stream', async (stream, headers) => {
    stream.on('error', () => {});
    stream.on('trailers', () => traffic.trailers++);
    const id = String(headers['x-id']);
    const todo = headers['x-do'];
    if (todo === 'refuse') {
      stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    if (todo === 'early') stream.additionalHeaders({ ':status': 103, link: '</a>' });
    if (todo === 'push')
      stream.pushStream({ ':path': '/pushed', 'x-id': `${id}p` }, (_error, pushed) => {
        pushed.respond({ ':status': 200, 'x-id': `${id}p` });
        pushed.end('pushed');
      });
    if (todo === 'endless') {
      stream.respond({ ':status': 200, 'x-id': id });
      stream.write('event');
      return;
    }
    const body = await bodyOf(stream);
    traffic.requests.set(id, { headers, body });
    const large = todo === 'large' ? { 'x-large': text(40_000, 5) } : {};
    stream.respond(
      { ':status': Number(headers['x-status'] ?? 200), 'x-id': id, ...large },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': id }));
    stream.end(body.toUpperCase());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Passes everything on, and writes down what came before it does. */
async function relay(target: number, pieces: Piece[]): Promise<net.Server> {
  const at = { request: 0, response: 0 };
  const server = net.createServer((client) => {
    const upstream = net.connect(target, '127.0.0.1');
    const pass = (side: Side, from: net.Socket, to: net.Socket) => {
      from.on('data', (bytes) => {
        pieces.push({ side, bytes: Buffer.from(bytes), offset: at[side] });
        at[side] += bytes.length;
        to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
    };
    pass('request', client, upstream);
    pass('response', upstream, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Also of one that is reset. */
const closed = (stream: http2.Http2Stream) => new Promise((done) => stream.on('close', done));

const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port;

async function record(padding: boolean, count: number, size: number): Promise<Traffic> {
  const traffic: Traffic = {
    pieces: [],
    requests: new Map(),
    responses: new Map(),
    informational: 0,
    trailers: 0,
    pushed: [],
  };
  const server = await serve(traffic, padding);
  const middle = await relay(portOf(server), traffic.pieces as Piece[]);
  const client = http2.connect(`http://127.0.0.1:${portOf(middle)}`, {
    ...LARGE,
    maxSendHeaderBlockLength: 1 << 20,
    paddingStrategy: padding ? http2.constants.PADDING_STRATEGY_MAX : http2.constants.PADDING_STRATEGY_NONE,
  });
  client.on('stream', async (stream, headers) => {
    stream.on('error', () => {});
    traffic.pushed.push(String(headers['x-id']));
    await bodyOf(stream);
  });

  async function ask(id: string, headers: http2.OutgoingHttpHeaders, body: string): Promise<void> {
    const head = { ':method': 'POST', ':path': '/mcp', 'x-id': id, ...headers };
    const stream = client.request(head, { waitForTrailers: headers['x-trailers'] !== undefined });
    stream.on('error', () => {});
    stream.on('headers', () => traffic.informational++);
    stream.on('trailers', () => traffic.trailers++);
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': id }));
    const half = Math.floor(body.length / 2);
    stream.write(body.slice(0, half));
    stream.end(body.slice(half));
    const [response] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    if (headers['x-do'] === 'endless') {
      await once(stream, 'data');
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await closed(stream);
      return;
    }
    traffic.responses.set(id, { headers: response, body: await bodyOf(stream) });
  }

  const asked: Promise<void>[] = [];
  const todo = ['', '', 'early', '', 'large', 'push', 'endless', ''];
  for (let n = 0; n < count; n++) {
    const headers: http2.OutgoingHttpHeaders = {
      [`x-n-${n % 5}`]: text(n * 3, n),
      'x-do': todo[n % todo.length],
    };
    if (n % 3 === 0) headers['x-trailers'] = 'yes';
    if (n % 4 === 1) headers['x-status'] = '202';
    if (n === 7) headers['x-large'] = text(50_000, n);
    // The Huffman code of every byte that a value may hold.
    if (n === 8)
      for (let byte = 0x21; byte < 0x100; byte++)
        if (byte !== 0x7f) headers[`x-byte-${byte}`] = 'a'.repeat(15) + String.fromCharCode(byte);
    asked.push(ask(String(n), headers, text((n * 977) % size, n)));
    // A few at once, then all of them.
    if (n % 6 === 5) await Promise.all(asked.splice(0));
  }
  const refused = client.request({ ':method': 'POST', ':path': '/mcp', 'x-id': 'refused', 'x-do': 'refuse' });
  refused.on('error', () => {});
  await closed(refused);
  await Promise.all(asked);
  await new Promise<void>((done) => client.close(done));
  await Promise.all([new Promise((done) => middle.close(done)), new Promise((done) => server.close(done))]);
  return traffic;
}

let traffic: Traffic;
let padded: Traffic;
let full: Assembler;

before(async () => {
  traffic = await record(false, 40, 20_000);
  padded = await record(true, 24, 3000);
  full = decode(traffic.pieces);
});

interface DecodeOptions {
  readonly joined?: boolean;
  /** Are these pieces the beginnings of calls? */
  readonly boundary?: (piece: Piece) => boolean;
  readonly closed?: boolean;
}

function decode(pieces: readonly Piece[], options: DecodeOptions = {}): Assembler {
  const assembler = new Assembler();
  const connection = new Http2Connection(assembler, { joined: options.joined ? BOTH : NEITHER });
  for (const piece of pieces)
    connection.push(piece.side, piece.bytes, piece.offset, options.boundary?.(piece) ?? true);
  if (options.closed !== false) for (const side of SIDES) connection.end(side, 'closed');
  return assembler;
}

// ---- against what the peers say ---------------------------------------------

const fieldOf = (message: Message | undefined, name: string) =>
  message?.fields.find(([each]) => each === name)?.[1];

/** Fields as node tells them: without pseudo-header fields; node joins none of those sent here. */
const asNode = (headers: http2.IncomingHttpHeaders) =>
  Object.entries(headers).filter(([name]) => !name.startsWith(':'));

const bodyText = (message: Message | undefined) =>
  Buffer.concat((message?.body ?? []).map(({ bytes }) => bytes)).toString('latin1');

function assertAsTold(traffic: Traffic, { exchanges }: Assembler): void {
  const [requests, responses] = [new Set<string>(), new Set<string>()];
  for (const { request, response } of exchanges.values()) {
    const id = fieldOf(request, 'x-id') ?? fieldOf(response, 'x-id') ?? '';
    const asked = traffic.requests.get(id);
    const answered = traffic.responses.get(id);
    if (asked && request) {
      const { ':method': method, ':path': path, ':authority': authority } = asked.headers;
      assert.equal(request.start, `${method} ${path} ${authority}`);
      assert.deepEqual(request.fields, asNode(asked.headers), `request ${id}`);
      assert.equal(bodyText(request), asked.body, `request ${id}`);
      assert.equal(request.how, 'complete');
      requests.add(id);
    }
    if (answered && response) {
      assert.equal(response.start, String(answered.headers[':status']));
      assert.deepEqual(response.fields, asNode(answered.headers), `response ${id}`);
      assert.equal(bodyText(response), answered.body, `response ${id}`);
      assert.equal(response.how, 'complete');
      responses.add(id);
    }
    if (fieldOf(request, 'x-do') === 'endless') assert.equal(response?.how, 'reset');
    if (id === 'refused') assert.deepEqual([response?.start, response?.how], [undefined, 'reset']);
    if (id.endsWith('p')) assert.deepEqual([request, bodyText(response)], [undefined, 'pushed']);
  }
  assert.equal(requests.size, traffic.requests.size);
  assert.equal(responses.size, traffic.responses.size);
  const pushed = [...exchanges.values()].filter(({ request }) => !request);
  assert.deepEqual(pushed.map(({ response }) => fieldOf(response, 'x-id')).sort(), traffic.pushed.sort());
}

/** Types of the frames of one direction, and where each begins: walked apart from the decoder. */
function framesOf({ pieces }: Traffic, side: Side): Map<number, number> {
  const bytes = Buffer.concat(pieces.filter((piece) => piece.side === side).map((piece) => piece.bytes));
  const frames = new Map<number, number>();
  for (let at = side === 'request' ? 24 : 0; at < bytes.length; ) {
    const { type, length } = frameHead(bytes, at, 0);
    frames.set(at, type);
    at += HEAD_LENGTH + length;
  }
  return frames;
}

describe("node's HTTP/2", () => {
  test('is decoded to what its peers say, with large heads, trailers, pushes, 1xx and resets', () => {
    const types = new Set(SIDES.flatMap((side) => [...framesOf(traffic, side).values()]));
    for (const name of ['continuation', 'pushPromise', 'rstStream', 'goAway'] as const)
      assert.ok(types.has(FRAME[name]), `the traffic has ${name}`);
    assert.ok(traffic.informational > 0 && traffic.trailers > 40 && traffic.pushed.length > 0);
    assertAsTold(traffic, full);
  });

  test('is decoded to what its peers say with padding', () => assertAsTold(padded, decode(padded.pieces)));

  test('leaves nothing open', () => {
    const { exchanges } = decode(traffic.pieces, { closed: false });
    for (const { request, response } of exchanges.values()) {
      assert.ok(response?.how);
      assert.ok(!request || request.how);
    }
  });

  test('however it is cut, is the same', () => {
    for (const { pieces } of [padded, traffic]) {
      const whole = decode(pieces).trace;
      const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 9 });
      const cut = (lengths: readonly number[]) => {
        let n = 0;
        const cuts = pieces.flatMap(({ side, bytes, offset }) => {
          const parts: Piece[] = [];
          for (let at = 0; at < bytes.length; ) {
            const part = bytes.subarray(at, at + (lengths[n++ % lengths.length] ?? 1));
            parts.push({ side, bytes: part, offset: offset + at });
            at += part.length;
          }
          return parts;
        });
        assert.ok(
          decode(cuts, { boundary: () => false }).trace.join('\n') === whole.join('\n'),
          `${lengths}`,
        );
      };
      fc.assert(fc.property(sizes, cut), { numRuns: 3 });
      if (pieces === padded.pieces) cut([1]);
    }
  });
});

// ---- with a part of it missing ----------------------------------------------

/** Whose body each byte of a direction is: exchange, or 0. */
function owners({ exchanges }: Assembler, side: Side, length: number): Int32Array {
  const all = new Int32Array(length);
  for (const [exchange, message] of exchanges)
    for (const { bytes, offset } of message[side]?.body ?? [])
      all.fill(exchange, offset, offset + bytes.length);
  return all;
}

const lengthOf = (pieces: readonly Piece[], side: Side) =>
  pieces.filter((piece) => piece.side === side).reduce((sum, { bytes }) => sum + bytes.length, 0);

/**
 * All that `part` tells is true: each head is one of the whole, with its names or none, and each body's bytes are all
 * of one exchange.
 * @returns the names and the unknown names told; and by its own exchanges, those of the whole.
 */
function assertTrue(part: Assembler): { known: number; unknown: number } {
  let [known, unknown] = [0, 0];
  const real = new Map<number, number>();
  const same = (exchange: number, truth: number) => {
    assert.equal(real.get(exchange) ?? truth, truth, 'what belongs to one exchange is told of one');
    real.set(exchange, truth);
  };
  for (const side of SIDES) {
    const heads = new Map<number, readonly [number, Message]>();
    for (const [exchange, { [side]: message }] of full.exchanges)
      if (message?.start !== undefined) heads.set(message.offset, [exchange, message]);
    const truth = owners(full, side, lengthOf(traffic.pieces, side));
    for (const [exchange, { [side]: message }] of part.exchanges) {
      if (!message) continue;
      for (const { offset, bytes } of message.body)
        for (let at = offset; at < offset + bytes.length; at++) {
          const owner = truth[at] ?? 0;
          if (owner === 0) assert.fail(`byte ${at} of the ${side}s is no body`);
          if (real.get(exchange) !== owner) same(exchange, owner);
        }
      // One that was never begun ends all the same.
      if (message.start === undefined) continue;
      const [number, whole] = heads.get(message.offset) ?? [];
      // None: inferred from DATA or from a damaged head, or trailers of which not even the names are known.
      if (!whole || number === undefined) assert.ok(message.fields.every(([name]) => name === undefined));
      else same(exchange, number);
      // Before them may come pseudo-header fields whose names are unknown. How many, a head that may be cut does not tell.
      const { fields } = message;
      const named = fields.findIndex(([name]) => name !== undefined);
      const most = named < 0 ? fields.length : named;
      const differs = (ahead: number) =>
        fields.findIndex(([name, value], place) => {
          const field = whole?.fields[place - ahead];
          if (name === undefined) return value !== '' && place >= ahead && value !== field?.[1];
          return name !== field?.[0] || value !== field[1];
        });
      if ([...Array(most + 1).keys()].every((ahead) => differs(ahead) >= 0))
        assert.fail(`${JSON.stringify(fields)} are not ${JSON.stringify(whole?.fields)}`);
      if (most === 0 && !message.cut) assert.equal(fields.length, whole?.fields.length ?? 0);
      for (const [name] of fields)
        if (name === undefined) unknown++;
        else known++;
    }
  }
  return { known, unknown };
}

/** The first piece that begins with a frame. */
function firstFrame(pieces: readonly Piece[], side: Side): number {
  const frames = framesOf(traffic, side);
  const found = pieces.find((p) => p.side === side && p.bytes.length >= HEAD_LENGTH && frames.has(p.offset));
  return found?.offset ?? Number.POSITIVE_INFINITY;
}

describe("node's HTTP/2 with a part of it missing", () => {
  test('joined at any piece, tells nothing wrong, and every body from the first frame on', () => {
    let [known, unknown, followed] = [0, 0, 0];
    const wholes: Record<Side, Int32Array> = { request: new Int32Array(), response: new Int32Array() };
    for (const side of SIDES) wholes[side] = owners(full, side, lengthOf(traffic.pieces, side));
    const step = Math.max(1, Math.floor(traffic.pieces.length / 120));
    for (let from = 1; from < traffic.pieces.length; from += step) {
      const pieces = traffic.pieces.slice(from);
      const part = decode(pieces, { joined: true });
      const told = assertTrue(part);
      known += told.known;
      unknown += told.unknown;
      for (const side of SIDES) {
        const start = firstFrame(pieces, side);
        const truth = wholes[side];
        const seen = owners(part, side, truth.length);
        for (let at = start; at < truth.length; at++) {
          const exchange = truth[at] ?? 0;
          if (exchange === 0) continue;
          followed++;
          // A request of which only the rest was seen, behind its response, is not told.
          const begun = full.exchanges.get(exchange)?.request?.offset ?? 0;
          if (seen[at] === 0 && (side === 'response' || begun > start))
            assert.fail(`from piece ${from}: byte ${at} of the ${side}s is missing`);
        }
      }
    }
    assert.ok(known > 1000 && unknown > 1000 && followed > 100_000, `${known} ${unknown} ${followed}`);
  });

  test('with losses anywhere, tells nothing wrong, and the next exchange behind them', () => {
    const places = fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        skip: fc.nat(200),
        bytes: fc.integer({ min: 1, max: 30_000 }),
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(places, (losses) => {
        const part = new Assembler();
        const connection = new Http2Connection(part, { joined: NEITHER });
        const left = { request: 0, response: 0 };
        traffic.pieces.forEach(({ side, bytes, offset }, number) => {
          let at = 0;
          for (const loss of losses)
            if (Math.floor(loss.at * traffic.pieces.length) === number) {
              // The piece is seen up to somewhere; from there on, so many bytes are lost.
              at = left[side] > 0 ? 0 : Math.min(loss.skip, bytes.length);
              if (at > 0) connection.push(side, bytes.subarray(0, at), offset, true);
              left[side] = Math.max(left[side], loss.bytes);
            }
          const lost = Math.min(left[side], bytes.length - at);
          left[side] -= lost;
          if (lost > 0) connection.gap(side, offset + at, lost);
          if (at + lost < bytes.length)
            connection.push(side, bytes.subarray(at + lost), offset + at + lost, at + lost === 0);
        });
        assertTrue(part);
        // Each direction has lost its way by now, perhaps, and finds it with a call that begins with a frame.
        for (const side of SIDES) connection.gap(side, 1e8, 1 << 24);
        const count = part.exchanges.size;
        connection.push('request', Buffer.from([0, 0, 3, 1, 5, 0, 1, 0, 1, 0x83, 0x84, 0x86]), 2e8, true);
        connection.push('response', Buffer.from([0, 0, 1, 1, 5, 0, 1, 0, 1, 0x88]), 2e8, true);
        const { request, response } = part.exchanges.get(count + 1) ?? {};
        assert.deepEqual([request?.start, request?.how], ['POST / undefined', 'complete']);
        assert.deepEqual([response?.start, response?.how], ['200', 'complete']);
        for (const side of SIDES) connection.end(side, 'closed');
        for (const exchange of part.exchanges.values()) assert.ok(!exchange.request || exchange.request.how);
        for (const exchange of part.exchanges.values()) assert.ok(exchange.response?.how);
      }),
      { numRuns: 60, includeErrorInReport: true },
    );
  });

  test('with bytes changed anywhere, keeps its promises', () => {
    const changes = fc.array(
      fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(2000), fc.nat(255)),
      {
        minLength: 1,
        maxLength: 12,
      },
    );
    const { pieces } = padded;
    fc.assert(
      fc.property(changes, fc.boolean(), (list, joined) => {
        const changed = pieces.map(({ bytes, ...piece }) => ({ ...piece, bytes: Buffer.from(bytes) }));
        for (const [place, at, value] of list) {
          const bytes = changed[Math.floor(place * changed.length)]?.bytes ?? Buffer.alloc(1);
          bytes[at % bytes.length] = value;
        }
        const { exchanges } = decode(changed, { joined });
        for (const { request } of exchanges.values())
          assert.ok(!request || request.how, 'every message ends');
      }),
      { numRuns: 100 },
    );
  });
});
