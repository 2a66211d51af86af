// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Side } from './http.ts';
import { beginsFrames, FLAG, FRAME, type FrameHead } from './http2-frame-head.ts';
import { FrameReader, type FrameSink } from './http2-frames.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(payload as string);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

const data = (text: string, flags = 0, stream = 1) => frame(FRAME.data, flags, stream, text);
const reset = () => frame(FRAME.rstStream, 0, 1, Buffer.alloc(4));
const headers = (text: string) => frame(FRAME.headers, FLAG.endHeaders, 1, text);
/** DATA whose padding follows the text. */
const padded = (text: string, padding: number) =>
  frame(
    FRAME.data,
    FLAG.padded,
    1,
    Buffer.concat([Buffer.from([padding]), Buffer.from(text), Buffer.alloc(padding)]),
  );

/** Says what was read. DATA in a row is one, so that it does not matter how it was cut. */
class Listener implements FrameSink {
  readonly said: string[] = [];
  #open = '';

  #say(text: string): void {
    this.said.push(text);
    this.#open = '';
  }

  data({ stream }: FrameHead, bytes: Buffer, offset: number): void {
    assert.ok(bytes.length > 0);
    const label = `${stream} data `;
    if (this.#open === label) this.said[this.said.length - 1] += bytes.toString('latin1');
    else this.said.push(`${label}@${offset} ${bytes.toString('latin1')}`);
    this.#open = label;
  }

  dataLost({ stream }: FrameHead, offset: number, bytes: number): void {
    this.#say(`${stream} lost @${offset} ${bytes}`);
  }

  dataEnd({ stream, flags }: FrameHead, offset: number): void {
    this.#say(`${stream} over @${offset}${flags & FLAG.endStream ? ' for good' : ''}`);
  }

  whole({ type, stream, offset, length }: FrameHead, payload: Buffer): void {
    const damaged = payload.length < length ? ' damaged' : '';
    this.#say(`${stream} type ${type} @${offset} ${payload.toString('latin1')}${damaged}`);
  }

  lost(offset: number): void {
    this.#say(`lost @${offset}`);
  }
}

/** A direction that is pushed and lost piece by piece; each piece begins a call's unless said otherwise. */
function direction(side: Side = 'response', joined = false) {
  const listener = new Listener();
  const reader = new FrameReader(listener, { side, joined });
  let offset = 0;
  return {
    reader,
    said: listener.said,
    push(bytes: Buffer, boundary = true) {
      reader.push(bytes, offset, boundary);
      offset += bytes.length;
    },
    gap(bytes: number) {
      reader.gap(offset, bytes);
      offset += bytes;
    },
  };
}

describe('frames', () => {
  test('DATA comes as it comes, the other types that are read as a whole, the rest not at all', () => {
    const peer = direction();
    const settings = frame(FRAME.settings, 0, 0, Buffer.alloc(6));
    const window = frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4));
    peer.push(Buffer.concat([settings, headers('abc'), window, data('de'), data('', FLAG.endStream)]));
    assert.deepEqual(peer.said, ['1 type 1 @24 abc', '1 data @49 de', '1 over @51', '1 over @60 for good']);
    assert.equal(peer.reader.complete, true);
  });

  test("a client's preface is passed over", () => {
    const peer = direction('request');
    peer.push(Buffer.concat([PREFACE, headers('abc')]));
    assert.deepEqual(peer.said, ['1 type 1 @33 abc']);
  });

  test('what only begins like the preface is read as frames, wherever it is cut', () => {
    // A frame of an unknown type and 0x505249 bytes, which begins as the preface does.
    const bytes = Buffer.concat([Buffer.from('PRI * HTTP/2.'), reset()]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const peer = direction('request');
      peer.push(bytes.subarray(0, cut));
      peer.push(bytes.subarray(cut), false);
      assert.deepEqual(peer.said, [], `cut at ${cut}`);
    }
  });

  test('padding is no content', () => {
    const peer = direction();
    peer.push(Buffer.concat([padded('ab', 3), padded('', 7), padded('c', 0)]));
    assert.deepEqual(peer.said, ['1 data @10 ab', '1 over @15', '1 over @32', '1 data @42 c', '1 over @43']);
  });

  test('padding longer than the frame leaves no content', () => {
    const peer = direction();
    peer.push(Buffer.concat([frame(FRAME.data, FLAG.padded, 1, Buffer.from([200, 97, 98])), data('c')]));
    assert.deepEqual(peer.said, ['1 over @12', '1 data @21 c', '1 over @22']);
  });

  test('the reserved bit of the stream is ignored', () => {
    const peer = direction();
    peer.push(frame(FRAME.data, 0, 0x80000001, 'a'));
    assert.deepEqual(peer.said, ['1 data @9 a', '1 over @10']);
  });

  test('unknown types are passed over, even where frames were found by looking', () => {
    const peer = direction('response', true);
    peer.push(headers('abc'));
    peer.push(Buffer.concat([frame(0xbb, 0xff, 7, 'anything'), data('a')]));
    assert.deepEqual(peer.said, ['1 type 1 @9 abc', '1 data @38 a', '1 over @39']);
  });

  test('of a frame too large to be read as a whole the first 256 KiB are told, and the next is read', () => {
    for (const cut of [0, 1000]) {
      const peer = direction();
      const large = headers('x'.repeat((256 << 10) + 1));
      peer.push(large.subarray(0, cut));
      peer.push(large.subarray(cut));
      peer.push(headers('a'));
      assert.deepEqual(peer.said, [`1 type 1 @9 ${'x'.repeat(256 << 10)} damaged`, '1 type 1 @262163 a']);
    }
  });

  test('however they are cut, the frames are the same', () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 30 }).map((text) => data(text)),
      fc
        .nat(9)
        .chain((padding) =>
          fc.string({ unit: 'binary-ascii', maxLength: 9 }).map((text) => padded(text, padding)),
        ),
      fc.string({ unit: 'binary-ascii', maxLength: 30 }).map(headers),
      fc.constant(frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
      fc.constant(frame(FRAME.rstStream, 0, 3, Buffer.alloc(4))),
    );
    const cuts = fc.oneof(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), fc.constant([1]));
    fc.assert(
      fc.property(
        fc.array(any, { maxLength: 10 }),
        cuts,
        fc.constantFrom('request', 'response'),
        (frames, sizes, side) => {
          const bytes = Buffer.concat(side === 'request' ? [PREFACE, ...frames] : frames);
          const [one, many] = [direction(side), direction(side)];
          one.push(bytes);
          for (let at = 0, n = 0; at < bytes.length; n++) {
            const size = sizes[n % sizes.length] ?? 1;
            // What comes is reused after the call.
            const piece = Buffer.from(bytes.subarray(at, at + size));
            many.push(piece, false);
            piece.fill(0xff);
            at += size;
          }
          assert.deepEqual(many.said, one.said);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('frames of which bytes are lost', () => {
  /** A direction that loses these bytes of the frames. */
  function losing(frames: Buffer, from: number, to: number): string[] {
    const peer = direction();
    peer.push(frames.subarray(0, from));
    peer.gap(to - from);
    peer.push(frames.subarray(to));
    return peer.said;
  }

  test('in DATA, their place and number are told', () => {
    assert.deepEqual(losing(Buffer.concat([data('abcdef'), data('g')]), 11, 14), [
      '1 data @9 ab',
      '1 lost @11 3',
      '1 data @14 f',
      '1 over @15',
      '1 data @24 g',
      '1 over @25',
    ]);
  });

  test('in DATA and beyond it, it is over, and what is lost of it is known', () => {
    const peer = direction();
    peer.push(padded('abcdef', 3).subarray(0, 12));
    peer.gap(40);
    assert.deepEqual(peer.said, ['1 data @10 ab', '1 lost @12 4', '1 over @19', 'lost @19']);
  });

  test('at the end of DATA, it is over', () => {
    assert.deepEqual(losing(data('abcdef', FLAG.endStream), 11, 15), [
      '1 data @9 ab',
      '1 lost @11 4',
      '1 over @15 for good',
    ]);
  });

  test('of padding, nothing is told', () => {
    assert.deepEqual(losing(Buffer.concat([padded('abc', 5), data('d')]), 12, 16), [
      '1 data @10 ab',
      '1 lost @12 1',
      '1 over @18',
      '1 data @27 d',
      '1 over @28',
    ]);
    assert.deepEqual(losing(padded('abc', 5), 14, 16), ['1 data @10 abc', '1 over @18']);
  });

  test('where they tell how much is padding, nothing of the frame is content', () => {
    assert.deepEqual(losing(Buffer.concat([padded('abc', 5), data('d')]), 9, 11), [
      '1 lost @9 0',
      '1 over @18',
      '1 data @27 d',
      '1 over @28',
    ]);
  });

  test('where they tell how much is padding, what comes next does not tell it', () => {
    assert.deepEqual(losing(padded('\x01bcd', 5), 9, 10), ['1 lost @9 0', '1 over @19']);
  });

  test('of a frame that is read as a whole and beyond it, nothing gets into the next', () => {
    const peer = direction();
    peer.push(headers('abcdef').subarray(0, 12));
    peer.gap(20);
    const next = headers('uvwxyz');
    peer.push(next.subarray(0, 12));
    peer.push(next.subarray(12), false);
    assert.deepEqual(peer.said, ['1 type 1 @9 abc damaged', 'lost @15', '1 type 1 @41 uvwxyz']);
  });

  test('in a frame that is read as a whole, it is damaged, and the next is read', () => {
    assert.deepEqual(losing(Buffer.concat([headers('abcdef'), headers('g')]), 11, 14), [
      '1 type 1 @9 ab damaged',
      '1 type 1 @24 g',
    ]);
  });

  test('in a frame that is not read, nothing is told', () => {
    assert.deepEqual(losing(Buffer.concat([frame(FRAME.ping, 0, 0, Buffer.alloc(8)), headers('g')]), 9, 17), [
      '1 type 1 @26 g',
    ]);
  });

  test('between frames or beyond one, the way is lost until a call begins with frames', () => {
    for (const [from, to, lost] of [
      [15, 20, 15],
      [12, 20, 15],
      [3, 5, 3],
      [20, 22, 20],
    ] as const) {
      const peer = direction();
      const frames = Buffer.concat([data('abcdef'), data('ghi')]);
      peer.push(frames.subarray(0, from));
      peer.gap(to - from);
      assert.equal(peer.reader.lost, true);
      assert.equal(peer.said.at(-1), `lost @${lost}`);
      const told = peer.said.length;
      // No call begins here; then one that begins with none.
      peer.push(headers('not here'), false);
      peer.push(Buffer.from('nor here: this is no frame'));
      assert.equal(peer.said.length, told);
      peer.push(headers('but here'));
      assert.deepEqual(peer.said.slice(told), [`1 type 1 @${to + 17 + 26 + 9} but here`]);
      assert.equal(peer.reader.complete, false);
    }
  });

  test('no bytes lost is no loss', () => {
    const peer = direction();
    peer.gap(0);
    peer.push(headers('a'));
    assert.equal(peer.reader.complete, true);
  });
});

describe('a direction that begins in the middle', () => {
  test('begins with the call that begins with frames', () => {
    const peer = direction('response', true);
    peer.push(data('abc').subarray(5));
    assert.equal(peer.reader.lost, true);
    peer.push(data('def'));
    assert.deepEqual(peer.said, ['1 data @16 def', '1 over @19']);
  });

  test("begins with the client's preface, and has missed nothing then", () => {
    const peer = direction('request', true);
    peer.push(Buffer.concat([PREFACE, headers('abc')]));
    assert.deepEqual(peer.said, ['1 type 1 @33 abc']);
    assert.equal(peer.reader.complete, true);
  });

  test('is no longer followed where what was taken for frames is none', () => {
    const peer = direction('response', true);
    peer.push(data('abc'));
    peer.push(frame(FRAME.data, 0, 1, Buffer.alloc((1 << 20) + 1)), false);
    assert.deepEqual(peer.said.slice(-1), ['lost @12']);
  });
});

describe('what cannot be a frame', () => {
  const none: Record<string, readonly [Side, Buffer]> = {
    'DATA of the connection': ['response', frame(FRAME.data, 0, 0, 'abc')],
    'HEADERS of the connection': ['response', frame(FRAME.headers, 0, 0, 'abc')],
    'SETTINGS of a stream': ['response', frame(FRAME.settings, 0, 1)],
    'SETTINGS of 5 bytes': ['response', frame(FRAME.settings, 0, 0, 'abcde')],
    'an acknowledgement that sets': ['response', frame(FRAME.settings, FLAG.ack, 0, 'abcdef')],
    'PING of 7 bytes': ['response', frame(FRAME.ping, 0, 0, 'abcdefg')],
    'GOAWAY of 7 bytes': ['response', frame(FRAME.goAway, 0, 0, 'abcdefg')],
    'GOAWAY of a stream': ['response', frame(FRAME.goAway, 0, 1, 'abcdefgh')],
    'RST_STREAM of 3 bytes': ['response', frame(FRAME.rstStream, 0, 1, 'abc')],
    'PRIORITY of 4 bytes': ['response', frame(FRAME.priority, 0, 1, 'abcd')],
    'WINDOW_UPDATE of 5 bytes': ['response', frame(FRAME.windowUpdate, 0, 1, 'abcde')],
    "a client's PUSH_PROMISE": ['request', frame(FRAME.pushPromise, 0, 1, 'abcde')],
    "a client's DATA on the server's stream": ['request', frame(FRAME.data, 0, 2, 'abcde')],
  };
  for (const [name, [side, bytes]] of Object.entries(none))
    test(`${name} loses the way`, () => {
      const peer = direction(side);
      peer.push(Buffer.concat([headers('abc'), bytes]));
      assert.deepEqual(peer.said, ['1 type 1 @9 abc', 'lost @12']);
      assert.equal(beginsFrames(bytes, side), false);
    });

  const doubtful: Record<string, Buffer> = {
    'of an unknown type': frame(0xbb, 0, 1, 'abc'),
    'with an undefined flag': frame(FRAME.data, 0x40, 1, 'abc'),
    'with the reserved bit': frame(FRAME.data, 0, 0x80000001, 'abc'),
    'longer than known peers send': frame(FRAME.data, 0, 1, Buffer.alloc((1 << 20) + 1)),
    'cut in its head': frame(FRAME.data, 0, 1, 'abc').subarray(0, 8),
    'followed by what is none': Buffer.concat([data('abc'), Buffer.from('{"jsonrpc":"2.0"}')]),
  };
  for (const [name, bytes] of Object.entries(doubtful))
    test(`a frame ${name} is no place to begin`, () => assert.equal(beginsFrames(bytes, 'response'), false));

  test('a frame cut behind its head is a place to begin, and so is one of an extension', () => {
    assert.equal(beginsFrames(data('abc').subarray(0, 9), 'response'), true);
    assert.equal(beginsFrames(frame(0x10, 0, 0, 'abcd'), 'request'), true);
  });

  test('any bytes, cut and lost anywhere, are read without throwing', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.tuple(fc.nat(10), fc.nat(0x2f), fc.nat(4), fc.string({ maxLength: 20 })).map((all) => frame(...all)),
    );
    const step = fc.record({
      piece,
      lost: fc.nat(30),
      boundary: fc.boolean(),
      gap: fc.integer({ min: 0, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, joined) => {
        for (const side of ['request', 'response'] as const) {
          const peer = direction(side, joined);
          for (const { piece, lost, boundary, gap } of steps) {
            peer.push(piece, boundary);
            if (gap === 0) peer.gap(lost);
          }
          // Whatever was said before, a call that begins with a frame is understood if the way is lost.
          peer.gap(1 << 25);
          peer.push(headers('found'));
          assert.match(peer.said.at(-1) ?? '', /^1 type 1 @\d+ found$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});
