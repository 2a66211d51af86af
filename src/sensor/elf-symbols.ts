// SPDX-License-Identifier: Apache-2.0
/** The symbols of an ELF file that others use (System V ABI, "Dynamic Linking"). */
import { u64 } from './elf-bytes.ts';

export const SYMBOL_SIZE = 24;
const STT_FUNC = 2;
/** Of symbols with the same hash. */
const MAX_CHAIN = 256;
const MAX_BLOOM = 256 << 10;

/** A symbol that is a function and lies in this file. */
export function isDefinedFunction(symbols: Buffer, at: number): boolean {
  return ((symbols[at + 4] ?? 0) & 15) === STT_FUNC && symbols.readUInt16LE(at + 6) !== 0;
}

/** The symbols that the dynamic linker uses, by the hash tables that it uses. */
export class DynamicSymbols {
  readonly #read: (address: number, length: number) => Buffer;
  readonly #symbols: number;
  readonly #strings: number;
  readonly #gnu: GnuHashTable | undefined;
  readonly #sysv: { buckets: number; chains: number; at: number } | undefined;

  constructor(
    read: (address: number, length: number) => Buffer,
    symbols: number,
    strings: number,
    gnu: number | undefined,
    sysv: number | undefined,
  ) {
    this.#read = read;
    this.#symbols = symbols;
    this.#strings = strings;
    const head = gnu === undefined ? undefined : read(gnu, 16);
    if (gnu !== undefined && head?.length === 16) {
      const buckets = head.readUInt32LE(0);
      const bucketsAt = gnu + 16 + 8 * head.readUInt32LE(8);
      this.#gnu = {
        buckets,
        first: head.readUInt32LE(4),
        bloom: read(gnu + 16, Math.min(8 * head.readUInt32LE(8), MAX_BLOOM)),
        bloomWords: head.readUInt32LE(8),
        shift: head.readUInt32LE(12) & 31,
        bucketsAt,
        chainsAt: bucketsAt + 4 * buckets,
      };
    }
    const old = sysv === undefined ? undefined : read(sysv, 8);
    if (sysv !== undefined && old?.length === 8)
      this.#sysv = { buckets: old.readUInt32LE(0), chains: old.readUInt32LE(4), at: sysv + 8 };
  }

  /** Addresses of the functions of this name: one for each of its versions. */
  lookUp(name: string): number[] {
    const indexes = this.#gnu ? this.#byGnuHash(name) : this.#bySysvHash(name);
    return indexes.flatMap((index) => this.#functionAt(index, name) ?? []);
  }

  #word(address: number): number | undefined {
    const bytes = this.#read(address, 4);
    return bytes.length === 4 ? bytes.readUInt32LE(0) : undefined;
  }

  #byGnuHash(name: string): number[] {
    if (!this.#gnu?.buckets) return [];
    const { buckets, first, bucketsAt, chainsAt } = this.#gnu;
    const hash = gnuHash(name);
    if (!mayHave(this.#gnu, hash)) return [];
    const start = this.#word(bucketsAt + 4 * (hash % buckets));
    if (start === undefined || start < first) return [];
    const chain = this.#read(chainsAt + 4 * (start - first), 4 * MAX_CHAIN);
    const indexes: number[] = [];
    for (let at = 0; at + 4 <= chain.length; at += 4) {
      const value = chain.readUInt32LE(at);
      if ((value | 1) === (hash | 1)) indexes.push(start + at / 4);
      if (value & 1) break;
    }
    return indexes;
  }

  #bySysvHash(name: string): number[] {
    if (!this.#sysv?.buckets) return [];
    const { buckets, chains, at } = this.#sysv;
    const indexes: number[] = [];
    let index = this.#word(at + 4 * (sysvHash(name) % buckets));
    for (let n = 0; n < MAX_CHAIN && index; n++) {
      if (index >= chains) break;
      indexes.push(index);
      index = this.#word(at + 4 * (buckets + index));
    }
    return indexes;
  }

  #functionAt(index: number, name: string): number | undefined {
    const symbol = this.#read(this.#symbols + SYMBOL_SIZE * index, SYMBOL_SIZE);
    if (symbol.length < SYMBOL_SIZE || !isDefinedFunction(symbol, 0)) return undefined;
    const text = this.#read(this.#strings + symbol.readUInt32LE(0), name.length + 1);
    if (text.toString('latin1') !== `${name}\0`) return undefined;
    const address = u64(symbol, 8);
    return Number.isNaN(address) ? undefined : address;
  }
}

interface GnuHashTable {
  readonly buckets: number;
  /** Index of the first symbol that is in it. */
  readonly first: number;
  readonly bloom: Buffer;
  readonly bloomWords: number;
  readonly shift: number;
  readonly bucketsAt: number;
  readonly chainsAt: number;
}

/** The filter that spares nearly all look-ups of what is not there. */
function mayHave({ bloom, bloomWords, shift }: GnuHashTable, hash: number): boolean {
  if (!bloomWords) return true;
  const word = 8 * (Math.floor(hash / 64) % bloomWords);
  // Beyond what was read: look.
  if (word + 8 > bloom.length) return true;
  const has = (bit: number) => (((bloom[word + (bit >>> 3)] ?? 0) >>> (bit & 7)) & 1) === 1;
  return has(hash & 63) && has((hash >>> shift) & 63);
}

/** The hash of DT_HASH. */
function sysvHash(name: string): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) {
    hash = ((hash << 4) + name.charCodeAt(at)) >>> 0;
    const high = hash & 0xf0000000;
    if (high) hash ^= high >>> 24;
    hash = (hash & ~high) >>> 0;
  }
  return hash;
}

/** The hash of DT_GNU_HASH. */
function gnuHash(name: string): number {
  let hash = 5381;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 33) + name.charCodeAt(at)) >>> 0;
  return hash;
}
