// SPDX-License-Identifier: Apache-2.0
/**
 * HPACK, the header compression of HTTP/2 (RFC 7541), as seen by somebody who may have joined late. The dynamic
 * table is the sender's: what was put into it before is not known, but entries are counted from the newest, so
 * every one that was seen being inserted is found, and of an older one the name is `undefined`.
 */

import { decodeHuffman } from './hpack-huffman.ts';
import { STATIC_TABLE } from './hpack-static.ts';

/**
 * A field; the name as sent, `undefined` where only a lost part of the table would tell it. The value is empty, then,
 * unless it was sent beside the name's index.
 */
export type HeaderField = readonly [name: string | undefined, value: string];

/** What one block holds. */
export interface HeaderBlock {
  readonly fields: readonly HeaderField[];
  /** Some are missing: the block is broken, or larger than what is kept of one. */
  readonly cut: boolean;
  /** Breaks the rules of HPACK: what comes after it can no longer be trusted either. */
  readonly broken: boolean;
}

/** RFC 7541, section 4.1: an entry counts 32 bytes beside its name and value. */
const OVERHEAD = 32;
/** SETTINGS_HEADER_TABLE_SIZE unless another is announced (RFC 9113, section 6.5.2). */
const DEFAULT_SIZE = 4096;
/** However large a table a sender says it uses, no more is kept, in bytes. */
const SIZE_MAX = 1 << 20;
/** Where the size said before is not known: entries kept for too long are harmless, no index leads to them. */
const UNKNOWN_SIZE = 64 << 10;
/** Of one block, so much is kept, counted as in section 4.1; the fields beyond still enter the table. */
const BLOCK_MAX = 256 << 10;

/** Nothing that HPACK counts is larger: a table's size is a setting, which has 32 bits. */
const INTEGER_MAX = 2 ** 32;
/** The last byte of an integer of 32 bits, padded with zeros a little, has no more weight (section 5.1). */
const FACTOR_MAX = 2 ** 42;

/** Places at the front of the table that evicted entries may leave empty before they are removed. */
const HOLLOW_MAX = 64;

/** Reads a block; past its end, or at something impossible, `broken` is set and zeros come. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  broken = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.broken || this.#at >= this.#bytes.length;
  }

  get next(): number {
    return this.#bytes[this.#at] ?? 0;
  }

  /** An integer whose first `prefix` bits are in the next byte (section 5.1). */
  integer(prefix: number): number {
    const limit = 2 ** prefix - 1;
    let value = this.#byte() & limit;
    if (value < limit) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (value > INTEGER_MAX || factor > FACTOR_MAX) this.broken = true;
      if (this.broken) return 0;
      if (byte < 0x80) return value;
    }
  }

  /** A string, as latin1 (section 5.2). */
  string(): string {
    const huffman = this.next >= 0x80;
    const from = this.#length(this.integer(7));
    if (this.broken) return '';
    const text = huffman
      ? decodeHuffman(this.#bytes, from, this.#at)
      : this.#bytes.toString('latin1', from, this.#at);
    if (text === undefined) this.broken = true;
    return text ?? '';
  }

  /** Steps over so many bytes. @returns where they began. */
  #length(length: number): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) this.broken = true;
    else this.#at += length;
    return from;
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) this.broken = true;
    return this.#bytes[this.#at++] ?? 0;
  }
}

interface Entry {
  readonly field: HeaderField;
  readonly size: number;
}

/** Decodes the blocks of one direction, in their order. */
export class HpackDecoder {
  /** Oldest first: an index counts from the end. Those before `#oldest` have been evicted. */
  #table: (Entry | undefined)[] = [];
  #oldest = 0;
  /** Bytes (section 4.1); an unknown name counts nothing. */
  #size = 0;
  #limit: number;
  /** Is `#limit` the sender's? */
  #limitKnown: boolean;
  /** The sender's table may hold entries older than ours. */
  #unknownOlder: boolean;

  /** @param joined Blocks may have come before the first. */
  constructor(joined = false) {
    this.#unknownOlder = joined;
    this.#limitKnown = !joined;
    this.#limit = joined ? UNKNOWN_SIZE : DEFAULT_SIZE;
  }

  /** Bytes that the table's entries count (section 4.1). */
  get size(): number {
    return this.#size;
  }

  /** A block was lost: what it put into the table is not known, and every index means something else. */
  lose(): void {
    this.#table = [];
    this.#oldest = 0;
    this.#size = 0;
    this.#unknownOlder = true;
    // It may have changed the size as well.
    this.#limitKnown = false;
    this.#limit = Math.max(this.#limit, UNKNOWN_SIZE);
  }

  /** A whole block: HEADERS or PUSH_PROMISE with its CONTINUATIONs. Time is linear in its length. Never throws. */
  decode(block: Buffer): HeaderBlock {
    const reader = new Reader(block);
    const fields: HeaderField[] = [];
    let kept = 0;
    while (!reader.done) {
      const field = this.#representation(reader);
      if (!field || reader.broken) continue;
      kept += sizeOf(field);
      if (kept <= BLOCK_MAX) fields.push(field);
    }
    if (reader.broken) this.lose();
    return { fields, cut: reader.broken || kept > BLOCK_MAX, broken: reader.broken };
  }

  /** One representation of section 6; `undefined` for a size update. */
  #representation(reader: Reader): HeaderField | undefined {
    const first = reader.next;
    if (first >= 0x80) return this.#at(reader.integer(7), reader);
    if (first >= 0x40) {
      const field = this.#literal(reader, 6);
      if (!reader.broken) this.#insert(field);
      return field;
    }
    if (first >= 0x20) {
      const size = reader.integer(5);
      if (!reader.broken) this.#resize(size);
      return undefined;
    }
    return this.#literal(reader, 4);
  }

  #literal(reader: Reader, prefix: number): HeaderField {
    const index = reader.integer(prefix);
    const name = index === 0 ? reader.string() : this.#at(index, reader)?.[0];
    return [name, reader.string()];
  }

  #at(index: number, reader: Reader): HeaderField | undefined {
    const fixed = STATIC_TABLE[index - 1];
    if (fixed) return fixed;
    const known = this.#table[this.#table.length - (index - STATIC_TABLE.length)]?.field;
    if (known) return known;
    if (index > 0 && this.#unknownOlder) return [undefined, ''];
    reader.broken = true;
    return undefined;
  }

  #insert(field: HeaderField): void {
    const size = sizeOf(field);
    this.#table.push({ field, size });
    this.#size += size;
    this.#evict();
  }

  /** Section 6.3. */
  #resize(limit: number): void {
    this.#limit = Math.min(limit, SIZE_MAX);
    this.#limitKnown = limit <= SIZE_MAX;
    if (limit === 0) this.#unknownOlder = false;
    this.#evict();
  }

  /** Section 4.3. An entry larger than the table empties it and is not in it afterwards (section 4.4). */
  #evict(): void {
    if (this.#size <= this.#limit) return;
    while (this.#size > this.#limit) {
      this.#size -= this.#table[this.#oldest]?.size ?? 0;
      this.#table[this.#oldest++] = undefined;
    }
    // What is older than an entry that had to go is gone, too; but the sender's table may be larger than ours.
    this.#unknownOlder = !this.#limitKnown;
    if (this.#oldest < HOLLOW_MAX || 2 * this.#oldest < this.#table.length) return;
    this.#table = this.#table.slice(this.#oldest);
    this.#oldest = 0;
  }
}

/** Section 4.1. An unknown name has an unknown length, so that an entry may be kept for too long. */
function sizeOf([name, value]: HeaderField): number {
  return (name?.length ?? 0) + value.length + OVERHEAD;
}
