// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { type CodingLimits, contentDecoder } from './content-coding.ts';

const MIB = 1024 * 1024;
const LIMITS: CodingLimits = { maxBytes: 64 * MIB, maxRatio: 10_000, ratioFloor: MIB };

const CODINGS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  deflate: zlib.deflateSync,
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } }),
  zstd: zlib.zstdCompressSync,
  identity: (bytes) => bytes,
};
const NAMES = Object.keys(CODINGS);

function encode(codings: readonly string[], bytes: Buffer): Buffer {
  return codings.reduce((body, coding) => CODINGS[coding]?.(body) ?? body, bytes);
}

interface Decoded {
  readonly bytes: Buffer;
  readonly problem: string | undefined;
}

/** A whole body, in these pieces. */
function decode(
  codings: string | undefined,
  pieces: readonly Buffer[],
  limits: CodingLimits = LIMITS,
): Decoded {
  const decoder = contentDecoder(codings, limits);
  const decoded: Buffer[] = [];
  for (const piece of pieces) decoder.push(piece, (bytes) => void decoded.push(Buffer.from(bytes)));
  decoder.end();
  const bytes = Buffer.concat(decoded);
  assert.equal(decoder.decoded, bytes.length);
  return { bytes, problem: decoder.problem };
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = cuts.map((each) => each % (bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
}

const body = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.tuple(fc.string({ minLength: 1 }), fc.nat(5000)).map(([text, times]) => Buffer.from(text.repeat(times))),
);
const cuts = fc.array(fc.nat(), { maxLength: 20 });

describe('codings', () => {
  test('are undone in the reverse order, whatever the cuts', () => {
    const stack = fc.array(fc.constantFrom(...NAMES), { maxLength: 5 });
    fc.assert(
      fc.property(stack, body, cuts, (codings, bytes, places) => {
        const decoded = decode(codings.join(', '), cut(encode(codings, bytes), places));
        assert.deepEqual(decoded, { bytes, problem: undefined });
      }),
      { numRuns: 200 },
    );
  });

  test('are undone byte by byte', () => {
    const text = Buffer.from('{"jsonrpc":"2.0","id":1}'.repeat(50));
    for (const name of NAMES) {
      const pieces = [...encode([name], text)].map((byte) => Buffer.from([byte]));
      assert.deepEqual(decode(name, pieces), { bytes: text, problem: undefined }, name);
    }
  });

  test('have names without regard to case and space; empty elements are ignored', () => {
    const bytes = Buffer.from('text');
    assert.deepEqual(decode(' GZIP ,, Br,', [encode(['gzip', 'br'], bytes)]), { bytes, problem: undefined });
  });

  test('without a header, or with identity, the body is what was sent', () => {
    const bytes = Buffer.from('text');
    for (const codings of [undefined, '', 'identity', 'identity, identity']) {
      assert.deepEqual(decode(codings, [bytes]), { bytes, problem: undefined });
      assert.ok(contentDecoder(codings, LIMITS).identity);
    }
  });

  test('that are not known are told, alone or among others', () => {
    for (const codings of ['compress', 'gzip, foo', 'constructor', 'gzip;q=1']) {
      assert.deepEqual(decode(codings, [Buffer.from('x')]), { bytes: Buffer.alloc(0), problem: 'unknown' });
    }
  });

  test('may be five at once, not six', () => {
    const five = Array(5).fill('gzip');
    const bytes = Buffer.from('text');
    assert.deepEqual(decode(five.join(), [encode(five, bytes)]), { bytes, problem: undefined });
    assert.equal(decode([...five, 'gzip'].join(), [encode([...five, 'gzip'], bytes)]).problem, 'unknown');
  });

  test('of an empty body leave nothing to complain of', () => {
    for (const name of NAMES) {
      assert.deepEqual(decode(name, []), { bytes: Buffer.alloc(0), problem: undefined });
    }
  });

  test('deflate may lack the zlib format around it', () => {
    const bytes = Buffer.from('text '.repeat(100));
    for (const level of [0, 1, 9]) {
      const raw = zlib.deflateRawSync(bytes, { level });
      assert.deepEqual(decode('deflate', [raw]), { bytes, problem: undefined });
    }
  });

  test('gzip may have several members and zstd several frames', () => {
    const [a, b] = [Buffer.from('first '), Buffer.from('second')];
    fc.assert(
      fc.property(fc.constantFrom('gzip', 'zstd'), cuts, (name, places) => {
        const both = Buffer.concat([encode([name], a), encode([name], b)]);
        assert.deepEqual(decode(name, cut(both, places)), {
          bytes: Buffer.concat([a, b]),
          problem: undefined,
        });
      }),
    );
  });
});

describe('a stream that is flushed', () => {
  const { constants } = zlib;
  const flushing = {
    gzip: () => [zlib.createGzip(), constants.Z_SYNC_FLUSH] as const,
    deflate: () => [zlib.createDeflate(), constants.Z_SYNC_FLUSH] as const,
    br: () => [zlib.createBrotliCompress(), constants.BROTLI_OPERATION_FLUSH] as const,
    zstd: () => [zlib.createZstdCompress(), constants.ZSTD_e_flush] as const,
  };
  for (const [name, create] of Object.entries(flushing)) {
    test(`${name}: comes out event by event`, async () => {
      const [compressor, flush] = create();
      const decoder = contentDecoder(name, LIMITS);
      for (let i = 0; i < 20; i++) {
        const event = `data: {"n":${i}}\n\n`;
        compressor.write(event);
        const flushed = new Promise<void>((resolve) => compressor.flush(flush, resolve));
        if (compressor.readableLength === 0) await once(compressor, 'readable');
        await flushed;
        let decoded = '';
        decoder.push(compressor.read() as Buffer, (bytes) => {
          decoded += bytes.toString();
        });
        assert.equal(decoded, event);
      }
      decoder.close();
      compressor.close();
    });
  }
});

describe('what is not as it should be', () => {
  const text = Buffer.from('{"jsonrpc":"2.0"}'.repeat(1000));
  const coded = NAMES.filter((name) => name !== 'identity');

  test('a body cut short gives what it tells, and is broken', () => {
    for (const name of coded) {
      const whole = encode([name], text);
      for (const length of [1, whole.length >> 1, whole.length - 1]) {
        const { bytes, problem } = decode(name, [whole.subarray(0, length)]);
        assert.ok(text.subarray(0, bytes.length).equals(bytes));
        assert.equal(problem, 'broken', `${name} ${length}`);
      }
    }
  });

  test('a byte changed anywhere never throws; behind its header the checksum of deflate notices it', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...coded),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        cuts,
        (name, at, by, places) => {
          const bytes = encode([name], text);
          const place = at % bytes.length;
          bytes[place] = (bytes[place] ?? 0) ^ by;
          const { bytes: decoded, problem } = decode(name, cut(bytes, places));
          assert.ok(decoded.length <= LIMITS.maxBytes);
          // Without its header it may pass for deflate without a checksum.
          if (name === 'deflate' && place >= 2) assert.ok(problem !== undefined || decoded.equals(text));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('any bytes at all do no harm', () => {
    fc.assert(
      fc.property(fc.constantFrom(...coded), fc.array(fc.uint8Array()), (name, pieces) => {
        const { problem } = decode(
          `${name}, ${name}`,
          pieces.map((piece) => Buffer.from(piece)),
        );
        assert.ok(problem === 'broken' || problem === undefined);
      }),
    );
  });

  test('what comes after a problem is dropped', () => {
    const decoder = contentDecoder('gzip', LIMITS);
    const seen: Buffer[] = [];
    decoder.push(Buffer.from('no gzip'), (bytes) => void seen.push(bytes));
    decoder.push(zlib.gzipSync('text'), (bytes) => void seen.push(bytes));
    decoder.end();
    assert.deepEqual([seen, decoder.problem], [[], 'broken']);
  });

  test('what is compressed cannot go on after a loss, what is not can', () => {
    const compressed = contentDecoder('br', LIMITS);
    const plain = contentDecoder('identity', LIMITS);
    let decoded = '';
    const emit = (bytes: Buffer) => {
      decoded += bytes.toString();
    };
    compressed.lost();
    compressed.push(zlib.brotliCompressSync('text'), emit);
    compressed.end();
    assert.deepEqual([compressed.problem, decoded], ['gap', '']);
    plain.lost();
    plain.push(Buffer.from('text'), emit);
    plain.end();
    assert.deepEqual([plain.problem, decoded], [undefined, 'text']);
  });
});

describe('bombs', () => {
  const GIB = 1024 * MIB;
  const { constants } = zlib;

  /** 1 GiB of zeros. */
  async function bomb(compressor: zlib.Gzip | zlib.BrotliCompress | zlib.ZstdCompress): Promise<Buffer> {
    const zeros = Buffer.alloc(16 * MIB);
    const parts: Buffer[] = [];
    compressor.on('data', (part: Buffer) => void parts.push(part));
    for (let i = 0; i < GIB / zeros.length; i++) {
      if (!compressor.write(zeros)) await once(compressor, 'drain');
    }
    compressor.end();
    await once(compressor, 'end');
    return Buffer.concat(parts);
  }

  const makers = {
    gzip: () => zlib.createGzip({ level: 1 }),
    br: () => zlib.createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    zstd: () => zlib.createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
  };
  for (const [name, make] of Object.entries(makers)) {
    test(`${name}: of 1 GiB of zeros no more than the limit comes out, in pieces of at most 64 KiB`, async () => {
      const bytes = await bomb(make());
      const rss = process.memoryUsage().rss;
      const limits = [
        [{ maxBytes: 10 * MIB + 1, maxRatio: Infinity, ratioFloor: MIB }, 10 * MIB + 1],
        [{ maxBytes: Infinity, maxRatio: 10, ratioFloor: MIB }, Math.max(MIB, bytes.length * 10)],
      ] as const;
      for (const [limit, most] of limits) {
        const decoder = contentDecoder(name, limit);
        decoder.push(bytes, (piece) => assert.ok(piece.length <= 65536));
        assert.equal(decoder.problem, 'too-large');
        assert.equal(decoder.decoded, most);
        decoder.end();
        assert.equal(decoder.problem, 'too-large');
      }
      assert.ok(process.memoryUsage().rss - rss < 128 * MIB);
    });
  }

  test('a bomb inside another coding is measured by what was sent', () => {
    const inner = zlib.gzipSync(Buffer.alloc(32 * MIB), { level: 9 });
    const outer = zlib.gzipSync(inner, { level: 9 });
    const { bytes, problem } = decode('gzip, gzip', [outer], {
      maxBytes: Infinity,
      maxRatio: 100,
      ratioFloor: MIB,
    });
    assert.equal(problem, 'too-large');
    assert.equal(bytes.length, MIB);
  });

  test('an endless stream of moderate ratio has no end without a limit of bytes', () => {
    const text = Buffer.from(Array.from({ length: 10_000 }, (_, i) => `data: ${i * i}\n\n`).join(''));
    const member = zlib.gzipSync(text);
    const { bytes, problem } = decode('gzip', Array(100).fill(member), {
      maxBytes: Infinity,
      maxRatio: 100,
      ratioFloor: MIB,
    });
    assert.deepEqual([bytes.length, problem], [text.length * 100, undefined]);
  });
});
