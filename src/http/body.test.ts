// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import zlib from 'node:zlib';
import fc from 'fast-check';
import type { MessageEnd } from '../protocols/http.ts';
import { LARGE_TEXT, WireText } from '../protocols/wire-text.ts';
import type { FrameContent } from '../streams/frame.ts';
import { Body, type BodyEvent, type BodyFrame, type BodyOptions } from './body.ts';

const MIB = 1024 * 1024;
const JSON_TEXT = '{"jsonrpc":"2.0","id":1,"result":{}}';

interface Received {
  readonly body: Body;
  readonly frames: BodyFrame[];
  readonly events: BodyEvent[];
  push(data: Buffer | string): void;
  lost(bytes?: number): void;
}

function receiver(contentType: string | undefined, options: Partial<BodyOptions> = {}): Received {
  const frames: BodyFrame[] = [];
  const events: BodyEvent[] = [];
  const body = new Body(
    { frame: (frame) => void frames.push(frame), event: (event) => void events.push(event) },
    {
      contentType,
      contentEncoding: undefined,
      maxMessage: 16 * MIB,
      joined: false,
      unsure: false,
      side: 'response',
      ...options,
    },
  );
  let offset = 1000;
  return {
    body,
    frames,
    events,
    push(data) {
      const bytes = Buffer.from(data);
      body.push(bytes, offset);
      offset += bytes.length;
      // The ring uses its memory again: what was not copied shows.
      bytes.fill(0xee);
    },
    lost(bytes = 10) {
      body.lost(offset, bytes);
      offset += bytes;
    },
  };
}

/** A body of these pieces, and its end. */
function decode(
  contentType: string | undefined,
  pieces: readonly (Buffer | string)[],
  options: Partial<BodyOptions> = {},
  how: MessageEnd = 'complete',
): Received {
  const received = receiver(contentType, options);
  for (const piece of pieces) received.push(piece);
  received.body.end(how);
  return received;
}

const plain = (content: FrameContent) => (content.type === 'text' ? content.text : content);
const contents = ({ frames }: Received) => frames.map(({ content }) => plain(content));

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((each) => each % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
}

describe('a body that begins like JSON', () => {
  test('is one frame at its end, whatever its type and its side', () => {
    for (const type of ['application/json', 'application/json; charset=utf-8', 'text/html', undefined]) {
      for (const side of ['request', 'response'] as const) {
        const received = receiver(type, { side });
        received.push(JSON_TEXT.slice(0, 5));
        received.push(JSON_TEXT.slice(5));
        assert.deepEqual(received.frames, []);
        received.body.end('complete');
        const { length } = JSON_TEXT;
        assert.deepEqual(received.frames, [
          { form: 'body', offset: 1000, size: length, content: { type: 'text', text: JSON_TEXT } },
        ]);
        const { size, frames, head } = received.body;
        assert.deepEqual({ size, frames, head }, { size: length, frames: 1, head: undefined });
      }
    }
  });

  test('may hold newlines and white space, and is still one frame', () => {
    const text = '{\n  "jsonrpc": "2.0",\r\n  "id": 1\n}';
    assert.deepEqual(contents(decode('application/json', [` \r\n\t${text}\n\n`])), [text]);
    const late = [' '.repeat(5000), '\n'.repeat(5000), text];
    assert.deepEqual(contents(decode('application/json', late)), [text]);
    assert.deepEqual(contents(decode('application/json', ['[{"id":1},\n{"id":2}]\n'])), [
      '[{"id":1},\n{"id":2}]',
    ]);
  });

  test('may begin with a byte order mark, which is no part of it, in any pieces', () => {
    const bytes = Buffer.from(`\uFEFF ${JSON_TEXT}`);
    assert.deepEqual(contents(decode('application/json', [bytes])), [JSON_TEXT]);
    const bytewise = decode(
      'application/json',
      [...bytes].map((byte) => Buffer.from([byte])),
    );
    assert.deepEqual(contents(bytewise), [JSON_TEXT]);
    assert.equal(bytewise.body.size, bytes.length);
  });

  test('comes as bytes when it is large', () => {
    const text = `"${'ü'.repeat(LARGE_TEXT)}"`;
    const { frames } = decode('application/json', ['[', text, ']']);
    assert.ok(frames[0]?.content instanceof WireText);
    assert.equal(frames[0].content.text, `[${text}]`);
  });

  test('that is not UTF-8 is given as bytes', () => {
    const bytes = Buffer.from([0x7b, 0xff, 0x7d]);
    assert.deepEqual(contents(decode('application/json', [bytes])), [{ type: 'binary', bytes }]);
  });

  test('and is larger than the largest gives its head and its size', () => {
    const received = receiver('application/json', { maxMessage: 10_000 });
    received.push('[');
    for (let i = 0; i < 100; i++) received.push('1,'.repeat(1000));
    assert.ok(received.body.held <= 16_384);
    received.body.end('complete');
    assert.deepEqual(contents(received), [{ type: 'oversize', head: `[${'1,'.repeat(2047)}1` }]);
    assert.equal(received.frames[0]?.size, 200_001);
  });

  test('and is not over when it ends is incomplete', () => {
    const reasons = { closed: 'end', reset: 'end', gap: 'gap', stop: 'stop' } as const;
    for (const [how, reason] of Object.entries(reasons)) {
      const received = decode('application/json', ['{"a":'], {}, how as MessageEnd);
      assert.deepEqual(contents(received), [{ type: 'incomplete', head: '{"a":', reason }]);
    }
  });

  test('and is whole when the connection closes is a frame all the same', () => {
    assert.deepEqual(contents(decode('application/json', [JSON_TEXT], {}, 'closed')), [JSON_TEXT]);
  });

  test('and loses bytes is incomplete at once; the rest is counted', () => {
    const { frames, body, push, lost } = receiver('application/json');
    push('{"a":');
    lost();
    assert.deepEqual(
      frames.map(({ content }) => content),
      [{ type: 'incomplete', head: '{"a":', reason: 'gap' }],
    );
    push('{"b":1}}');
    body.end('complete');
    assert.deepEqual([frames.length, body.frames, body.size, body.held], [1, 1, 13, 0]);
  });

  test('behind a loss is none', () => {
    const { frames, body, push, lost } = receiver('application/json');
    lost();
    push('{"b":1}}');
    body.end('complete');
    assert.deepEqual([frames.length, body.size], [0, 8]);
  });
});

describe('an event stream', () => {
  test('gives a frame for each event that holds JSON, with its name and id', () => {
    const received = receiver('text/event-stream; charset=utf-8');
    received.push(`id: 1\r\nevent: message\r\ndata: ${JSON_TEXT}\r\n\r\n`);
    received.push(`event: custom\ndata: [1,\ndata: 2]\n\n`);
    assert.deepEqual(received.frames, [
      { form: 'sse', eventId: '1', offset: 1000, size: 65, content: { type: 'text', text: JSON_TEXT } },
      {
        form: 'sse',
        eventId: '1',
        eventName: 'custom',
        offset: 1069,
        size: 32,
        content: { type: 'text', text: '[1,\n2]' },
      },
    ]);
    received.body.end('complete');
    const { size, frames, head } = received.body;
    assert.deepEqual({ size, frames, head }, { size: 103, frames: 2, head: undefined });
  });

  test('tells events that hold none', () => {
    const { events, frames, body } = decode('text/event-stream', [
      'event: endpoint\ndata: /messages?id=1\n\nid: 7\ndata:\n\n',
      `data: ${'x'.repeat(10_000)}\n\n`,
    ]);
    assert.deepEqual(events, [
      { offset: 1000, name: 'endpoint', data: '/messages?id=1', id: undefined },
      { offset: 1038, name: 'message', data: '', id: '7' },
      { offset: 1051, name: 'message', data: 'x'.repeat(4096), id: '7' },
    ]);
    assert.equal(frames.length, 0);
    assert.match(body.head ?? '', /^event: endpoint\n/);
  });

  test('goes on behind a loss', () => {
    const received = receiver('text/event-stream');
    received.push('data: {"a":1}\n\ndata: {"b"');
    received.lost();
    received.push(':2}\n\ndata: {"c":3}\n\n');
    received.body.end('complete');
    assert.deepEqual(contents(received), [
      '{"a":1}',
      { type: 'incomplete', head: '{"b"', reason: 'gap' },
      '{"c":3}',
    ]);
  });

  test('that ends within an event gives what it began, if that is JSON', () => {
    assert.deepEqual(contents(decode('text/event-stream', ['data: {"a"'], {}, 'stop')), [
      { type: 'incomplete', head: '{"a"', reason: 'stop' },
    ]);
    const other = decode('text/event-stream', ['data: /mess'], {}, 'closed');
    assert.deepEqual([other.frames, other.events], [[], []]);
  });

  test('of a request is none', () => {
    assert.deepEqual(contents(decode('text/event-stream', ['data: {}\n\n'], { side: 'request' })), []);
  });
});

describe('any other body', () => {
  test('is counted, and its beginning kept as text', () => {
    const { body, frames } = decode('text/plain', ['  Unauthor', 'ized']);
    assert.deepEqual([frames.length, body.size, body.frames, body.head], [0, 14, 0, '  Unauthorized']);
    const long = decode('text/html', ['<p>', '€'.repeat(5000), 'x'.repeat(5000)]).body;
    assert.deepEqual([long.size, long.head], [20_003, `<p>${'€'.repeat(340)}`]);
  });

  test('that is empty has no beginning', () => {
    const { body } = decode('text/plain', []);
    assert.deepEqual([body.size, body.frames, body.head], [0, 0, undefined]);
  });

  test('of data: lines without the type of an event stream is none', () => {
    for (const type of ['text/plain', undefined]) {
      assert.deepEqual(contents(decode(type, ['data: {"a":1}\n\n'])), []);
    }
  });
});

describe('content coding', () => {
  test('is undone; sizes are those sent', () => {
    const sent = zlib.gzipSync(JSON_TEXT);
    const received = decode('application/json', cut(sent, [1, 5, 30]), { contentEncoding: 'gzip' });
    assert.deepEqual(contents(received), [JSON_TEXT]);
    assert.deepEqual([received.frames[0]?.size, received.body.size], [sent.length, sent.length]);
    const page = decode('text/html', [zlib.brotliCompressSync(`<p>${'x'.repeat(5000)}`)], {
      contentEncoding: 'br',
    });
    assert.equal(page.body.head, `<p>${'x'.repeat(1021)}`);
  });

  test('of an event stream: an event lies where the piece is that told its first byte', () => {
    const sent = zlib.zstdCompressSync('data: {"a":1}\n\ndata: {"b":2}\n\n');
    const received = decode('text/event-stream', [sent.subarray(0, 5), sent.subarray(5)], {
      contentEncoding: 'zstd',
    });
    assert.deepEqual(contents(received), ['{"a":1}', '{"b":2}']);
    assert.deepEqual(
      received.frames.map(({ offset, size }) => [offset, size]),
      [
        [1005, 13],
        [1005, 13],
      ],
    );
  });

  test('cannot go on behind a loss', () => {
    const events = zlib.gzipSync('data: {"a":1}\n\n'.repeat(100), { level: 0 });
    const received = receiver('text/event-stream', { contentEncoding: 'gzip' });
    received.push(events.subarray(0, 40));
    received.lost();
    received.push(events.subarray(50));
    received.body.end('complete');
    assert.deepEqual(contents(received), ['{"a":1}', { type: 'incomplete', head: '{"a"', reason: 'gap' }]);
  });

  test('that is broken leaves a message incomplete, that is cut short only if the message is', () => {
    const sent = zlib.gzipSync(JSON_TEXT);
    const options = { contentEncoding: 'gzip' };
    assert.deepEqual(contents(decode('application/json', [sent.subarray(0, -4)], options)), [JSON_TEXT]);
    const [half] = contents(decode('application/json', [sent.subarray(0, 30)], options));
    assert.ok(typeof half === 'object' && half.type === 'incomplete' && JSON_TEXT.startsWith(half.head));
    const two = [zlib.gzipSync('{"a":'), Buffer.from([0x1f, 0x8b, 0xff, 0xff])];
    assert.deepEqual(contents(decode('application/json', two, options)), [
      { type: 'incomplete', head: '{"a":', reason: 'gap' },
    ]);
  });

  test('that is not known leaves nothing but the size', () => {
    const { body, frames } = decode('application/json', [JSON_TEXT], { contentEncoding: 'foo' });
    assert.deepEqual([frames.length, body.size, body.head], [0, JSON_TEXT.length, undefined]);
  });

  test('a message of one repeated letter is no bomb, what never ends is', () => {
    const text = `["${'x'.repeat(8 * MIB)}"]`;
    for (const [coding, sent] of [
      ['br', zlib.brotliCompressSync(text, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } })],
      ['gzip', zlib.gzipSync(text)],
    ] as const) {
      assert.deepEqual(contents(decode('application/json', [sent], { contentEncoding: coding })), [text]);
      const bomb = receiver('text/event-stream', { contentEncoding: coding, maxMessage: MIB });
      bomb.push(sent);
      assert.ok(bomb.body.held <= 16_384);
    }
  });
});

describe('a capture that begins in the middle', () => {
  const joined = { joined: true };

  test('recognises an event stream by its first field or at the next blank line', () => {
    for (const begin of ['', 'id: 1\n', '...rest"}}\n\n', '\n\n', '{"rest":1}}\n\n', ': ping\n\n']) {
      const received = receiver(undefined, joined);
      received.push(`${begin}data: {"a":1}\n\n`);
      received.push('data: {"b":2}\n\n');
      received.body.end('stop');
      assert.deepEqual(contents(received), ['{"a":1}', '{"b":2}'], JSON.stringify(begin));
    }
  });

  test('takes JSON for a message only if it is one', () => {
    assert.deepEqual(contents(decode(undefined, [JSON_TEXT], joined)), [JSON_TEXT]);
    assert.deepEqual(contents(decode(undefined, ['{"rest":1}}'], joined)), []);
    assert.deepEqual(contents(decode(undefined, [JSON_TEXT.slice(0, -1)], joined, 'stop')), []);
  });

  test('finds events behind a loss', () => {
    const received = receiver(undefined, joined);
    received.lost();
    received.push('x\n\ndata: {"a":1}\n\n');
    assert.deepEqual(contents(received), ['{"a":1}']);
  });
});

describe('a body whose head has fields that are not known', () => {
  const unsure = { unsure: true };

  test('is an event stream if it looks like one, from its first byte on', () => {
    assert.deepEqual(contents(decode(undefined, [': hello\ndata: {"a":1}\n\n'], unsure)), ['{"a":1}']);
    assert.deepEqual(contents(decode(undefined, [': hello\ndata: {"a":1}\n\n'])), []);
    assert.deepEqual(contents(decode(undefined, [JSON_TEXT], unsure)), [JSON_TEXT]);
    const request = { unsure: true, side: 'request' } as const;
    assert.deepEqual(contents(decode(undefined, ['data: {"a":1}\n\n'], request)), []);
  });

  test('tells gzip and zstd by its first bytes, and only where the head says nothing', () => {
    for (const sent of [zlib.gzipSync(JSON_TEXT), zlib.zstdCompressSync(JSON_TEXT)]) {
      for (const known of [unsure, { joined: true }])
        assert.deepEqual(contents(decode('application/json', [sent], known)), [JSON_TEXT]);
      assert.deepEqual(contents(decode('application/json', [sent])), []);
      assert.deepEqual(contents(decode(undefined, [sent], { ...unsure, contentEncoding: 'identity' })), []);
      // Later ones tell nothing, and too few do not suffice.
      assert.deepEqual(contents(decode(undefined, [sent.subarray(0, 3), sent.subarray(3)], unsure)), []);
    }
  });
});

describe('what is not wanted', () => {
  test('is dropped and counted', () => {
    for (const type of ['text/event-stream', 'application/json', 'text/plain']) {
      const received = receiver(type);
      received.push('{"a":');
      received.push('data: {"a"');
      received.body.skip();
      assert.equal(received.body.held, 0);
      received.push(':1}\n\ndata: {}\n\n');
      received.lost();
      received.body.end('complete');
      const { size, frames, head } = received.body;
      assert.deepEqual({ size, frames, head }, { size: 30, frames: 0, head: undefined });
      assert.deepEqual([received.frames, received.events], [[], []]);
    }
  });
});

describe('any body', () => {
  const part = fc.constantFrom(
    'data: {"a":1}',
    '\n',
    '\r\n',
    '\n\n',
    '{',
    '}',
    '[1]',
    ' ',
    '\uFEFF',
    'x',
    'id: 1',
    'ü',
  );
  const types = fc.constantFrom('text/event-stream', 'application/json', 'text/plain', undefined);
  const codings = fc.constantFrom(undefined, 'gzip', 'deflate', 'br', 'zstd');
  const encode = (coding: string | undefined, bytes: Buffer) => {
    if (coding === 'gzip') return zlib.gzipSync(bytes);
    if (coding === 'deflate') return zlib.deflateSync(bytes);
    if (coding === 'br') return zlib.brotliCompressSync(bytes);
    return coding === 'zstd' ? zlib.zstdCompressSync(bytes) : bytes;
  };

  test('gives the same in any pieces', () => {
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 20 }),
        types,
        codings,
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 10 }),
        (parts, type, contentEncoding, joined, cuts) => {
          const sent = encode(contentEncoding, Buffer.from(parts.join('')));
          const options = { contentEncoding, joined, maxMessage: 30 };
          const whole = decode(type, [sent], options);
          const pieces = decode(type, cut(sent, cuts), options);
          const strip = ({ frames, events, body }: Received) => ({
            frames: frames.map(({ offset: _, ...frame }) => frame),
            events: events.map(({ offset: _, ...event }) => event),
            size: body.size,
            head: body.head,
          });
          assert.deepEqual(strip(pieces), strip(whole));
          if (!contentEncoding) assert.deepEqual(pieces.frames, whole.frames);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('of any bytes, with losses, does no harm', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 })),
        types,
        codings,
        fc.boolean(),
        (parts, type, contentEncoding, joined) => {
          const { push, lost, body } = receiver(type, { contentEncoding, joined, maxMessage: 30 });
          for (const bytes of parts) bytes.length === 5 ? lost() : push(Buffer.from(bytes));
          body.end('closed');
          assert.equal(body.held, 0);
        },
      ),
    );
  });
});
