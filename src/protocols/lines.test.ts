// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { StringDecoder } from 'node:string_decoder';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Line, LineFramer } from './lines.ts';

const MIB = 1024 * 1024;

interface Received {
  readonly lines: Line[];
  readonly framer: LineFramer;
  push(bytes: Buffer | string, packetEnd?: boolean): void;
  gap(lost: number, endsLine?: boolean): void;
  end(reason?: 'end' | 'stop'): void;
}

function receiver(options: { maxSize?: number; joined?: boolean } = {}): Received {
  const framer = new LineFramer({ maxSize: options.maxSize ?? 16 * MIB, joined: options.joined ?? false });
  const lines: Line[] = [];
  // A large text comes as bytes; what it says is what counts here.
  const emit = ({ offset, size, content }: Line) =>
    void lines.push({
      offset,
      size,
      content: content.type === 'text' ? { type: 'text', text: content.text } : content,
    });
  let offset = 0;
  return {
    lines,
    framer,
    push(data, packetEnd = false) {
      const bytes = Buffer.from(data);
      const length = bytes.length;
      framer.push(bytes, offset, packetEnd, emit);
      offset += length;
      // The ring uses its memory again: what was not copied shows.
      bytes.fill(0xee);
    },
    gap(lost, endsLine = false) {
      framer.gap(offset, lost, endsLine, emit);
      offset += lost;
    },
    end(reason = 'end') {
      framer.end(reason, emit);
    },
  };
}

/** The bytes cut at these places (fractions of the whole). */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const positions = places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b);
  return [0, ...positions].map((start, i) => bytes.subarray(start, positions[i] ?? bytes.length));
}

const texts = (lines: readonly Line[]) =>
  lines.map(({ content }) => (content.type === 'text' ? content.text : content));
const text = (value: string, offset = 0): Line => ({
  offset,
  size: Buffer.byteLength(value),
  content: { type: 'text', text: value },
});
const incomplete = (head: string, reason: 'end' | 'gap' | 'stop', offset = 0): Line => ({
  offset,
  size: Buffer.byteLength(head),
  content: { type: 'incomplete', head, reason },
});

const arbitraryLine = fc
  .oneof(
    fc.json(),
    fc.string({ unit: 'binary', maxLength: 40 }).map((s) => s.toWellFormed()),
    fc.string({ unit: fc.constantFrom('é', '漢', '😀', 'a', '\r', '\ufeff'), maxLength: 20 }),
  )
  .map((s) => s.replaceAll('\n', ' ').replace(/\r+$/, ''));
const arbitraryLineEnd = fc.constantFrom('\n', '\r\n');
const arbitraryCuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });

describe('lines', () => {
  test('are the same wherever the stream is cut, with exact places and sizes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(arbitraryLine, arbitraryLineEnd)), arbitraryCuts, (parts, cuts) => {
        const expected: Line[] = [];
        let offset = 0;
        for (const [line, end] of parts) {
          if (line !== '') expected.push(text(line, offset));
          offset += Buffer.byteLength(line + end);
        }
        const stream = receiver();
        for (const piece of cut(Buffer.from(parts.flat().join('')), cuts)) stream.push(piece);
        assert.deepEqual(stream.lines, expected);
        assert.equal(stream.framer.held, 0);
        assert.equal(stream.framer.takeSkipped(), 0);
      }),
      { numRuns: 1000 },
    );
  });

  test('of any bytes are given back byte for byte', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), arbitraryCuts, (parts, cuts) => {
        const clean = parts.map((part) => Buffer.from(part.filter((byte) => byte !== 10 && byte !== 13)));
        const stream = receiver();
        const bytes = Buffer.concat(clean.flatMap((part) => [part, Buffer.from('\n')]));
        for (const piece of cut(bytes, cuts)) stream.push(piece);
        const got = stream.lines.map(({ content }) => {
          if (content.type === 'text') return Buffer.from(content.text);
          return content.type === 'binary' ? content.bytes : undefined;
        });
        assert.deepEqual(
          got,
          clean.filter((part) => part.length > 0),
        );
      }),
    );
  });

  test('that are empty are skipped silently', () => {
    const stream = receiver();
    stream.push('\n\r\n{}\n\n\r');
    stream.push('\n\r\n');
    assert.deepEqual(stream.lines, [text('{}', 3)]);
    assert.equal(stream.framer.takeSkipped(), 0);
  });

  test('keep every byte but one line end', () => {
    const stream = receiver();
    stream.push('\ufeff{}\r\r\n [] \n');
    assert.deepEqual(texts(stream.lines), ['\ufeff{}\r', ' [] ']);
  });

  test('that are not UTF-8 come as their exact bytes', () => {
    for (const bytes of [[0xff, 0x41], [0xed, 0xa0, 0x80], [0xc3]]) {
      for (const at of [0, 1]) {
        const stream = receiver();
        stream.push(Buffer.from(bytes.slice(0, at)));
        stream.push(Buffer.from([...bytes.slice(at), 0x0a]));
        assert.deepEqual(stream.lines[0]?.content, { type: 'binary', bytes: Buffer.from(bytes) });
      }
    }
  });

  test('of several MiB are whole, and nothing is held afterwards', () => {
    const stream = receiver();
    const long = JSON.stringify('漢字 and more '.repeat(300_000));
    const bytes = Buffer.from(`${long}\n{}\n`);
    for (let at = 0; at < bytes.length; at += 65_537) stream.push(bytes.subarray(at, at + 65_537));
    assert.deepEqual(stream.lines, [text(long), text('{}', Buffer.byteLength(long) + 1)]);
    assert.equal(stream.framer.held, 0);
  });

  test('of 1 MiB written byte by byte take linear time, with and without packets', {
    timeout: 20_000,
  }, () => {
    for (const packets of [false, true]) {
      // Each byte could end the value, so a framer that parses at every packet would never be done.
      const line = `${'['.repeat(MIB / 2)}${']'.repeat(MIB / 2)}`;
      const stream = receiver();
      const emit = (found: Line) => void stream.lines.push(found);
      const bytes = Buffer.from(`${line}\n`);
      for (let at = 0; at < bytes.length; at++)
        stream.framer.push(bytes.subarray(at, at + 1), at, packets, emit);
      assert.equal(stream.lines.length, 1);
      assert.ok(stream.lines[0]?.content.type === 'text' && stream.lines[0].content.text === line);
    }
  });
});

describe('a frame larger than the maximum', () => {
  const sized = (size: number) => `"${'x'.repeat(size - 2)}"`;

  test('begins one byte above it, whatever the line end and the cuts', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 3, 100, 4095, 4096, 4097, 5000),
        fc.integer({ min: -1, max: 3 }),
        arbitraryLineEnd,
        arbitraryCuts,
        (maxSize, over, end, cuts) => {
          const line = sized(Math.max(2, maxSize + over));
          const stream = receiver({ maxSize });
          for (const piece of cut(Buffer.from(`${line}${end}[]${end}`), cuts)) stream.push(piece);
          const first =
            line.length <= maxSize
              ? text(line)
              : { ...text(line), content: { type: 'oversize', head: line.slice(0, 4096) } };
          assert.deepEqual(stream.lines, [first, text('[]', line.length + end.length)]);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('holds no more than its head, is counted in full and leaves the next line intact', () => {
    const stream = receiver({ maxSize: 100_000 });
    stream.push('{"a":"');
    for (let i = 0; i < 3000; i++) stream.push('y'.repeat(1000));
    assert.ok(stream.framer.held <= 4097);
    stream.push('"}\r\n{"b":1}\n');
    assert.equal(stream.lines[0]?.size, 3_000_008);
    assert.equal(stream.lines[0]?.content.type, 'oversize');
    assert.deepEqual(stream.lines[1], text('{"b":1}', 3_000_010));
  });

  test('has a head that ends with a whole character', () => {
    for (const [character, shift] of [
      ['é', 1],
      ['漢', 0],
      ['漢', 2],
      ['😀', 1],
      ['😀', 2],
      ['😀', 3],
    ] as const) {
      const line = 'a'.repeat(shift) + character.repeat(3000);
      const whole = Math.floor((4096 - shift) / Buffer.byteLength(character));
      for (const cuts of [[], [0.1, 0.4, 0.9]]) {
        const stream = receiver({ maxSize: 5000 });
        for (const piece of cut(Buffer.from(`${line}\n`), cuts)) stream.push(piece);
        const head = 'a'.repeat(shift) + character.repeat(whole);
        assert.deepEqual(stream.lines, [{ ...text(line), content: { type: 'oversize', head } }]);
      }
    }
  });

  test('that never ends is incomplete, with all its bytes counted', () => {
    const stream = receiver({ maxSize: 10 });
    stream.push('0123456789');
    stream.push('abc');
    stream.end();
    assert.deepEqual(stream.lines, [incomplete('0123456789abc', 'end')]);
  });
});

describe('a gap', () => {
  test('in a frame makes it incomplete and discards what follows up to the next newline', () => {
    const stream = receiver();
    stream.push('{}\n{"a":');
    stream.gap(10);
    stream.push('tail');
    stream.push(' of it\n{"b":1}\n');
    assert.deepEqual(stream.lines, [text('{}'), incomplete('{"a":', 'gap', 3), text('{"b":1}', 29)]);
    assert.equal(stream.framer.takeSkipped(), 11);
    assert.equal(stream.framer.takeSkipped(), 0);
  });

  test('that ends with a newline discards nothing', () => {
    const stream = receiver();
    stream.push('{"a":');
    stream.gap(10, true);
    stream.push('{"b":1}\n');
    assert.deepEqual(stream.lines, [incomplete('{"a":', 'gap'), text('{"b":1}', 15)]);
    assert.equal(stream.framer.takeSkipped(), 0);
  });

  test('that ends with a newline also ends the discarding after an earlier one', () => {
    const stream = receiver();
    stream.gap(5);
    stream.push('abc');
    stream.gap(5, true);
    stream.push('{}\n');
    assert.deepEqual(stream.lines, [text('{}', 13)]);
    assert.equal(stream.framer.takeSkipped(), 3);
  });

  test('of no bytes changes nothing', () => {
    const stream = receiver();
    stream.push('{"a":');
    stream.gap(0);
    stream.push('1}\n');
    assert.deepEqual(stream.lines, [text('{"a":1}')]);
  });

  test('in a frame larger than the maximum ends it', () => {
    const stream = receiver({ maxSize: 4 });
    stream.push('1234567890');
    stream.gap(1, true);
    stream.push('{}\n');
    assert.deepEqual(stream.lines, [incomplete('1234567890', 'gap'), text('{}', 11)]);
  });

  test('anywhere loses only the frames it touches and accounts for every byte', () => {
    const lines = fc.array(
      arbitraryLine.filter((line) => line !== ''),
      { minLength: 1, maxLength: 10 },
    );
    const place = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(lines, place, place, fc.boolean(), (sent, a, b, told) => {
        const bytes = Buffer.from(sent.map((line) => `${line}\n`).join(''));
        const [from, to] = [a, b].map((x) => Math.floor(x * bytes.length)).sort((x, y) => x - y) as [
          number,
          number,
        ];
        const endsLine = told && to > from && bytes[to - 1] === 10;
        const stream = receiver();
        stream.push(bytes.subarray(0, from));
        stream.gap(to - from, endsLine);
        stream.push(bytes.subarray(to));

        const resync = to === from || endsLine ? to : bytes.indexOf(10, to) + 1 || bytes.length;
        const expected: Line[] = [];
        let offset = 0;
        for (const line of sent) {
          const after = offset + Buffer.byteLength(line) + 1;
          if (from === to || after <= from || offset >= resync) expected.push(text(line, offset));
          else if (offset < from && bytes.toString('latin1', offset, from) !== '\r') {
            // Without the character that the gap cuts.
            const head = new StringDecoder('utf8').write(bytes.subarray(offset, from));
            expected.push({
              offset,
              size: from - offset,
              content: { type: 'incomplete', head, reason: 'gap' },
            });
          }
          offset = after;
        }
        assert.deepEqual(stream.lines, expected);
        assert.equal(stream.framer.takeSkipped(), from === to ? 0 : resync - to);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a stream joined in the middle', () => {
  test('begins after the tail of the message under way', () => {
    const stream = receiver({ joined: true });
    stream.push('ail"}\r');
    stream.push('\n{"a":1}\nnot JSON\n');
    assert.deepEqual(texts(stream.lines), ['{"a":1}', 'not JSON']);
    assert.equal(stream.framer.takeSkipped(), 7);
  });

  test('begins with its first line if that is JSON', () => {
    const stream = receiver({ joined: true });
    stream.push('{"a":1}\n');
    assert.deepEqual(stream.lines, [text('{"a":1}')]);
    assert.equal(stream.framer.takeSkipped(), 0);
  });

  test('begins right after an empty line', () => {
    const stream = receiver({ joined: true });
    stream.push('\nlog\n');
    assert.deepEqual(texts(stream.lines), ['log']);
  });

  test('does not show a tail that is too large, not UTF-8 or never completed', () => {
    for (const tail of [Buffer.alloc(100, 'x'), Buffer.from([0xff])]) {
      const stream = receiver({ joined: true, maxSize: 50 });
      stream.push(tail);
      stream.push('\n{}\n');
      assert.deepEqual(texts(stream.lines), ['{}']);
      assert.equal(stream.framer.takeSkipped(), tail.length + 1);
    }
    const stream = receiver({ joined: true });
    stream.push('tail');
    stream.gap(5, true);
    stream.push('{}\n');
    assert.deepEqual(texts(stream.lines), ['{}']);
    assert.equal(stream.framer.takeSkipped(), 4);
  });
});

describe('the end', () => {
  test('completes a last line without newline if it is JSON', () => {
    const stream = receiver();
    stream.push('{}\n{"a":');
    stream.push('1}');
    assert.equal(stream.framer.held, 7);
    stream.end();
    assert.deepEqual(stream.lines, [text('{}'), text('{"a":1}', 3)]);
    assert.equal(stream.framer.held, 0);
  });

  test('makes any other unterminated line incomplete, with the reason', () => {
    for (const reason of ['end', 'stop'] as const) {
      const stream = receiver();
      stream.push('{"a":');
      stream.end(reason);
      stream.end(reason);
      assert.deepEqual(stream.lines, [incomplete('{"a":', reason)]);
    }
  });

  test('shows at most 4096 bytes of an incomplete line, invalid ones replaced', () => {
    const stream = receiver();
    stream.push(Buffer.concat([Buffer.from([0x5b, 0xff]), Buffer.alloc(10_000, 'x')]));
    stream.end('stop');
    const head = `[\ufffd${'x'.repeat(4094)}`;
    assert.deepEqual(stream.lines, [
      { offset: 0, size: 10_002, content: { type: 'incomplete', head, reason: 'stop' } },
    ]);
  });

  test('says nothing when nothing or half a line end is held', () => {
    const stream = receiver();
    stream.end();
    stream.push('{}\n\r');
    stream.end();
    assert.deepEqual(texts(stream.lines), ['{}']);
  });
});

describe('a carrier that keeps message boundaries', () => {
  const json = fc.oneof(
    fc.array(fc.jsonValue()),
    fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
  );

  test('needs no newlines, and none is required to be missing', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(json, fc.constantFrom('', '\n', '\r\n'), arbitraryCuts)), (messages) => {
        const stream = receiver();
        for (const [value, end, cuts] of messages) {
          const pieces = cut(Buffer.from(JSON.stringify(value) + end), cuts);
          for (const piece of pieces) stream.push(piece, true);
        }
        assert.deepEqual(
          texts(stream.lines),
          messages.map(([value]) => JSON.stringify(value)),
        );
      }),
    );
  });

  test('may carry a packet in several pieces and several lines in a packet', () => {
    const stream = receiver();
    stream.push('{}\n{"a"', false);
    stream.push(':[]}', true);
    stream.push('[1]', true);
    assert.deepEqual(stream.lines, [text('{}'), text('{"a":[]}', 3), text('[1]', 11)]);
  });

  test('does not take a piece for a frame', () => {
    const stream = receiver();
    for (const piece of ['{"a":"}', '\\', '"}', '"', '}', '\n', '1', '2\n', '{]', ' ', '}\n'])
      stream.push(piece, true);
    assert.deepEqual(texts(stream.lines), ['{"a":"}\\"}"}', '12', '{] }']);
  });

  test('finds the next frame after a gap or a late start without a newline', () => {
    const stream = receiver({ joined: true });
    stream.push('tail"}', true);
    stream.push('{"a":1}', true);
    stream.gap(100);
    stream.push('{"lost":', true);
    stream.push('1}', true);
    stream.push('{"b":', true);
    stream.push('1}', true);
    assert.deepEqual(texts(stream.lines), ['{"a":1}', '{"b":1}']);
    assert.equal(stream.framer.takeSkipped(), 6 + 8 + 2);
  });
});

test('a maximum that no string can have is refused', () => {
  for (const maxSize of [0, -1, 1.5, Number.NaN, 2 ** 29]) {
    assert.throws(() => new LineFramer({ maxSize, joined: false }), RangeError);
  }
});
