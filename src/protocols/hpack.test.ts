// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type HeaderField, HpackDecoder } from './hpack.ts';
import { decodeHuffman, HUFFMAN_SYMBOLS } from './hpack-huffman.ts';
import { STATIC_TABLE } from './hpack-static.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** Decodes a block that must be valid. */
function decode(decoder: HpackDecoder, block: Buffer): readonly HeaderField[] {
  const { fields, broken } = decoder.decode(block);
  assert.equal(broken, false);
  return fields;
}

// ---- the examples of RFC 7541, appendix C -----------------------------------

type Example = readonly [block: string, fields: readonly HeaderField[], tableSize: number];

const AUTHORITY = [':authority', 'www.example.com'] as const;
const FIRST_REQUEST = [[':method', 'GET'], [':scheme', 'http'], [':path', '/'], AUTHORITY] as const;
const SECOND_REQUEST = [...FIRST_REQUEST, ['cache-control', 'no-cache']] as const;
const THIRD_REQUEST = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', '/index.html'],
  AUTHORITY,
  ['custom-key', 'custom-value'],
] as const;

const REST = [
  ['cache-control', 'private'],
  ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
  ['location', 'https://www.example.com'],
] as const;
const FIRST_RESPONSE = [[':status', '302'], ...REST] as const;
const SECOND_RESPONSE = [[':status', '307'], ...REST] as const;
const THIRD_RESPONSE = [
  [':status', '200'],
  ['cache-control', 'private'],
  ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
  ['location', 'https://www.example.com'],
  ['content-encoding', 'gzip'],
  ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
] as const;

/** The dynamic table of 256 bytes that the examples of responses use, by a size update. */
const SIZE_256 = hex('3fe101');

describe('the examples of RFC 7541, appendix C', () => {
  const single: Record<string, Example> = {
    'C.2.1 literal with indexing': [
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      [['custom-key', 'custom-header']],
      55,
    ],
    'C.2.2 literal without indexing': ['040c 2f73 616d 706c 652f 7061 7468', [[':path', '/sample/path']], 0],
    'C.2.3 literal never indexed': [
      '1008 7061 7373 776f 7264 0673 6563 7265 74',
      [['password', 'secret']],
      0,
    ],
    'C.2.4 indexed': ['82', [[':method', 'GET']], 0],
  };
  for (const [name, [block, fields, size]] of Object.entries(single))
    test(name, () => {
      const decoder = new HpackDecoder();
      assert.deepEqual(decode(decoder, hex(block)), fields);
      assert.equal(decoder.size, size);
    });

  const sequences: Record<string, readonly Example[]> = {
    'C.3 requests without Huffman coding': [
      ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', FIRST_REQUEST, 57],
      ['8286 84be 5808 6e6f 2d63 6163 6865', SECOND_REQUEST, 110],
      ['8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', THIRD_REQUEST, 164],
    ],
    'C.4 requests with Huffman coding': [
      ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', FIRST_REQUEST, 57],
      ['8286 84be 5886 a8eb 1064 9cbf', SECOND_REQUEST, 110],
      ['8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', THIRD_REQUEST, 164],
    ],
    'C.5 responses without Huffman coding, with eviction': [
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        FIRST_RESPONSE,
        222,
      ],
      ['4803 3330 37c1 c0bf', SECOND_RESPONSE, 222],
      [
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
         3630 303b 2076 6572 7369 6f6e 3d31`,
        THIRD_RESPONSE,
        215,
      ],
    ],
    'C.6 responses with Huffman coding, with eviction': [
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
         63c7 8f0b 97c8 e9ae 82ae 43d3`,
        FIRST_RESPONSE,
        222,
      ],
      ['4883 640e ffc1 c0bf', SECOND_RESPONSE, 222],
      [
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        THIRD_RESPONSE,
        215,
      ],
    ],
  };
  for (const [name, examples] of Object.entries(sequences))
    test(name, () => {
      const decoder = new HpackDecoder();
      if (name.includes('eviction')) decode(decoder, SIZE_256);
      for (const [block, fields, size] of examples) {
        assert.deepEqual(decode(decoder, hex(block)), fields);
        assert.equal(decoder.size, size);
      }
    });

  test('C.1 integers: 10 and 1337 in five bits', () => {
    for (const [block, size] of [
      ['2a', 10],
      ['3f9a0a', 1337],
    ] as const)
      for (const more of [0, 1]) {
        const decoder = new HpackDecoder();
        decode(decoder, hex(block));
        decode(decoder, literal('', 'x'.repeat(Math.max(0, size - 32) + more)));
        const fits = size >= 32 && more === 0;
        assert.equal(decoder.size, fits ? size : 0, `an entry of ${more} more than ${size} bytes`);
      }
  });
});

describe('the tables of RFC 7541', () => {
  test('the Huffman code is complete: its Kraft sum is 1', () => {
    let sum = 0;
    for (const [bits, symbols] of HUFFMAN_SYMBOLS) sum += symbols.length * 2 ** -bits;
    assert.equal(sum, 1);
  });

  test('the Huffman code has each byte and the end once', () => {
    const symbols = [...HUFFMAN_SYMBOLS.values()].flat().sort((a, b) => a - b);
    assert.deepEqual(
      symbols,
      Array.from({ length: 257 }, (_, symbol) => symbol),
    );
  });

  test('the codes at the corners of appendix B', () => {
    // Symbol, code, length: from the appendix, the first and the last of each length.
    const codes: readonly (readonly [number, number, number])[] = [
      [0x30, 0x0, 5],
      [0x74, 0x9, 5],
      [0x20, 0x14, 6],
      [0x75, 0x2d, 6],
      [0x3a, 0x5c, 7],
      [0x7a, 0x7b, 7],
      [0x26, 0xf8, 8],
      [0x5a, 0xfd, 8],
      [0x21, 0x3f8, 10],
      [0x3f, 0x3fc, 10],
      [0x27, 0x7fa, 11],
      [0x7c, 0x7fc, 11],
      [0x23, 0xffa, 12],
      [0x3e, 0xffb, 12],
      [0x00, 0x1ff8, 13],
      [0x7e, 0x1ffd, 13],
      [0x5e, 0x3ffc, 14],
      [0x7d, 0x3ffd, 14],
      [0x3c, 0x7ffc, 15],
      [0x7b, 0x7ffe, 15],
      [0x5c, 0x7fff0, 19],
      [0xd0, 0x7fff2, 19],
      [0x80, 0xfffe6, 20],
      [0xe2, 0xfffed, 20],
      [0x99, 0x1fffdc, 21],
      [0xe6, 0x1fffe8, 21],
      [0x81, 0x3fffd2, 22],
      [0xe9, 0x3fffeb, 22],
      [0x01, 0x7fffd8, 23],
      [0xef, 0x7ffff4, 23],
      [0x09, 0xffffea, 24],
      [0xed, 0xfffff5, 24],
      [0xc7, 0x1ffffec, 25],
      [0xeb, 0x1ffffef, 25],
      [0xc0, 0x3ffffe0, 26],
      [0xff, 0x3ffffee, 26],
      [0xcb, 0x7ffffde, 27],
      [0xfe, 0x7fffff0, 27],
      [0x02, 0xfffffe2, 28],
      [0xf9, 0xffffffe, 28],
      [0x0a, 0x3ffffffc, 30],
      [0x16, 0x3ffffffe, 30],
    ];
    for (const [symbol, code, length] of codes) {
      const bits = code.toString(2).padStart(length, '0');
      const bytes = (bits.padEnd(Math.ceil(length / 8) * 8, '1').match(/.{8}/g) ?? []).map((byte) =>
        Number.parseInt(byte, 2),
      );
      assert.equal(
        decodeHuffman(Buffer.from(bytes), 0, bytes.length),
        String.fromCharCode(symbol),
        `symbol ${symbol}`,
      );
    }
  });

  test('the static table has 61 entries, in their places', () => {
    assert.equal(STATIC_TABLE.length, 61);
    const at = (index: number) => STATIC_TABLE[index - 1];
    assert.deepEqual(at(1), [':authority', '']);
    assert.deepEqual(at(8), [':status', '200']);
    assert.deepEqual(at(16), ['accept-encoding', 'gzip, deflate']);
    assert.deepEqual(at(31), ['content-type', '']);
    assert.deepEqual(at(61), ['www-authenticate', '']);
  });
});

// ---- a sender ---------------------------------------------------------------

function integer(value: number, prefix: number, first: number): Buffer {
  const limit = 2 ** prefix - 1;
  if (value < limit) return Buffer.from([first | value]);
  const bytes = [first | limit];
  let rest = value - limit;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  return Buffer.from([...bytes, rest]);
}

const string = (text: string): Buffer =>
  Buffer.concat([integer(text.length, 7, 0), Buffer.from(text, 'latin1')]);

/** A literal with incremental indexing and a new name. */
const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x40]), string(name), string(value)]);

type Step =
  | {
      readonly how: 'indexed' | 'named' | 'new';
      readonly entry: number;
      readonly name: string;
      readonly value: string;
    }
  | { readonly how: 'resize'; readonly size: number };

/** Keeps the table as section 2.3.2 says: written apart from the decoder, newest first. */
class Sender {
  table: HeaderField[] = [];
  limit = 4096;

  /** `sources`: the entry that gave the field or its name. */
  block(steps: readonly Step[]): {
    block: Buffer;
    fields: HeaderField[];
    sources: (HeaderField | undefined)[];
  } {
    const parts: Buffer[] = [];
    const fields: HeaderField[] = [];
    const sources: (HeaderField | undefined)[] = [];
    for (const step of steps) {
      if (step.how === 'resize') {
        this.limit = step.size;
        this.#shrink();
        parts.push(integer(step.size, 5, 0x20));
        continue;
      }
      const all = [...STATIC_TABLE, ...this.table];
      // Rather from the dynamic part.
      const index = this.table.length > 0 ? 61 + (step.entry % this.table.length) : step.entry % 61;
      const entry = all[index] ?? ['', ''];
      if (step.how === 'indexed') {
        parts.push(integer(index + 1, 7, 0x80));
        fields.push(entry);
        sources.push(entry);
        continue;
      }
      const field: HeaderField = step.how === 'named' ? [entry[0], step.value] : [step.name, step.value];
      const name =
        step.how === 'named'
          ? integer(index + 1, 6, 0x40)
          : Buffer.concat([Buffer.from([0x40]), string(step.name)]);
      parts.push(name, string(step.value));
      fields.push(field);
      sources.push(step.how === 'named' ? entry : undefined);
      this.table.unshift(field);
      this.#shrink();
    }
    return { block: Buffer.concat(parts), fields, sources };
  }

  #shrink(): void {
    const size = () =>
      this.table.reduce((sum, [name = '', value]) => sum + name.length + value.length + 32, 0);
    while (this.table.length > 0 && size() > this.limit) this.table.pop();
  }
}

const word = fc.string({ unit: fc.constantFrom(...'abcdefgh-'), minLength: 1, maxLength: 40 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      how: fc.constantFrom('indexed', 'named', 'new'),
      entry: fc.nat(200),
      name: word,
      value: fc.oneof(word, word, fc.constant('v'.repeat(300))),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      how: fc.constant('resize'),
      size: fc.constantFrom(0, 40, 256, 1000, 4096, 9000, 60_000),
    }),
  },
);
const blocks = fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 30 });

describe('the dynamic table', () => {
  test('what any sender puts into it is found again', () => {
    fc.assert(
      fc.property(blocks, (list) => {
        const sender = new Sender();
        const decoder = new HpackDecoder();
        for (const steps of list) {
          const { block, fields } = sender.block(steps);
          assert.deepEqual(decode(decoder, block), fields);
          assert.ok(decoder.size <= sender.limit);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('who joins late, or loses blocks, is told every name put in since, and of the others none', () => {
    let [known, unknown] = [0, 0];
    const missing = fc.array(fc.nat(29), { maxLength: 3 });
    fc.assert(
      fc.property(blocks, fc.nat(29), missing, (list, joinedAt, lost) => {
        const sender = new Sender();
        const decoder = new HpackDecoder(true);
        /** Entries whose names can be known. */
        let named = new Set<HeaderField>(STATIC_TABLE);
        /** Those whose values can. */
        let valued = new Set<HeaderField>();
        list.forEach((steps, number) => {
          const { block, fields, sources } = sender.block(steps);
          if (number < joinedAt % list.length) return;
          if (lost.includes(number)) {
            decoder.lose();
            named = new Set(STATIC_TABLE);
            valued = new Set();
            return;
          }
          const expected = fields.map((field, place) => {
            const source = sources[place];
            if (source && !named.has(source)) {
              unknown++;
              if (source !== field) valued.add(field);
              return [undefined, valued.has(field) ? field[1] : ''];
            }
            named.add(field);
            known++;
            return field;
          });
          assert.deepEqual(decode(decoder, block), expected);
        });
      }),
      { numRuns: 300 },
    );
    assert.ok(known > 1000 && unknown > 100, `${known} known, ${unknown} unknown`);
  });

  test('an entry that was never put in breaks the block of a sender seen from the beginning', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('a', 'b'));
    assert.deepEqual(decoder.decode(hex('bf')), { fields: [], cut: true, broken: true });
  });

  test('what is older than an evicted entry is gone, so that it breaks the block for a late joiner, too', () => {
    const decoder = new HpackDecoder(true);
    assert.deepEqual(decode(decoder, Buffer.concat([SIZE_256, hex('be')])), [[undefined, '']]);
    for (const name of ['a', 'b', 'c'])
      assert.deepEqual(decode(decoder, literal(name, 'x'.repeat(80))), [[name, 'x'.repeat(80)]]);
    assert.deepEqual(
      decode(decoder, hex('bebf')).map(([name]) => name),
      ['c', 'b'],
    );
    assert.equal(decoder.decode(hex('c0')).broken, true);
  });

  test('an entry larger than the table empties it', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('a', 'b'));
    decode(decoder, literal('c', 'x'.repeat(5000)));
    assert.equal(decoder.size, 0);
    assert.equal(decoder.decode(hex('be')).broken, true);
  });

  for (const [how, unknown] of Object.entries({
    'for a late joiner': () => new HpackDecoder(true),
    'after a loss': () => {
      const decoder = new HpackDecoder();
      decoder.lose();
      return decoder;
    },
  }))
    test(`where the size is not known, ${how}, nothing is taken to be evicted`, () => {
      const decoder = unknown();
      for (let n = 0; n < 1000; n++) decode(decoder, literal(`n${n}`, 'x'.repeat(100)));
      assert.ok(decoder.size <= 64 << 10);
      assert.deepEqual(decode(decoder, integer(61 + 1000, 7, 0x80)), [[undefined, '']]);
      assert.deepEqual(decode(decoder, integer(61 + 400, 7, 0x80)), [['n600', 'x'.repeat(100)]]);
    });

  test('a lost block makes older entries unknown, and the newer ones are found', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('a', 'b'));
    decoder.lose();
    decode(decoder, literal('c', 'd'));
    assert.deepEqual(decode(decoder, hex('bebf')), [
      ['c', 'd'],
      [undefined, ''],
    ]);
    // A new entry with the name of an unknown one keeps its value.
    assert.deepEqual(decode(decoder, Buffer.concat([integer(63, 6, 0x40), string('e')])), [[undefined, 'e']]);
    assert.deepEqual(decode(decoder, hex('bebf')), [
      [undefined, 'e'],
      ['c', 'd'],
    ]);
  });

  test('a broken block makes older entries unknown', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('a', 'b'));
    assert.equal(decoder.decode(hex('80')).broken, true);
    assert.deepEqual(decode(decoder, hex('be')), [[undefined, '']]);
  });

  test('a table of size 0 has no unknown entries', () => {
    const decoder = new HpackDecoder(true);
    decode(decoder, hex('20'));
    assert.equal(decoder.decode(hex('be')).broken, true);
  });
});

describe('HPACK from a hostile sender', () => {
  test('broken blocks are told, and the next are decoded', () => {
    const broken = {
      'an index of 0': '80',
      'a string longer than the block': '4001',
      'a value longer than the block': '0001 6105 62',
      'a block cut in a name': '400a 6375',
      'an integer without end': `3f${'ff'.repeat(20)}`,
      'an integer padded with zeros for ever': `3f${'80'.repeat(1000)}00`,
      'a length padded with zeros for ever': `407f${'80'.repeat(1000)}0061`,
      'an integer of more than 32 bits': '3fffffffff7f',
      'Huffman padding that is not ones': '4081 0000',
      'Huffman padding of a whole byte': '4082 0fff 00',
      'the end symbol in a string': '4084 ffff ffff 00',
    };
    for (const [name, block] of Object.entries(broken)) {
      const decoder = new HpackDecoder();
      assert.equal(decoder.decode(hex(`82${block}`)).broken, true, name);
      assert.deepEqual(
        decoder.decode(hex('82')),
        { fields: [[':method', 'GET']], cut: false, broken: false },
        name,
      );
    }
  });

  test('any bytes are decoded to something, in bounded memory', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ minLength: 50, maxLength: 300, max: 0x7f }),
    );
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 20 }), fc.boolean(), (list, joined) => {
        const decoder = new HpackDecoder(joined);
        for (const block of list) {
          for (const [name, value] of decoder.decode(Buffer.from(block)).fields)
            assert.ok(typeof value === 'string' && (name === undefined || typeof name === 'string'));
          assert.ok(decoder.size <= 1 << 20);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('a table said to be larger is kept up to 1 MiB', () => {
    const decoder = new HpackDecoder();
    decode(decoder, integer(2 ** 32 - 1, 5, 0x20));
    for (let n = 0; n < 100; n++) decode(decoder, literal('n', 'x'.repeat(20_000)));
    assert.ok(decoder.size <= 1 << 20 && decoder.size > 1_000_000);
    // It may be there, for all we know.
    assert.deepEqual(decode(decoder, integer(61 + 100, 7, 0x80)), [[undefined, '']]);
  });

  test('of a block that unfolds, 256 KiB are kept', () => {
    const decoder = new HpackDecoder();
    decode(decoder, literal('n', 'x'.repeat(4000)));
    const { fields: unfolded, cut } = decoder.decode(Buffer.alloc(500_000, 0xbe));
    assert.equal(cut, true);
    assert.equal(unfolded.length, Math.floor((256 << 10) / 4033));
    const empty = decode(new HpackDecoder(true), Buffer.alloc(500_000, 0xbe));
    assert.equal(empty.length, (256 << 10) / 32);
  });

  test('a full table of 32,768 entries is refilled six times over', () => {
    const decoder = new HpackDecoder();
    decode(decoder, integer(1 << 20, 5, 0x20));
    for (let block = 0; block < 6; block++) {
      decode(decoder, Buffer.concat(Array.from({ length: 40_000 }, () => literal('', ''))));
      assert.equal(decoder.size, 1 << 20);
    }
  });
});
