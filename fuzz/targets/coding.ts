// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { contentDecoder } from '../../src/protocols/content-coding.ts';
import { calls } from '../input.ts';
import { lent, type Target, Trace } from '../target.ts';

const CODINGS = [
  'gzip',
  'deflate',
  'br',
  'zstd',
  'gzip, br',
  'deflate, zstd',
  undefined,
  'identity',
  'gzip, gzip, gzip, gzip, gzip',
  'x-gzip',
  'unknown',
];
const MAX = 100_000;
const TEXT = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"hello hello hello"}]}}';

/** Flags: which codings. A gap loses bytes. */
export const coding: Target = {
  name: 'coding',
  tokens: [
    zlib.gzipSync(TEXT),
    zlib.gzipSync(Buffer.alloc(300_000)),
    zlib.brotliCompressSync(TEXT),
    zlib.zstdCompressSync(TEXT),
    zlib.zstdCompressSync(Buffer.alloc(300_000)),
    zlib.deflateSync(TEXT),
    '\x1f\x8b\x08',
    '\x28\xb5\x2f\xfd',
    '\x50\x2a\x4d\x18',
  ],
  steps: { perByte: 300, base: 3000 },
  seeds: () => [
    calls(0, [0, zlib.gzipSync(TEXT)], [0, zlib.gzipSync('more')]),
    calls(1, [0, zlib.deflateSync(TEXT)]),
    calls(1, [0, zlib.deflateRawSync(TEXT)]),
    calls(2, [0, zlib.brotliCompressSync(TEXT)]),
    calls(3, [0, zlib.zstdCompressSync(TEXT)], [0, zlib.zstdCompressSync('more')]),
    calls(4, [0, zlib.brotliCompressSync(zlib.gzipSync(TEXT))]),
    calls(5, [0, zlib.zstdCompressSync(zlib.deflateSync(TEXT))]),
    calls(6, [0, TEXT], [0, 3], [0, TEXT]),
    calls(0, [0, zlib.gzipSync(Buffer.alloc(300_000))]),
  ],
  run({ flags, calls: all }, cut) {
    const limits = { maxBytes: MAX, maxRatio: Number.POSITIVE_INFINITY, ratioFloor: 0 };
    const decoder = contentDecoder(CODINGS[flags % CODINGS.length], limits);
    const trace = new Trace();
    let size = 0;
    for (const { kind, bytes } of all) {
      if (kind === 'gap') decoder.lost();
      else if (kind === 'push')
        for (const piece of cut(bytes))
          lent(piece, (copy) =>
            decoder.push(copy, (decoded) => {
              assert.equal(decoder.problem === undefined || decoder.problem === 'too-large', true);
              size += decoded.length;
              trace.add('', decoded);
            }),
          );
    }
    assert.ok(decoder.identity || size <= MAX, `${size} bytes`);
    assert.equal(size, decoder.decoded);
    decoder.end();
    return trace.toString();
  },
  // Before what is broken, more or less may have come out.
  same: (one, other) => one.startsWith(other) || other.startsWith(one),
};
