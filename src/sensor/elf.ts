// SPDX-License-Identifier: Apache-2.0
/**
 * What a probe needs to know of an ELF file (System V ABI, "Object Files"; LSB 5.0, "Exception Frames"):
 * where functions of given names begin, and whether they really do.
 *
 * Files are hostile: whoever is watched may map what it likes. Only the parts that are asked for are
 * read, each with a bound; what makes no sense is as if it were not there, and nothing is thrown.
 */
import { type ByteSource, u64 } from './elf-bytes.ts';
import { FrameTable } from './elf-frames.ts';
import { DynamicSymbols, isDefinedFunction, SYMBOL_SIZE } from './elf-symbols.ts';

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const SECTION_HEADER_SIZE = 64;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_GNU_EH_FRAME = 0x6474e550;
const PF_X = 1;
const SHT_SYMTAB = 2;
const DT = { null: 0, needed: 1, hash: 4, strtab: 5, symtab: 6, gnuHash: 0x6ffffef5 } as const;
const MACHINES = { x64: 62, arm64: 183 } as const;

const MAX_PROGRAM_HEADERS = 128;
const MAX_SECTIONS = 4096;
const MAX_DYNAMIC = 512;
const MAX_LIBRARY_NAME = 256;
const MAX_NAME_TABLE = 1 << 20;
/** Of a string table that is searched. */
const MAX_STRINGS = 256 << 20;
const MAX_SYMBOLS = 8 << 20;
const MAX_COMMENT = 4096;
const MAX_OCCURRENCES = 64;
const CHUNK = 1 << 20;

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** A part of the file as its section headers tell it. */
export interface Section {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

/** Where a function begins, in the file. */
export interface FunctionPlace {
  readonly name: string;
  /** Of its first instruction, bytes from the beginning of the file. */
  readonly offset: number;
}

/** An ELF file for this machine: 64 bits, little endian. */
export class ElfFile {
  readonly #source: ByteSource;
  readonly #segments: readonly Segment[];
  readonly #sectionTable: { readonly offset: number; readonly count: number; readonly names: number };
  #sections: readonly Section[] | undefined;
  #frames: FrameTable | undefined | null = null;

  private constructor(source: ByteSource, header: Buffer, segments: readonly Segment[]) {
    this.#source = source;
    this.#segments = segments;
    this.#sectionTable = {
      offset: u64(header, 40),
      count: Math.min(header.readUInt16LE(60), MAX_SECTIONS),
      names: header.readUInt16LE(62),
    };
  }

  /** @returns `undefined` when it is none, or for another kind of machine. */
  static open(source: ByteSource): ElfFile | undefined {
    const header = source.read(0, HEADER_SIZE);
    if (header.length < HEADER_SIZE || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
    // ELFCLASS64, ELFDATA2LSB, version 1; ET_EXEC or ET_DYN.
    if (header[4] !== 2 || header[5] !== 1 || header[6] !== 1) return undefined;
    if (![2, 3].includes(header.readUInt16LE(16))) return undefined;
    if (header.readUInt16LE(18) !== (process.arch === 'arm64' ? MACHINES.arm64 : MACHINES.x64))
      return undefined;
    if (header.readUInt16LE(54) !== PROGRAM_HEADER_SIZE) return undefined;
    const count = Math.min(header.readUInt16LE(56), MAX_PROGRAM_HEADERS);
    const start = u64(header, 32);
    if (Number.isNaN(start)) return undefined;
    const table = source.read(start, count * PROGRAM_HEADER_SIZE);
    const segments: Segment[] = [];
    for (let at = 0; at + PROGRAM_HEADER_SIZE <= table.length; at += PROGRAM_HEADER_SIZE)
      segments.push({
        type: table.readUInt32LE(at),
        flags: table.readUInt32LE(at + 4),
        offset: u64(table, at + 8),
        address: u64(table, at + 16),
        size: u64(table, at + 32),
      });
    return new ElfFile(source, header, segments);
  }

  /** Place in the file of an address; `undefined` where nothing of the file is loaded. */
  #placeOf(address: number, executable = false): number | undefined {
    for (const { type, flags, offset, address: start, size } of this.#segments) {
      if (type !== PT_LOAD || (executable && !(flags & PF_X))) continue;
      if (address >= start && address < start + size) {
        const place = address - start + offset;
        return Number.isSafeInteger(place) ? place : undefined;
      }
    }
    return undefined;
  }

  /** `length` bytes from an address on, or as many as the segment has. */
  #readAt(address: number, length: number): Buffer {
    const place = this.#placeOf(address);
    return place === undefined ? Buffer.alloc(0) : this.#source.read(place, length);
  }

  /**
   * Where functions of these names begin. Left out are those that are only used here, not defined; that
   * do not lie in code; and that do not begin where the exception frames, if there are any, say that a
   * function begins: a probe elsewhere than on a first instruction would destroy the program.
   */
  functions(names: Iterable<string>): FunctionPlace[] {
    const found: FunctionPlace[] = [];
    const table = this.#dynamicTable();
    if (table)
      for (const name of names) for (const address of table.lookUp(name)) this.#add(found, name, address);
    return found;
  }

  /**
   * The same by the full symbol table, which is not loaded and often stripped. It is read as a whole.
   * @param pause Awaited after each piece of a MiB.
   */
  async functionsBySymtab(names: Iterable<string>, pause: () => Promise<void>): Promise<FunctionPlace[]> {
    const symbols = this.sections().find((section) => section.type === SHT_SYMTAB);
    const strings = symbols && this.sections()[symbols.link];
    const found: FunctionPlace[] = [];
    if (!strings || !(symbols.offset >= 0)) return found;
    const wanted = await this.#findStrings(strings, names, pause);
    if (!wanted.size) return found;
    for (const bytes of this.#symbolChunks(symbols)) {
      for (let at = 0; at + SYMBOL_SIZE <= bytes.length; at += SYMBOL_SIZE) {
        const name = wanted.get(bytes.readUInt32LE(at));
        if (name !== undefined && isDefinedFunction(bytes, at)) this.#add(found, name, u64(bytes, at + 8));
      }
      await pause();
    }
    return found;
  }

  #add(found: FunctionPlace[], name: string, address: number): void {
    const offset = this.#placeOf(address, true);
    if (offset === undefined || !this.#beginsFunction(address)) return;
    if (!found.some((each) => each.offset === offset)) found.push({ name, offset });
  }

  #beginsFunction(address: number): boolean {
    if (this.#frames === null) this.#frames = this.#frameTable();
    return this.#frames?.begins(address) ?? true;
  }

  /** What the dynamic linker is told: tag and value. */
  #dynamic(): (readonly [number, number])[] {
    const segment = this.#segments.find(({ type }) => type === PT_DYNAMIC);
    if (!segment || !(segment.size > 0)) return [];
    const bytes = this.#source.read(segment.offset || 0, Math.min(segment.size, MAX_DYNAMIC * 16));
    const entries: (readonly [number, number])[] = [];
    for (let at = 0; at + 16 <= bytes.length; at += 16) {
      const tag = u64(bytes, at);
      if (tag === DT.null) break;
      entries.push([tag, u64(bytes, at + 8)]);
    }
    return entries;
  }

  #dynamicTable(): DynamicSymbols | undefined {
    const entries = new Map(this.#dynamic());
    const symbols = entries.get(DT.symtab);
    const strings = entries.get(DT.strtab);
    if (symbols === undefined || strings === undefined) return undefined;
    const read = (address: number, length: number) => this.#readAt(address, length);
    return new DynamicSymbols(read, symbols, strings, entries.get(DT.gnuHash), entries.get(DT.hash));
  }

  /** Names of the libraries that have to be loaded with this file. */
  needed(): string[] {
    const entries = this.#dynamic();
    const strings = entries.find(([tag]) => tag === DT.strtab)?.[1];
    if (strings === undefined) return [];
    return entries.flatMap(([tag, value]) => {
      if (tag !== DT.needed) return [];
      const text = this.#readAt(strings + value, MAX_LIBRARY_NAME);
      const end = text.indexOf(0);
      return end > 0 ? [text.toString('latin1', 0, end)] : [];
    });
  }

  #frameTable(): FrameTable | undefined {
    const header = this.#segments.find((segment) => segment.type === PT_GNU_EH_FRAME);
    return header && FrameTable.open(this.#source, header.offset, header.address, header.size);
  }

  /** As the section headers tell; empty where there are none. */
  sections(): readonly Section[] {
    this.#sections ??= this.#readSections();
    return this.#sections;
  }

  #readSections(): Section[] {
    const { offset, count, names } = this.#sectionTable;
    if (!(offset > 0) || !count) return [];
    const table = this.#source.read(offset, count * SECTION_HEADER_SIZE);
    const rows = Math.floor(table.length / SECTION_HEADER_SIZE);
    const at = (index: number) => index * SECTION_HEADER_SIZE;
    if (names >= rows) return [];
    const size = Math.min(u64(table, at(names) + 32), MAX_NAME_TABLE);
    const text = size > 0 ? this.#source.read(u64(table, at(names) + 24) || 0, size).toString('latin1') : '';
    return Array.from({ length: rows }, (_, index) => {
      const start = table.readUInt32LE(at(index));
      const end = text.indexOf('\0', start);
      return {
        name: text.slice(start, end < 0 ? start : Math.min(end, start + 64)),
        type: table.readUInt32LE(at(index) + 4),
        offset: u64(table, at(index) + 24),
        size: u64(table, at(index) + 32),
        link: table.readUInt32LE(at(index) + 40),
      };
    });
  }

  /** Places of the names in a string table, where a name may be the end of a longer one. */
  async #findStrings(
    strings: Section,
    names: Iterable<string>,
    pause: () => Promise<void>,
  ): Promise<Map<number, string>> {
    const places = new Map<number, string>();
    const patterns = [...names].map((name) => ({ name, bytes: Buffer.from(`${name}\0`, 'latin1') }));
    const overlap = Math.max(1, ...patterns.map(({ bytes }) => bytes.length)) - 1;
    for (const [start, bytes] of this.#chunks(strings, overlap)) {
      for (const { name, bytes: pattern } of patterns) {
        let at = bytes.indexOf(pattern);
        for (let n = 0; at >= 0 && n < MAX_OCCURRENCES; n++) {
          places.set(start + at, name);
          at = bytes.indexOf(pattern, at + 1);
        }
      }
      await pause();
    }
    return places;
  }

  *#symbolChunks(symbols: Section): Generator<Buffer> {
    const size = Math.min(symbols.size, MAX_SYMBOLS * SYMBOL_SIZE);
    const step = CHUNK - (CHUNK % SYMBOL_SIZE);
    for (let start = 0; start < size; start += step) {
      const bytes = this.#source.read(symbols.offset + start, Math.min(step, size - start));
      if (!bytes.length) return;
      yield bytes;
    }
  }

  /** The section in pieces, each with the first `overlap` bytes of the next one, and where it begins. */
  *#chunks(section: Section, overlap: number): Generator<[number, Buffer]> {
    const size = Math.min(section.size, MAX_STRINGS);
    if (!(section.offset >= 0)) return;
    for (let start = 0; start < size; start += CHUNK) {
      const bytes = this.#source.read(section.offset + start, Math.min(CHUNK + overlap, size - start));
      if (!bytes.length) return;
      yield [start, bytes];
    }
  }

  /**
   * Which of these texts occur in the section, as far as `limit` bytes go?
   * @param pause Awaited after each piece of a MiB.
   */
  async search(
    section: Section,
    texts: readonly string[],
    limit: number,
    pause: () => Promise<void>,
  ): Promise<{ found: ReadonlySet<string>; whole: boolean }> {
    const found = new Set<string>();
    const patterns = new Map(texts.map((text) => [text, Buffer.from(text, 'latin1')]));
    const overlap = Math.max(1, ...texts.map((text) => text.length)) - 1;
    for (const [start, bytes] of this.#chunks(section, overlap)) {
      if (start >= limit) return { found, whole: false };
      for (const [text, pattern] of patterns)
        if (bytes.includes(pattern)) {
          found.add(text);
          patterns.delete(text);
        }
      if (!patterns.size) break;
      await pause();
    }
    return { found, whole: section.size <= MAX_STRINGS };
  }

  /** What the compilers say of themselves, as far as 4 KiB go; empty where that was taken out. */
  compilers(): string {
    const section = this.sections().find(({ name }) => name === '.comment');
    if (!section || !(section.offset >= 0 && section.size > 0)) return '';
    return this.#source.read(section.offset, Math.min(section.size, MAX_COMMENT)).toString('latin1');
  }
}
