// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import zlib from 'node:zlib';
import fc from 'fast-check';
import type { Side } from './http.ts';
import { type DeflateParameters, parsePermessageDeflate } from './permessage-deflate.ts';
import { type WebSocketClose, WebSocketDecoder, type WebSocketMessage } from './websocket.ts';
import { LARGE_TEXT, WireText } from './wire-text.ts';

const MIB = 1024 * 1024;
const TAKEOVER: DeflateParameters = { windowBits: 15, contextTakeover: true };
const NO_TAKEOVER: DeflateParameters = { windowBits: 15, contextTakeover: false };

interface FrameOptions {
  readonly opcode?: number;
  readonly fin?: boolean;
  /** All reserved bits, RSV1 is 0x40. */
  readonly reserved?: number;
  readonly key?: number;
}

/** A frame as RFC 6455, section 5.2 draws it, written byte by byte. */
function frame(payload: Buffer | string, options: FrameOptions = {}): Buffer {
  const { opcode = 1, fin = true, reserved = 0, key } = options;
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const first = (fin ? 0x80 : 0) | reserved | opcode;
  const mask = key === undefined ? 0 : 0x80;
  const head = [first];
  if (length < 126) head.push(mask | length);
  else if (length < 65536) head.push(mask | 126, length >> 8, length & 0xff);
  else
    head.push(
      mask | 127,
      0,
      0,
      0,
      0,
      length >>> 24,
      (length >> 16) & 0xff,
      (length >> 8) & 0xff,
      length & 0xff,
    );
  if (key === undefined) return Buffer.concat([Buffer.from(head), bytes]);
  const keyBytes = [key >>> 24, (key >> 16) & 0xff, (key >> 8) & 0xff, key & 0xff];
  const masked = bytes.map((byte, i) => byte ^ (keyBytes[i % 4] ?? 0));
  return Buffer.concat([Buffer.from([...head, ...keyBytes]), masked]);
}

interface Received {
  readonly said: (WebSocketMessage | WebSocketClose)[];
  readonly decoder: WebSocketDecoder;
  push(bytes: Buffer, boundary?: boolean): void;
  gap(bytes: number): void;
  end(reason?: 'end' | 'stop'): void;
}

interface ReceiverOptions {
  readonly side?: Side;
  readonly maxSize?: number;
  readonly deflate?: DeflateParameters;
}

function receiver({ side = 'response', maxSize = 16 * MIB, deflate }: ReceiverOptions = {}): Received {
  const decoder = new WebSocketDecoder({ side, maxSize, deflate });
  const said: (WebSocketMessage | WebSocketClose)[] = [];
  const emit = (each: WebSocketMessage | WebSocketClose) => void said.push(each);
  let offset = 0;
  return {
    said,
    decoder,
    push(data, boundary = true) {
      const bytes = Buffer.from(data);
      decoder.push(bytes, offset, boundary, emit);
      offset += bytes.length;
      // The ring uses its memory again: what was not copied shows.
      bytes.fill(0xee);
    },
    gap(bytes) {
      decoder.gap(bytes, emit);
      offset += bytes;
    },
    end(reason = 'end') {
      decoder.end(reason, emit);
    },
  };
}

const contentOf = (each: WebSocketMessage | WebSocketClose) => {
  if (each.type === 'close') return { close: each.code, reason: each.reason };
  return each.content.type === 'text' ? each.content.text : each.content;
};
const contents = ({ said }: Received) => said.map(contentOf);
const gap = (head: string) => ({ type: 'incomplete', head, reason: 'gap' }) as const;

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((each) => each % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
}

/** As a sender compresses (RFC 7692, section 7.2.1): one context for all messages, or one for each. */
function compressor({ windowBits, contextTakeover }: DeflateParameters): (text: string) => Promise<Buffer> {
  let parts: Buffer[] = [];
  const create = () => {
    const deflate = zlib.createDeflateRaw({ windowBits: Math.max(9, windowBits), memLevel: 9 });
    return deflate.on('data', (part: Buffer) => void parts.push(part));
  };
  let deflate = create();
  return async (text) => {
    parts = [];
    deflate.write(text);
    await new Promise<void>((resolve) => deflate.flush(zlib.constants.Z_SYNC_FLUSH, resolve));
    if (!contextTakeover) deflate = create();
    return Buffer.concat(parts).subarray(0, -4);
  };
}

describe('frames', () => {
  test('of all lengths, masked or not, are messages with their place and size', () => {
    for (const key of [undefined, 0x12345678, 0xfffefdfc]) {
      for (const size of [0, 1, 125, 126, 127, 65535, 65536, LARGE_TEXT * 2]) {
        const received = receiver({ side: key === undefined ? 'response' : 'request' });
        const text = Array.from({ length: size }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
        const first = frame('first', { key: key ?? 0 });
        received.push(Buffer.concat([first, frame(text, key === undefined ? {} : { key })]));
        const [, message] = received.said;
        assert.ok(message?.type === 'message');
        assert.equal(contentOf(message), text);
        assert.deepEqual([message.offset, message.size, message.opcode], [first.length, size, 'text']);
        assert.equal(message.content instanceof WireText, size >= LARGE_TEXT);
      }
    }
  });

  test('masks are taken off wherever a payload is cut', () => {
    const text = 'The mask of a frame goes on where its payload is cut, word by word or not. '.repeat(10);
    const bytes = frame(text, { key: 0x01f2_83c4 });
    for (let at = 0; at < bytes.length; at++) {
      const received = receiver({ side: 'request' });
      received.push(bytes.subarray(0, at));
      received.push(bytes.subarray(at), false);
      assert.deepEqual(contents(received), [text]);
    }
  });

  test('in fragments are one message, with control frames between them', () => {
    const received = receiver();
    received.push(frame('Hel', { fin: false }));
    received.push(frame('ping', { opcode: 9 }));
    received.push(frame('', { opcode: 0, fin: false }));
    received.push(frame('', { opcode: 10 }));
    received.push(frame('lo', { opcode: 0 }));
    received.push(frame('next'));
    assert.deepEqual(contents(received), ['Hello', 'next']);
    const [hello] = received.said;
    assert.ok(hello?.type === 'message');
    assert.deepEqual([hello.offset, hello.size], [0, 5]);
  });

  test('of binary messages are given with their opcode, as text where they are UTF-8', () => {
    const received = receiver();
    received.push(frame(Buffer.from([0xff, 0x00]), { opcode: 2 }));
    received.push(frame('{"jsonrpc":"2.0"}', { opcode: 2 }));
    assert.deepEqual(contents(received), [
      { type: 'binary', bytes: Buffer.from([0xff, 0x00]) },
      '{"jsonrpc":"2.0"}',
    ]);
    assert.ok(received.said.every((each) => each.type === 'message' && each.opcode === 'binary'));
  });

  test('a character may lie in two fragments', () => {
    const received = receiver();
    const bytes = Buffer.from('€');
    received.push(frame(bytes.subarray(0, 1), { fin: false }));
    received.push(frame(bytes.subarray(1), { opcode: 0 }));
    assert.deepEqual(contents(received), ['€']);
  });

  test('a close frame ends the direction', () => {
    const received = receiver({ side: 'request' });
    received.push(frame(Buffer.from([0x03, 0xe8, ...Buffer.from('bye ü')]), { opcode: 8, key: 77 }));
    received.push(frame('more', { key: 1 }));
    assert.deepEqual(contents(received), [{ close: 1000, reason: 'bye ü' }]);
    assert.ok(received.decoder.closed);
    const bare = receiver();
    bare.push(frame('', { opcode: 8 }));
    assert.deepEqual(contents(bare), [{ close: undefined, reason: '' }]);
  });
});

describe('size', () => {
  test('of a message beyond the largest only the head is kept, and the next is intact', () => {
    const text = 'x'.repeat(100_000);
    for (const key of [undefined, 99]) {
      const received = receiver({ maxSize: 50_000 });
      const masked = key === undefined ? {} : { key };
      const bytes = Buffer.concat([frame(text, masked), frame('next', masked)]);
      for (let at = 0; at < bytes.length; at += 7000) received.push(bytes.subarray(at, at + 7000), false);
      assert.deepEqual(contents(received), [{ type: 'oversize', head: 'x'.repeat(4096) }, 'next']);
      assert.ok(received.decoder.held <= 16384);
    }
  });

  test('a length of 2^40 is counted, not kept', () => {
    const received = receiver({ maxSize: MIB });
    const head = Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]);
    received.push(head);
    for (let i = 0; i < 64; i++) received.push(Buffer.alloc(65536, 0x61), false);
    assert.ok(received.decoder.held <= 16384);
    received.gap(2 ** 40 - 64 * 65536);
    received.push(frame('next'));
    assert.deepEqual(contents(received), [gap('a'.repeat(4096)), 'next']);
  });

  test('a message of fragments without end holds no more than its largest size', () => {
    const received = receiver({ maxSize: MIB });
    received.push(frame('a', { fin: false }));
    let most = 0;
    for (let i = 0; i < 5000; i++) {
      received.push(frame('x'.repeat(1000), { opcode: 0, fin: false }));
      most = Math.max(most, received.decoder.held);
    }
    assert.ok(most <= 2 * MIB && received.decoder.held <= 16384);
  });
});

describe('permessage-deflate', () => {
  const texts = ['{"a":1}', '{"a":1}', '', 'ü'.repeat(5000), '{"a":1}', 'x'.repeat(LARGE_TEXT), 'last'];

  for (const windowBits of [8, 9, 12, 15]) {
    for (const contextTakeover of [true, false]) {
      for (const key of [undefined, 0xdeadbeef]) {
        test(`is undone: window ${windowBits}, takeover ${contextTakeover}, masked ${key !== undefined}`, async () => {
          // zlib makes no window of 8; what was made with 9 from texts that short fits.
          const sent = windowBits === 8 ? texts.slice(0, 3) : texts;
          const deflate = { windowBits, contextTakeover };
          const compress = compressor(deflate);
          const received = receiver({ deflate });
          const masked = key === undefined ? {} : { key };
          for (const text of sent) {
            const bytes = await compress(text);
            const half = bytes.length >> 1;
            received.push(frame(bytes.subarray(0, half), { fin: false, reserved: 0x40, ...masked }));
            received.push(frame('', { opcode: 9, ...masked }));
            received.push(frame(bytes.subarray(half), { opcode: 0, ...masked }));
          }
          assert.deepEqual(contents(received), sent);
        });
      }
    }
  }

  test('may leave single messages as they are', async () => {
    const compress = compressor(TAKEOVER);
    const received = receiver({ deflate: TAKEOVER });
    received.push(frame(await compress('one'), { reserved: 0x40 }));
    received.push(frame('two'));
    received.push(frame(await compress('one'), { reserved: 0x40 }));
    assert.deepEqual(contents(received), ['one', 'two', 'one']);
  });

  test('the examples of RFC 7692, section 7.2.3', () => {
    const received = receiver({ deflate: TAKEOVER });
    const hex = [
      'c107f248cdc9c90700', // one block
      'c105f200110000', // shares the window
      'c10b000500faff48656c6c6f00', // without compression
    ];
    for (const each of hex) received.push(Buffer.from(each, 'hex'));
    assert.deepEqual(contents(received), ['Hello', 'Hello', 'Hello']);
    const final = receiver({ deflate: TAKEOVER });
    final.push(Buffer.from('c108f348cdc9c9070000', 'hex'));
    final.push(Buffer.from('c107f248cdc9c90700', 'hex'));
    assert.deepEqual(contents(final), ['Hello', 'Hello'], 'a block with BFINAL');
    const fragments = receiver({ deflate: TAKEOVER });
    fragments.push(Buffer.from('4103f248cd8004c9c90700', 'hex'));
    assert.deepEqual(contents(fragments), ['Hello'], 'in fragments');
  });

  test('a message that refers to one that is lost is incomplete, one that cannot is whole', async () => {
    for (const deflate of [TAKEOVER, NO_TAKEOVER]) {
      const compress = compressor(deflate);
      const received = receiver({ deflate });
      received.push(frame(await compress('first'), { reserved: 0x40 }));
      received.push(frame(await compress('second'), { reserved: 0x40 }).subarray(0, 4));
      received.gap(1000);
      received.push(frame(await compress('third'), { reserved: 0x40 }));
      received.push(frame('fourth'));
      const last = deflate.contextTakeover ? gap('') : 'third';
      assert.deepEqual(
        contents(received).filter((_, i) => i !== 1),
        ['first', last, 'fourth'],
      );
    }
  });

  test('what is broken is incomplete, and what does not refer to it is whole', async () => {
    const compress = compressor(NO_TAKEOVER);
    const received = receiver({ deflate: NO_TAKEOVER });
    received.push(frame(Buffer.alloc(20, 0xff), { reserved: 0x40 }));
    received.push(frame(await compress('next'), { reserved: 0x40 }));
    assert.deepEqual(contents(received), [gap(''), 'next']);
  });

  test('a hundred broken messages are enough: what is compressed is not looked at any more', async () => {
    const compress = compressor(NO_TAKEOVER);
    const received = receiver({ deflate: NO_TAKEOVER });
    const broken = frame(Buffer.alloc(20, 0xff), { reserved: 0x40 });
    for (let i = 0; i < 99; i++) received.push(broken);
    received.push(frame(await compress('read'), { reserved: 0x40 }));
    received.push(broken);
    received.push(frame(await compress('not read'), { reserved: 0x40 }));
    received.push(frame('plain'));
    assert.deepEqual(contents(received).slice(99), ['read', gap(''), gap(''), 'plain']);
  });

  test('a bomb is given up, with the head of what came out', async () => {
    for (const deflate of [TAKEOVER, NO_TAKEOVER]) {
      const compress = compressor(deflate);
      const received = receiver({ deflate, maxSize: MIB });
      received.push(frame(await compress('x'.repeat(2 * MIB)), { reserved: 0x40 }));
      received.push(frame(await compress('after oversize'), { reserved: 0x40 }));
      received.push(frame(await compress('x'.repeat(100 * MIB)), { reserved: 0x40 }));
      received.push(frame(await compress('after bomb'), { reserved: 0x40 }));
      const large = { type: 'oversize', head: 'x'.repeat(4096) } as const;
      const last = deflate.contextTakeover ? gap('') : 'after bomb';
      assert.deepEqual(contents(received), [large, 'after oversize', large, last]);
      assert.ok(received.decoder.held <= 16384);
    }
  });

  test('size is what was sent', async () => {
    const bytes = await compressor(TAKEOVER)('x'.repeat(1000));
    const received = receiver({ deflate: TAKEOVER });
    received.push(frame(bytes, { reserved: 0x40 }));
    const [message] = received.said;
    assert.equal(message?.type === 'message' && message.size, bytes.length);
  });
});

describe('negotiation', () => {
  const both = (request: DeflateParameters, response: DeflateParameters) => ({ request, response });

  test('of what the server accepted, each side has its own parameters', () => {
    assert.deepEqual(parsePermessageDeflate('permessage-deflate'), both(TAKEOVER, TAKEOVER));
    assert.deepEqual(
      parsePermessageDeflate(
        'foo, Permessage-Deflate; server_no_context_takeover; client_max_window_bits=10',
      ),
      both({ windowBits: 10, contextTakeover: true }, NO_TAKEOVER),
    );
    assert.deepEqual(
      parsePermessageDeflate('permessage-deflate;client_no_context_takeover;server_max_window_bits="9"'),
      both(NO_TAKEOVER, { windowBits: 9, contextTakeover: true }),
    );
  });

  test('of nothing, of others or of what is not valid nothing is taken', () => {
    for (const value of [
      undefined,
      '',
      'x-webkit-deflate-frame',
      'permessage-deflate; server_max_window_bits=16',
      'permessage-deflate; server_max_window_bits',
      'permessage-deflate; unknown',
    ]) {
      assert.equal(parsePermessageDeflate(value), undefined, value);
    }
  });
});

describe('losses', () => {
  test('within a payload leave the next frame where it is', () => {
    const received = receiver();
    const bytes = frame('{"a":"bcdefghijklmnop"}');
    received.push(bytes.subarray(0, 8));
    received.gap(5);
    received.push(bytes.subarray(13), false);
    received.push(frame('next'), false);
    assert.deepEqual(contents(received), [gap('{"a":"'), 'next']);
    assert.equal(received.decoder.lost, false);
  });

  test('up to the very end of a payload, too', () => {
    const received = receiver();
    const bytes = frame('abcdef');
    received.push(bytes.subarray(0, 4));
    received.gap(4);
    received.push(frame('next'), false);
    assert.deepEqual(contents(received), [gap('ab'), 'next']);
  });

  test('in a fragment lose all fragments of the message', () => {
    const received = receiver();
    received.push(frame('one ', { fin: false }));
    received.push(frame('two ', { opcode: 0, fin: false }).subarray(0, 3));
    received.gap(3);
    received.push(frame('three', { opcode: 0 }), false);
    received.push(frame('next'), false);
    assert.deepEqual(contents(received), [gap('one t'), 'next']);
    const [lost] = received.said;
    assert.equal(lost?.type === 'message' && lost.size, 5);
  });

  test('in a control frame lose nothing', () => {
    const received = receiver();
    received.push(frame('one ', { fin: false }));
    received.push(frame('ping', { opcode: 9 }).subarray(0, 3));
    received.gap(3);
    received.push(frame('two', { opcode: 0 }), false);
    assert.deepEqual(contents(received), ['one two']);
  });

  test('of unknown length or beyond a payload: a frame is awaited where a call begins', () => {
    for (const lost of [0, 100]) {
      const received = receiver();
      received.push(frame('abcdef').subarray(0, 4));
      received.gap(lost);
      assert.equal(received.decoder.lost, true);
      received.push(frame('not at the beginning of a call'), false);
      received.push(Buffer.from('":{"some":"json text of a message begun"}}'));
      received.push(Buffer.from('\x07 control characters'));
      received.push(frame('next'));
      received.push(frame('and'), false);
      assert.deepEqual(contents(received), [gap('ab'), 'next', 'and'], `${lost}`);
    }
  });

  test('a frame is not believed with the wrong mask, a wrong one behind it, or text that is none', () => {
    const received = receiver();
    received.gap(1);
    const wrong = [
      frame('masked', { key: 5 }),
      Buffer.concat([frame('good'), Buffer.from('no frame')]),
      frame(Buffer.from([0xc0, 0xc1, 0xf5, 0xff, 0xff])),
      Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]),
      Buffer.from([0x81]),
    ];
    for (const bytes of wrong) received.push(bytes);
    assert.deepEqual([received.said, received.decoder.lost], [[], true]);
    received.push(frame('next'));
    assert.deepEqual(contents(received), ['next']);
  });

  test('the rest of a message begun in them is skipped', () => {
    const received = receiver();
    received.gap(10);
    received.push(frame('rest', { opcode: 0, fin: false }));
    received.push(frame('rest', { opcode: 0 }));
    received.push(frame('next'));
    assert.deepEqual(contents(received), ['next']);
  });

  test('what breaks the protocol is treated as one', () => {
    const broken = [
      frame('x', { reserved: 0x10 }),
      frame('x', { reserved: 0x40 }),
      frame('x', { opcode: 3 }),
      frame('x', { opcode: 11 }),
      frame('x', { opcode: 0 }),
      frame('x', { opcode: 9, fin: false }),
      frame('x'.repeat(126), { opcode: 8 }),
      Buffer.from([0x81, 126, 0, 5]),
      Buffer.from([0x81, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from('HTTP/1.1 200 OK'),
    ];
    for (const bytes of broken) {
      const received = receiver();
      received.push(bytes);
      assert.ok(received.decoder.lost, bytes.toString('hex'));
      received.push(frame('next'));
      assert.deepEqual(contents(received), ['next']);
    }
    const within = receiver();
    within.push(Buffer.concat([frame('begun', { fin: false }), frame('another')]));
    within.push(frame('next'));
    assert.deepEqual(contents(within), [gap('begun'), 'next']);
  });

  test('the end of the stream or of the capture leaves the message begun incomplete', () => {
    for (const reason of ['end', 'stop'] as const) {
      const received = receiver();
      received.push(frame('one ', { fin: false }));
      received.push(frame('two', { opcode: 0 }).subarray(0, 3));
      received.end(reason);
      assert.deepEqual(contents(received), [{ type: 'incomplete', head: 'one t', reason }]);
    }
  });
});

describe('any stream', () => {
  const piece = fc.record({
    text: fc.oneof(
      fc.string(),
      fc.string({ minLength: 1 }).map((text) => text.repeat(300)),
    ),
    fragments: fc.array(fc.nat(), { maxLength: 3 }),
    key: fc.nat(2 ** 32 - 1),
    ping: fc.boolean(),
  });

  test('gives the same whatever the cuts', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.boolean(),
        (messages, cuts, masked) => {
          const frames = messages.flatMap(({ text, fragments, key, ping }) => {
            const parts = cut(Buffer.from(text), fragments);
            return parts.flatMap((part, i) => [
              frame(part, {
                opcode: i === 0 ? 1 : 0,
                fin: i === parts.length - 1,
                ...(masked ? { key } : {}),
              }),
              ...(ping ? [frame('ping', { opcode: 9, ...(masked ? { key } : {}) })] : []),
            ]);
          });
          const received = receiver({ side: masked ? 'request' : 'response' });
          for (const bytes of cut(Buffer.concat(frames), cuts)) received.push(bytes, false);
          received.end();
          assert.deepEqual(
            contents(received),
            messages.map(({ text }) => text),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('any bytes at all do no harm', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.boolean(), (parts, compressed) => {
        const received = receiver({ maxSize: 1000, ...(compressed ? { deflate: TAKEOVER } : {}) });
        for (const part of parts)
          part.length === 3 ? received.gap(part[0] ?? 0) : received.push(Buffer.from(part));
        received.end();
        assert.ok(received.decoder.held <= 16384);
      }),
    );
  });
});

test("what node's own client receives and sends is what is decoded", async () => {
  const toClient = ['{"jsonrpc":"2.0","id":1}', 'ü'.repeat(40_000), '', 'x'.repeat(70_000)];
  const toServer = ['{"method":"ping"}', 'ä'.repeat(100), 'y'.repeat(70_000), '{"method":"ping"}'];
  const sent: Buffer[] = [];
  const came: Buffer[] = [];
  const answer = 'permessage-deflate';
  const compress = compressor(TAKEOVER);

  async function serve(socket: Duplex, key: string): Promise<void> {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.on('data', (bytes: Buffer) => void came.push(bytes));
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
        `Sec-WebSocket-Extensions: ${answer}\r\n\r\n`,
    );
    for (const text of toClient) {
      const bytes = await compress(text);
      sent.push(
        frame(bytes.subarray(0, 2), { fin: false, reserved: 0x40 }),
        frame(bytes.subarray(2), { opcode: 0 }),
      );
    }
    socket.write(Buffer.concat(sent));
  }

  const server = createServer();
  let upgraded: Duplex | undefined;
  server.on('upgrade', (request, socket) => {
    upgraded = socket;
    void serve(socket, request.headers['sec-websocket-key'] ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const got: string[] = [];
  await new Promise<void>((resolve) => {
    client.addEventListener('message', ({ data }) => {
      got.push(data);
      if (got.length === toClient.length) resolve();
    });
  });
  for (const text of toServer) client.send(text);
  client.close(1000, 'done');
  const decoded = receiver({
    side: 'request',
    deflate: parsePermessageDeflate(client.extensions)?.request ?? TAKEOVER,
  });
  // The closing handshake is done when the client has its answer.
  const over = once(client, 'close');
  while (!decoded.decoder.closed) {
    for (const bytes of came.splice(0)) decoded.push(bytes);
    await setImmediate();
  }
  upgraded?.end(frame(Buffer.from([0x03, 0xe8]), { opcode: 8 }));
  await over;
  server.close();

  const mirrored = receiver({ deflate: parsePermessageDeflate(client.extensions)?.response ?? NO_TAKEOVER });
  for (const bytes of sent) mirrored.push(bytes);
  assert.deepEqual(got, toClient);
  assert.deepEqual(contents(mirrored), got);
  assert.deepEqual(contents(decoded), [...toServer, { close: 1000, reason: 'done' }]);
});

test('a largest size out of range is refused', () => {
  assert.throws(() => new WebSocketDecoder({ side: 'request', maxSize: 0 }), RangeError);
});
