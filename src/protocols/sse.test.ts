// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SseDecoder, type SseEvent } from './sse.ts';
import { LARGE_TEXT, WireText } from './wire-text.ts';

const MIB = 1024 * 1024;

interface Received {
  readonly events: SseEvent[];
  readonly decoder: SseDecoder;
  push(bytes: Buffer | string): void;
  lost(bytes?: number): void;
  end(reason?: 'end' | 'gap' | 'stop'): void;
}

function receiver(options: { maxSize?: number; joined?: boolean } = {}): Received {
  const decoder = new SseDecoder({ maxSize: options.maxSize ?? 16 * MIB, joined: options.joined ?? false });
  const events: SseEvent[] = [];
  const emit = (event: SseEvent) => void events.push(event);
  let offset = 0;
  return {
    events,
    decoder,
    push(data) {
      const bytes = Buffer.from(data);
      decoder.push(bytes, offset, emit);
      offset += bytes.length;
      // The ring uses its memory again: what was not copied shows.
      bytes.fill(0xee);
    },
    lost(bytes = 10) {
      decoder.lost(emit);
      offset += bytes;
    },
    end(reason = 'end') {
      decoder.end(reason, emit);
    },
  };
}

/** Events of a whole stream, with its end. */
function decode(data: Buffer | string, options: { maxSize?: number; joined?: boolean } = {}): SseEvent[] {
  const received = receiver(options);
  received.push(data);
  received.end();
  return received.events;
}

const dataOf = ({ data }: SseEvent) => (data.type === 'text' ? data.text : data);
const texts = (events: readonly SseEvent[]) => events.map(dataOf);
/** As a plain value: large texts come as bytes. */
const plain = (event: SseEvent) => ({ ...event, data: dataOf(event) });

function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
}

/** The standard's text (HTML, 9.2.6), on a whole stream, without any thought of speed. */
function oracle(bytes: Buffer): { data: string; name: string; id: string }[] {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  const lines = text.split(/\r\n|\r|\n/);
  lines.pop(); // the end of the file is no line end
  const events: { data: string; name: string; id: string }[] = [];
  let data = '';
  let name = '';
  let id = '';
  for (const line of lines) {
    if (line === '') {
      if (data !== '') events.push({ data: data.slice(0, -1), name: name || 'message', id });
      data = '';
      name = '';
      continue;
    }
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data += `${value}\n`;
    else if (field === 'event') name = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
  }
  return events;
}

/** Made of what event streams are made of, and of what they are not. */
const stream = fc
  .array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom('data: x', 'data:{"a":1}', 'data', 'data:', 'data:  y', 'datax: z'),
      },
      { weight: 4, arbitrary: fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\n\r\n', '\r\r') },
      fc.constantFrom(
        'id: 7',
        'id',
        'id: a\0b',
        'id: ü',
        'event: e',
        'event',
        'retry: 10',
        'retry: 1x',
        ': c',
        ':',
      ),
      fc.constantFrom('\uFEFF', 'ä€😀', 'dat', 'a', ' ', 'data: ü\u2028', 'unknown: f'),
    ),
    { maxLength: 40 },
  )
  .map((parts) => Buffer.from(parts.join('')));

describe('lines', () => {
  for (const [name, end] of [
    ['LF', '\n'],
    ['CR', '\r'],
    ['CRLF', '\r\n'],
  ] as const) {
    test(`${name} ends a line`, () => {
      assert.deepEqual(texts(decode(`data: a${end}data: b${end}${end}data: c${end}${end}`)), ['a\nb', 'c']);
    });
  }

  test('line ends may be mixed', () => {
    assert.deepEqual(texts(decode('data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\n\n')), ['a\nb\nc', 'd']);
  });

  test('a CR and an LF in two pieces are one line end', () => {
    const { events, push } = receiver();
    push('data: a\r');
    push('\ndata: b\r');
    push('\n\r');
    assert.deepEqual(texts(events), ['a\nb'], 'the blank line is known by its CR');
    push('\ndata: c\n\n');
    assert.deepEqual(texts(events), ['a\nb', 'c']);
  });

  test('a byte order mark at the beginning is no part of the first line', () => {
    assert.deepEqual(texts(decode('\uFEFFdata: a\n\n')), ['a']);
  });

  test('a byte order mark is recognised in pieces, and nowhere but at the beginning', () => {
    const { events, push } = receiver();
    for (const byte of Buffer.from('\uFEFFdata: a\n\n\uFEFFdata: b\n\n')) push(Buffer.from([byte]));
    assert.deepEqual(texts(events), ['a']);
  });

  test('what only begins like a byte order mark belongs to a field that is unknown', () => {
    assert.deepEqual(texts(decode(Buffer.from('\u00efdata: a\ndata: b\n\n'))), ['b']);
    const bytes = Buffer.from([0xef, 0xbb, 0x64, 0x0a, ...Buffer.from('data: b\n\n')]);
    assert.deepEqual(texts(decode(bytes)), ['b']);
    // Its place is the same where the mark comes in pieces.
    for (let cut = 0; cut < bytes.length; cut++) {
      const { events, push } = receiver();
      push(bytes.subarray(0, cut));
      push(bytes.subarray(cut));
      const whole = receiver();
      whole.push(bytes);
      assert.deepEqual(events, whole.events, `cut at ${cut}`);
    }
  });
});

describe('fields', () => {
  test('one space behind the colon is no part of the value', () => {
    assert.deepEqual(texts(decode('data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n')), ['a', 'a', ' a', '\ta']);
  });

  test('a name without a colon has an empty value', () => {
    assert.deepEqual(texts(decode('data\ndata\n\n')), ['\n']);
  });

  test('an empty data field makes an event of empty data', () => {
    assert.deepEqual(texts(decode('id: 1\ndata: \n\n')), ['']);
  });

  test('comments and unknown fields are ignored', () => {
    assert.deepEqual(texts(decode(': ping\n\n:\n: data: x\ndatum: y\nDATA: z\n data: w\ndata: a\n\n')), [
      'a',
    ]);
  });

  test('an event has its name, and the next one has not', () => {
    const events = decode('event: endpoint\ndata: /messages\n\ndata: {}\n\nevent:\ndata: b\n\n');
    assert.deepEqual(
      events.map(({ name }) => name),
      ['endpoint', 'message', 'message'],
    );
  });

  test('the last id persists, also that of an event without data, until an empty one', () => {
    const events = decode('id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\n');
    assert.deepEqual(
      events.map(({ id }) => id),
      ['1', '1', '2', undefined],
    );
  });

  test('an id with a NUL is ignored', () => {
    assert.deepEqual(
      decode('id: 1\nid: 2\0\ndata: a\n\n').map(({ id }) => id),
      ['1'],
    );
  });

  test('an id of more than 4096 bytes counts as none, in one piece and in several', () => {
    for (const size of [4096, 4097, 100_000]) {
      const value = 'i'.repeat(size);
      const whole = decode(`id: 1\nid: ${value}\ndata: a\n\n`);
      const { events, push } = receiver();
      for (const piece of pieces(Buffer.from(`id: 1\nid: ${value}\ndata: a\n\n`), [8, 100, 5000]))
        push(piece);
      assert.deepEqual(
        [...whole, ...events].map(({ id }) => id),
        size > 4096 ? [undefined, undefined] : [value, value],
      );
    }
  });

  test('retry counts only if it is digits, and for its event only', () => {
    const events = decode(
      'retry: 3000\ndata: a\n\ndata: b\n\nretry: 1e3\ndata: c\n\nretry: -1\nretry:\ndata: d\n\n',
    );
    assert.deepEqual(
      events.map(({ retry }) => retry),
      [3000, undefined, undefined, undefined],
    );
  });

  test('an event without data is not dispatched, and leaves no name', () => {
    const events = decode('event: x\nid: 3\n\ndata: a\n\n');
    assert.deepEqual(events.map(plain), [
      { data: 'a', name: 'message', id: '3', retry: undefined, offset: 16, size: 7 },
    ]);
  });
});

describe('places', () => {
  test('an event begins with its first line and its size ends before its last line end', () => {
    const events = decode('\n\n: c\r\nid: 1\r\ndata: ä\r\n\r\ndata: b\n\n');
    assert.deepEqual(
      events.map(({ offset, size }) => [offset, size]),
      [
        [2, 20],
        [26, 7],
      ],
    );
  });

  test('with a step of 0 an event lies where the piece with its first byte lies', () => {
    const decoder = new SseDecoder({ maxSize: MIB, joined: false });
    const offsets: number[] = [];
    const emit = ({ offset }: SseEvent) => void offsets.push(offset);
    decoder.push(Buffer.from('data: a\n\ndata: b\n\ndata'), 100, emit, 0);
    decoder.push(Buffer.from(': c\n\ndata: d\n\n'), 200, emit, 0);
    assert.deepEqual(offsets, [100, 100, 100, 200]);
  });
});

describe('content', () => {
  test('a large text comes as bytes, in one piece and in several', () => {
    const value = 'ü'.repeat(LARGE_TEXT);
    const { events, push } = receiver();
    push(`data: ${value}\n\n`);
    for (const piece of pieces(Buffer.from(`data: ${value}\n\n`), [3, 9, 1000, 70_000])) push(piece);
    assert.equal(events.length, 2);
    for (const { data } of events) {
      assert.ok(data instanceof WireText);
      assert.equal(data.text, value);
    }
  });

  test('what is not UTF-8 is given as bytes', () => {
    const bytes = Buffer.from([0x61, 0xff, 0x62]);
    const [event] = decode(Buffer.concat([Buffer.from('data: '), bytes, Buffer.from('\n\n')]));
    assert.deepEqual(event?.data, { type: 'binary', bytes });
  });

  test('of data larger than the largest only the head is kept, and the next event is intact', () => {
    for (const cuts of [[], [7, 100, 2000]]) {
      const { events, push } = receiver({ maxSize: 100 });
      const long = 'x'.repeat(5000);
      for (const piece of pieces(Buffer.from(`data: ${long}\n\ndata: b\n\n`), cuts)) push(piece);
      assert.deepEqual(events[0]?.data, { type: 'oversize', head: 'x'.repeat(4096) });
      assert.equal(events[0]?.size, 5006);
      assert.deepEqual(texts(events.slice(1)), ['b']);
    }
  });

  test('the largest size holds for all lines together with the newlines between them', () => {
    assert.deepEqual(texts(decode('data: abc\ndata: def\n\n', { maxSize: 7 })), ['abc\ndef']);
    assert.deepEqual(texts(decode('data: abc\ndata: def\n\n', { maxSize: 6 })), [
      { type: 'oversize', head: 'abc\ndef' },
    ]);
  });
});

describe('what does not come to its end', () => {
  for (const rest of ['data: {"a"', 'data: {"a"\n', 'id: 1\ndata: {"a"\r\n: c', 'data: {"a"\nda']) {
    test(`an event with data is incomplete at the end: ${JSON.stringify(rest)}`, () => {
      assert.deepEqual(texts(decode(`data: a\n\n${rest}`)), [
        'a',
        { type: 'incomplete', head: '{"a"', reason: 'end' },
      ]);
    });
  }

  test('the reason is the one given', () => {
    const { events, push, end } = receiver();
    push('data: a');
    end('stop');
    assert.deepEqual(texts(events), [{ type: 'incomplete', head: 'a', reason: 'stop' }]);
  });

  for (const rest of ['id: 1', 'event: a\n', ': c', 'dat', '\r']) {
    test(`an event without data is nothing at the end: ${JSON.stringify(rest)}`, () => {
      assert.deepEqual(texts(decode(`data: a\n\n${rest}`)), ['a']);
    });
  }

  test('a loss ends the event begun, and events count again from the next blank line', () => {
    const { events, push, lost } = receiver();
    push('data: a\n\ndata: {"x":');
    lost();
    push('1}\ndata: tail\n\ndata: b\n\n');
    assert.deepEqual(texts(events), ['a', { type: 'incomplete', head: '{"x":', reason: 'gap' }, 'b']);
  });

  test('a loss with nothing begun is not reported as an event', () => {
    const { events, push, lost } = receiver();
    push('data: a\n\nid: 1\n');
    lost();
    push('\r\n\r\ndata: b\n\n');
    assert.deepEqual(texts(events), ['a', 'b']);
  });

  test('a line end right behind a loss is no blank line', () => {
    const { events, push, lost } = receiver();
    lost();
    push('\ndata: perhaps the rest of an event\n\ndata: b\n\n');
    assert.deepEqual(texts(events), ['b']);
  });

  test('after a loss the last id is not known until the next one', () => {
    const { events, push, lost } = receiver();
    push('id: 1\ndata: a\n\n');
    lost();
    push('x\n\ndata: b\n\nid: 9\ndata: c\n\n');
    assert.deepEqual(
      events.map(({ id }) => id),
      ['1', undefined, '9'],
    );
  });
});

describe('a capture that begins in the middle', () => {
  test('waits for a blank line', () => {
    assert.deepEqual(texts(decode('ta: a\ndata: b\n\ndata: c\n\n', { joined: true })), ['c']);
    assert.deepEqual(texts(decode('\ndata: b\n\ndata: c\n\n', { joined: true })), ['c']);
    assert.deepEqual(texts(decode(': b\r\ndata: b\r\n\r\ndata: c\r\n\r\n', { joined: true })), ['c']);
  });

  test('begins at once if the first bytes are a field', () => {
    for (const cuts of [[], [2], [1, 3, 5]]) {
      for (const field of ['id: 1', 'event: message', 'retry:5', 'data']) {
        const { events, push } = receiver({ joined: true });
        for (const piece of pieces(Buffer.from(`${field}\ndata: a\n\n`), cuts)) push(piece);
        assert.deepEqual(texts(events), [field === 'data' ? '\na' : 'a'], `${field} ${cuts}`);
      }
    }
  });

  test('is given away by the first bytes also in pieces', () => {
    const { events, push } = receiver({ joined: true });
    for (const byte of Buffer.from('dat","x":1}\r\n\r\ndata: a\r\n\r\n')) push(Buffer.from([byte]));
    assert.deepEqual(texts(events), ['a']);
  });
});

describe('any stream', () => {
  test('gives what the standard says', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        const events = decode(bytes).filter(({ data }) => data.type !== 'incomplete');
        assert.deepEqual(
          events.map((event) => ({ data: dataOf(event), name: event.name, id: event.id ?? '' })),
          oracle(bytes),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('gives the same in one piece and in any pieces', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 30 }), fc.boolean(), (bytes, cuts, joined) => {
        const { events, push, end } = receiver({ joined, maxSize: 12 });
        for (const piece of pieces(bytes, cuts)) push(piece);
        end();
        assert.deepEqual(events, decode(bytes, { joined, maxSize: 12 }));
      }),
      { numRuns: 2000 },
    );
  });

  test('gives the same byte by byte, and nothing is invented after losses', () => {
    fc.assert(
      fc.property(stream, stream, stream, (before, missing, after) => {
        const { events, push, lost } = receiver();
        push(before);
        lost(missing.length);
        for (const byte of after) push(Buffer.from([byte]));
        const whole = decode(Buffer.concat([before, missing, after])).map(dataOf);
        for (const { data } of events.filter((each) => each.data.type === 'text')) {
          assert.ok(data.type === 'text' && whole.includes(data.text), JSON.stringify(data));
        }
      }),
    );
  });

  test('gives what eventsource-parser gives, which the MCP SDK uses', async () => {
    const sdk = createRequire(import.meta.resolve('@modelcontextprotocol/sdk/client/sse.js'));
    const { createParser } = (await import(sdk.resolve('eventsource-parser'))) as {
      createParser(on: { onEvent(event: { data: string; event?: string; id?: string }): void }): {
        feed(text: string): void;
      };
    };
    const field = fc.oneof(
      fc.tuple(fc.constantFrom('data', 'event', 'id', 'other'), fc.constantFrom(':', ': '), fc.string()),
      fc.tuple(fc.constant(''), fc.constant(':'), fc.string()),
    );
    const block = fc.tuple(fc.array(field, { minLength: 1, maxLength: 6 }), fc.constantFrom('\n', '\r\n'));
    const clean = (value: string) => value.replace(/[\r\n\0]/g, '');
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 8 }), (blocks, cuts) => {
        const text = blocks
          .map(([fields, end]) => fields.map((parts) => clean(parts.join('')) + end).join('') + end)
          .join('');
        const expected: { data: string; name: string }[] = [];
        // Its ids are those of the event itself, where the standard's persist: the oracle above checks these.
        createParser({
          onEvent: ({ data, event }) => void expected.push({ data, name: event || 'message' }),
        }).feed(text);
        const { events, push } = receiver();
        for (const piece of pieces(Buffer.from(text), cuts)) push(piece);
        assert.deepEqual(
          events.map((event) => ({ data: dataOf(event), name: event.name })),
          expected,
        );
      }),
      { numRuns: 1000 },
    );
  });

  test('any bytes at all do no harm', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.boolean(), (parts, joined) => {
        const { push, lost, end, decoder } = receiver({ joined, maxSize: 20 });
        for (const part of parts) part.length === 7 ? lost() : push(Buffer.from(part));
        end();
        assert.ok(decoder.held < 20_000);
      }),
    );
  });
});

describe('hostile streams', () => {
  test('an endless comment, unknown field, name, id or event without data holds constant memory', () => {
    for (const begin of [': ', 'unknown: ', 'event: ', 'id: ', 'retry: ', 'x']) {
      const { decoder, push } = receiver();
      push(begin);
      for (let i = 0; i < 100; i++) push(Buffer.alloc(65536, 0x39));
      assert.ok(decoder.held <= 32768, `${begin}: ${decoder.held}`);
    }
    const { decoder, push } = receiver();
    for (let i = 0; i < 10_000; i++) push('event: abcdefgh\nid: 12345\n');
    assert.ok(decoder.held <= 32768);
  });

  test('data without end holds no more than twice the largest size, then the head only', () => {
    const { decoder, push } = receiver({ maxSize: MIB });
    push('data: ');
    let most = 0;
    for (let i = 0; i < 64; i++) {
      push(Buffer.alloc(65536, 0x78));
      most = Math.max(most, decoder.held);
    }
    assert.ok(most <= 2 * MIB);
    assert.ok(decoder.held <= 16384);
  });

  test('100,000 events in one stream all come out, and nothing stays behind', () => {
    const { decoder, events, push } = receiver();
    const text = Array.from({ length: 100_000 }, (_, i) => `id: ${i}\nevent: message\ndata: {"n":${i}}\n\n`);
    const bytes = Buffer.from(text.join(''));
    for (let at = 0; at < bytes.length; at += 65536) push(bytes.subarray(at, at + 65536));
    assert.equal(events.length, 100_000);
    assert.ok(events.every((event, i) => event.id === `${i}` && dataOf(event) === `{"n":${i}}`));
    assert.ok(decoder.held <= 1024);
  });

  test('a million data lines of one event are one text', () => {
    const { events, push } = receiver();
    const piece = 'data: x\n'.repeat(1000);
    for (let i = 0; i < 1000; i++) push(piece);
    push('\n');
    assert.equal(events.length, 1);
    const [event] = events;
    assert.ok(event && event.data.type === 'text' && event.data.text === `${'x\n'.repeat(999_999)}x`);
  });
});

test('a largest size out of range is refused', () => {
  for (const maxSize of [0, -1, 1.5, 2 ** 29]) {
    assert.throws(() => new SseDecoder({ maxSize, joined: false }), RangeError);
  }
});
