// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { ElfFile } from './elf.ts';
import { type ByteSource, fileSource } from './elf-bytes.ts';

const directory = mkdtempSync(join(tmpdir(), 'mcpspy-elf-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const SOURCE = `
int variable = 1;
int imported(void);
__attribute__((noinline)) int first(int a) { return a + variable; }
__attribute__((noinline)) int a_long_name_that_ends_in_first(int a) { return a * 3; }
__attribute__((noinline)) static int hidden(int a) { return a - variable; }
int second(int a) { return first(a) + hidden(a) + a_long_name_that_ends_in_first(a); }
`;

/** A shared library. `options`: for gcc. */
function library(name: string, options: readonly string[] = [], source = SOURCE): string {
  const file = join(directory, name);
  const gcc = spawnSync('gcc', ['-shared', '-fPIC', '-O1', ...options, '-o', file, '-x', 'c', '-'], {
    input: source,
    encoding: 'utf8',
  });
  assert.equal(gcc.status, 0, gcc.stderr);
  return file;
}

function open(file: string): ElfFile {
  return ElfFile.open(fileSource(openSync(file, 'r'))) ?? assert.fail(`${file} is not ELF`);
}

/** Places of the functions as nm and the program headers tell them. */
function placesByNm(file: string, options: readonly string[] = []): Map<string, number> {
  const headers = spawnSync('readelf', ['-lW', file], { encoding: 'utf8' }).stdout;
  const loads = [...headers.matchAll(/LOAD\s+0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x\w+ R E/g)].map((match) =>
    match.slice(1).map((text) => Number.parseInt(text, 16)),
  );
  const symbols = spawnSync('nm', ['--defined-only', ...options, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  }).stdout;
  const places = new Map<string, number>();
  for (const [, hex = '', name = ''] of symbols.matchAll(/^(\w+) [tTwW] ([^@\n]+)/gm)) {
    const address = Number.parseInt(hex, 16);
    for (const [offset = 0, start = 0, size = 0] of loads)
      if (address >= start && address < start + size) places.set(name, address - start + offset);
  }
  return places;
}

const noPause = () => Promise.resolve();

function byName(found: readonly { name: string; offset: number }[]): Map<string, number> {
  return new Map(found.map(({ name, offset }) => [name, offset]));
}

test('functions that a library gives to others are found where nm and the program headers have them', () => {
  for (const style of ['gnu', 'sysv', 'both']) {
    const file = library(`${style}.so`, [`-Wl,--hash-style=${style}`]);
    const truth = placesByNm(file, ['-D']);
    const names = ['first', 'second', 'a_long_name_that_ends_in_first'];
    const found = byName(open(file).functions([...names, 'hidden', 'variable', 'imported', 'absent']));
    assert.deepEqual(found, new Map(names.map((name) => [name, truth.get(name)])));
  }
});

test('what nm says of node and of the OpenSSL in it is found there', () => {
  const names = ['SSL_read', 'SSL_write', 'SSL_read_ex', 'SSL_write_ex', 'SSL_free', 'BIO_write'];
  const truth = placesByNm(process.execPath, ['-D']);
  const expected = names.flatMap((name) => (truth.has(name) ? [[name, truth.get(name)] as const] : []));
  assert.deepEqual(byName(open(process.execPath).functions(names)), new Map(expected));
});

test('the full symbol table has functions that are not given to others, and names in the tail of longer ones', async () => {
  const file = library('symtab.so');
  const truth = placesByNm(file);
  const names = ['first', 'hidden', 'second'];
  const found = byName(await open(file).functionsBySymtab([...names, 'variable', 'absent'], noPause));
  assert.deepEqual(found, new Map(names.map((name) => [name, truth.get(name)])));
  assert.equal(spawnSync('strip', [file]).status, 0);
  assert.deepEqual(await open(file).functionsBySymtab(names, noPause), []);
});

test('a symbol that lies in data is no place for a probe', () => {
  const source = 'asm(".data\\n.globl trap\\n.type trap,@function\\ntrap: .byte 0xc3\\n.text");';
  assert.deepEqual(open(library('data.so', [], SOURCE + source)).functions(['trap']), []);
});

test('a symbol within a function is no place for a probe when the exception frames tell the beginnings', () => {
  const inside = `
    asm(".text\\n.globl around\\n.type around,@function\\naround:\\n.cfi_startproc\\nnop\\n"
        ".globl within\\n.type within,@function\\nwithin:\\nnop\\nret\\n.cfi_endproc\\n");`;
  const elf = open(library('within.so', [], SOURCE + inside));
  assert.deepEqual(
    elf.functions(['around', 'within', 'first']).map(({ name }) => name),
    ['around', 'first'],
  );
});

test('without exception frames the symbol table is believed', () => {
  const file = library('frameless.so', [
    '-fno-asynchronous-unwind-tables',
    '-fno-exceptions',
    '-nostdlib',
    '-Wl,--no-eh-frame-hdr',
  ]);
  assert.deepEqual(
    open(file)
      .functions(['first', 'second'])
      .map(({ name }) => name),
    ['first', 'second'],
  );
});

test('the libraries that a file needs are named', () => {
  const needed = open(library('needs.so', ['-Wl,--no-as-needed', '-lm'])).needed();
  assert.ok(needed.includes('libm.so.6') && needed.includes('libc.so.6'), needed.join());
});

test('texts are found in a section, also where two pieces of it meet', async () => {
  const letters = (at: number, text: string) => `[${at}] = ${[...text].map((each) => `'${each}'`).join()}`;
  const source = `const char hay[${3 << 20}] = { ${letters((1 << 20) - 7, 'NEEDLE')}, ${letters(5 << 19, 'TAIL')} };`;
  const elf = open(library('text.so', ['-nostdlib'], source));
  const data = elf.sections().find(({ name }) => name === '.rodata') ?? assert.fail('no .rodata');
  const search = async (texts: readonly string[], limit: number) => {
    const { found, whole } = await elf.search(data, texts, limit, noPause);
    return [[...found], whole];
  };
  assert.deepEqual(await search(['absent', 'NEEDLE\0', 'TAIL'], 1 << 30), [['NEEDLE\0', 'TAIL'], true]);
  assert.deepEqual(await search(['TAIL', 'NEEDLE\0'], 1 << 20), [['NEEDLE\0'], false]);
  assert.deepEqual(await search(['absent'], 1 << 30), [[], true]);
});

test('what is no ELF file for this machine is none', () => {
  const bytes = readFileSync(library('whole.so'));
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    return ElfFile.open(memory(copy));
  };
  assert.ok(ElfFile.open(memory(bytes)));
  assert.equal(ElfFile.open(memory(Buffer.alloc(0))), undefined);
  assert.equal(ElfFile.open(memory(Buffer.from('#!/bin/sh\n'.repeat(20)))), undefined);
  assert.equal(changed(4, 1), undefined, '32 bits');
  assert.equal(changed(5, 2), undefined, 'big endian');
  assert.equal(changed(16, 1), undefined, 'an object file');
  assert.equal(changed(18, 8), undefined, 'MIPS');
});

/** A file in memory that counts what is read of it. */
function memory(bytes: Buffer, count = { read: 0 }): ByteSource {
  return {
    read(offset, length) {
      assert.ok(length >= 0 && length <= 64 << 20, `a read of ${length} bytes`);
      const part = offset >= 0 ? bytes.subarray(offset, offset + length) : Buffer.alloc(0);
      count.read += part.length;
      return part;
    },
  };
}

test('a file with any bytes changed is read without a fault, within bounds, and only code is found in it', async () => {
  const file = library('fuzz.so');
  const bytes = readFileSync(file);
  const headers = 64 + 56 * bytes.readUInt16LE(56);
  const names = ['first', 'second', 'hidden'];
  // Where what tells other places lies: the headers, and the tables they point to.
  const place = fc.oneof(
    { weight: 3, arbitrary: fc.nat(headers - 1) },
    { weight: 3, arbitrary: fc.nat(bytes.length - 1) },
    { weight: 2, arbitrary: fc.integer({ min: bytes.readUInt32LE(40), max: bytes.length - 1 }) },
  );
  const change = fc.tuple(place, fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 127, 128, 255)));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 24 }), fc.nat(), async (changes, cut) => {
      const copy = Buffer.from(bytes).subarray(0, cut % 4 ? bytes.length : cut % bytes.length);
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      const count = { read: 0 };
      const elf = ElfFile.open(memory(copy, count));
      if (!elf) return;
      const found = [...elf.functions(names), ...(await elf.functionsBySymtab(names, noPause))];
      for (const { offset } of found) assert.ok(Number.isSafeInteger(offset) && offset >= 0);
      elf.needed();
      elf.compilers();
      for (const section of elf.sections().slice(0, 40))
        await elf.search(section, ['first'], 1 << 20, noPause);
      assert.ok(count.read < 200 * bytes.length + (1 << 20), `${count.read} bytes read`);
    }),
    { numRuns: 400 },
  );
});

test('a chain of symbols that never ends is given up', () => {
  const file = library('chain.so', ['-Wl,--hash-style=sysv']);
  const bytes = readFileSync(file);
  const section = open(file)
    .sections()
    .find(({ name }) => name === '.hash');
  assert.ok(section);
  const buckets = bytes.readUInt32LE(section.offset);
  const chains = bytes.readUInt32LE(section.offset + 4);
  // Every symbol is followed by itself.
  for (let index = 0; index < chains; index++)
    bytes.writeUInt32LE(index, section.offset + 8 + 4 * (buckets + index));
  writeFileSync(file, bytes);
  assert.deepEqual(open(file).functions(['absent']), []);
});
