// SPDX-License-Identifier: Apache-2.0
/**
 * The Huffman code of HPACK (RFC 7541, section 5.2 and appendix B). The code is canonical: codes of one length
 * are consecutive, in the order of their symbols, and follow on from those of the length before. So the lengths
 * say it all.
 */

/** The symbols of each length of code, in bits, with ranges. 256 ends a string and must not occur in one. */
const LENGTHS: Readonly<Record<number, string>> = {
  5: '48-50 97 99 101 105 111 115 116',
  6: '32 37 45-47 51-57 61 65 95 98 100 102-104 108-110 112 114 117',
  7: '58 66-87 89 106 107 113 118-122',
  8: '38 42 44 59 88 90',
  10: '33 34 40 41 63',
  11: '39 43 124',
  12: '35 62',
  13: '0 36 64 91 93 126',
  14: '94 125',
  15: '60 96 123',
  19: '92 195 208',
  20: '128 130 131 162 184 194 224 226',
  21: '153 161 167 172 176 177 179 209 216 217 227 229 230',
  22: '129 132-134 136 146 154 156 160 163 164 169 170 173 178 181 185-187 189 190 196 198 228 232 233',
  23: '1 135 137-141 143 147 149-152 155 157 158 165 166 168 174 175 180 182 183 188 191 197 231 239',
  24: '9 142 144 145 148 159 171 206 215 225 236 237',
  25: '199 207 234 235',
  26: '192 193 200-202 205 210 213 218 219 238 240 242 243 255',
  27: '203 204 211 212 214 221-223 241 244-248 250-254',
  28: '2-8 11 12 14-21 23-31 127 220 249',
  30: '10 13 22 256',
};

/** The symbols of each length of code, in bits, in the order of their codes. */
export const HUFFMAN_SYMBOLS: ReadonlyMap<number, readonly number[]> = new Map(
  Object.entries(LENGTHS).map(([bits, list]) => [Number(bits), numbersOf(list)]),
);

const END = 256;

/**
 * The code as a tree in one array: at 2n and 2n + 1 what the node n leads to, another node (positive) or a
 * symbol (-1 - symbol).
 */
const TREE = treeOf();

function treeOf(): Int16Array {
  const tree: number[] = [0, 0];
  let code = 0;
  let length = 0;
  for (const [bits, symbols] of HUFFMAN_SYMBOLS) {
    code *= 2 ** (bits - length);
    length = bits;
    for (const symbol of symbols) {
      insert(tree, code, length, symbol);
      code++;
    }
  }
  return Int16Array.from(tree);
}

function numbersOf(list: string): number[] {
  return list.split(' ').flatMap((part) => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function insert(tree: number[], code: number, length: number, symbol: number): void {
  let node = 0;
  for (let bit = length - 1; bit > 0; bit--) {
    const at = 2 * node + (Math.floor(code / 2 ** bit) & 1);
    if (!tree[at]) {
      tree[at] = tree.length / 2;
      tree.push(0, 0);
    }
    node = tree[at] ?? 0;
  }
  tree[2 * node + (code & 1)] = -1 - symbol;
}

/** The longest rest of a byte that may be padding, in bits. */
const PADDING_MAX = 7;

/** @returns the text as latin1, or `undefined` where the bytes are no such code. */
export function decodeHuffman(bytes: Buffer, from: number, to: number): string | undefined {
  // No code is shorter than 5 bits.
  const out = Buffer.allocUnsafe(Math.floor(((to - from) * 8) / 5) + 1);
  let length = 0;
  let node = 0;
  let bits = 0;
  let ones = true;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    for (let shift = 7; shift >= 0; shift--) {
      const bit = (byte >> shift) & 1;
      const next = TREE[2 * node + bit] ?? 0;
      bits++;
      ones &&= bit === 1;
      if (next >= 0) {
        node = next;
        continue;
      }
      if (next === -1 - END) return undefined;
      out[length++] = -1 - next;
      node = 0;
      bits = 0;
      ones = true;
    }
  }
  // What is left over are the first bits of the end symbol, all ones.
  return bits <= PADDING_MAX && ones ? out.toString('latin1', 0, length) : undefined;
}
