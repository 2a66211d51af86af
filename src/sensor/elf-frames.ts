// SPDX-License-Identifier: Apache-2.0
/** Where the functions of an ELF file begin (LSB 5.0, "Exception Frames"). */
import type { ByteSource } from './elf-bytes.ts';

/** DW_EH_PE_udata4; DW_EH_PE_datarel | DW_EH_PE_sdata4. */
const UDATA4 = 0x03;
const DATAREL_SDATA4 = 0x3b;

/** The binary search table of .eh_frame_hdr: where functions begin. */
export class FrameTable {
  readonly #source: ByteSource;
  readonly #table: number;
  readonly #count: number;
  readonly #base: number;

  private constructor(source: ByteSource, table: number, count: number, base: number) {
    this.#source = source;
    this.#table = table;
    this.#count = count;
    this.#base = base;
  }

  /** @returns `undefined` when there is no such table, in the one form in which linkers write it. */
  static open(source: ByteSource, offset: number, address: number, size: number): FrameTable | undefined {
    if (!(size >= 12) || !(offset >= 0) || !(address >= 0)) return undefined;
    const header = source.read(offset, 12);
    // Version 1; the pointer to .eh_frame takes 4 bytes in every form with the low bits 3 or 11.
    if (header.length < 12 || header[0] !== 1 || ((header[1] ?? 0) & 7) !== 3) return undefined;
    if (header[2] !== UDATA4 || header[3] !== DATAREL_SDATA4) return undefined;
    const count = Math.min(header.readUInt32LE(8), Math.floor((size - 12) / 8));
    return count ? new FrameTable(source, offset + 12, count, address) : undefined;
  }

  /** Does a function begin at this address? */
  begins(address: number): boolean {
    const wanted = address - this.#base;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#source.read(this.#table + 8 * middle, 4);
      if (entry.length < 4) return false;
      const begin = entry.readInt32LE(0);
      if (begin === wanted) return true;
      if (begin < wanted) low = middle + 1;
      else high = middle;
    }
    return false;
  }
}
