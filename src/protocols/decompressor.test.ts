// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import zlib from 'node:zlib';
import { type Compression, Decompressor } from './decompressor.ts';

const COMPRESS: Readonly<Record<Compression, (bytes: Buffer) => Buffer>> = {
  gzip: zlib.gzipSync,
  deflate: zlib.deflateSync,
  'deflate-raw': zlib.deflateRawSync,
  br: zlib.brotliCompressSync,
  zstd: zlib.zstdCompressSync,
};
const COMPRESSIONS = Object.keys(COMPRESS) as Compression[];

/** Everything that one call hands out. */
function write(decompressor: Decompressor, bytes: Buffer): { text: string; usable: boolean } {
  let text = '';
  const usable = decompressor.write(bytes, (piece) => {
    text += piece.toString('latin1');
    return true;
  });
  return { text, usable };
}

describe('the undocumented call of node:zlib', () => {
  for (const compression of COMPRESSIONS) {
    test(`${compression}: tells during each call what its piece tells, and needs no second one`, () => {
      const text = Array.from({ length: 20_000 }, (_, i) => `line ${i} ${(i * 7919) % 1000}\n`).join('');
      const compressed = COMPRESS[compression](Buffer.from(text));
      const decompressor = new Decompressor(compression);
      const most = (compressed.length * 3) >> 2;
      const first = write(decompressor, compressed.subarray(0, most));
      assert.ok(first.text.length > 0 && text.startsWith(first.text));
      const second = write(decompressor, compressed.subarray(most));
      assert.equal(first.text + second.text, text);
      assert.ok(decompressor.ended());
      decompressor.close();
    });

    test(`${compression}: an error is known when the call returns`, () => {
      const decompressor = new Decompressor(compression);
      const { usable } = write(decompressor, Buffer.alloc(100, 0xff));
      assert.equal(usable, false);
      assert.deepEqual(write(decompressor, COMPRESS[compression](Buffer.from('x'))), {
        text: '',
        usable: false,
      });
    });

    test(`${compression}: an end that is missing is noticed`, () => {
      const decompressor = new Decompressor(compression);
      const compressed = COMPRESS[compression](Buffer.from('some text that is long enough'));
      assert.equal(write(decompressor, compressed.subarray(0, -2)).usable, true);
      assert.equal(decompressor.ended(), false);
    });

    test(`${compression}: a taker that has had enough ends it`, () => {
      const decompressor = new Decompressor(compression);
      let calls = 0;
      const usable = decompressor.write(COMPRESS[compression](Buffer.alloc(10_000_000)), (piece) => {
        assert.ok(piece.length <= 65536);
        return ++calls < 3;
      });
      assert.deepEqual([usable, calls], [false, 3]);
    });
  }
});

test('of gzip, what stood before a broken block or a wrong checksum is handed out', () => {
  const compressed = zlib.gzipSync('hello world');
  compressed[compressed.length - 6] = (compressed.at(-6) ?? 0) ^ 1;
  assert.deepEqual(write(new Decompressor('gzip'), compressed), { text: 'hello world', usable: false });
});

test('reset begins anew, also after an error', () => {
  const decompressor = new Decompressor('deflate-raw');
  assert.equal(write(decompressor, Buffer.alloc(10, 0xff)).usable, false);
  decompressor.reset();
  assert.deepEqual(write(decompressor, zlib.deflateRawSync('a')), { text: 'a', usable: true });
});

test('decompressors can be nested', () => {
  const inner = new Decompressor('gzip');
  const outer = new Decompressor('br');
  const text = 'x'.repeat(200_000);
  let result = '';
  outer.write(zlib.brotliCompressSync(zlib.gzipSync(text, { level: 0 })), (bytes) => {
    const { text, usable } = write(inner, bytes);
    result += text;
    return usable;
  });
  assert.equal(result, text);
});

test('one window of zstd has at most 8 MiB', () => {
  const wide = (log: number) =>
    zlib.zstdCompressSync(Buffer.alloc(30_000_000), { params: { [zlib.constants.ZSTD_c_windowLog]: log } });
  assert.equal(
    new Decompressor('zstd').write(wide(23), () => true),
    true,
  );
  assert.equal(
    new Decompressor('zstd').write(wide(24), () => true),
    false,
  );
});
