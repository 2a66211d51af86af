// SPDX-License-Identifier: Apache-2.0
/** What TLS a file holds, found by its symbols and, where there are none, by what libraries leave in their data. */
import { closeSync } from 'node:fs';
import { ElfFile, type FunctionPlace, type Section } from './elf.ts';
import { fileSource } from './elf-bytes.ts';
import { type OpenFile, openFile } from './mapped-files.ts';
import type { TlsLibrary } from './messages.ts';
import { atEntry, atReturn, BORINGSSL_ONLY, cookieOf, TLS_FUNCTIONS } from './tls-functions.ts';
import type { Probe } from './uprobes.ts';

/** What is to be probed in a file. */
export interface TlsProbeSet {
  readonly entry: readonly Probe[];
  readonly return: readonly Probe[];
  /** Where ciphertext passes. Hit for every record, and of use only until a connection's socket is known. */
  readonly ciphertext: readonly Probe[];
}

export interface TlsFile {
  /** `undefined`: nothing that we probe. */
  readonly probes: TlsProbeSet | undefined;
  /** Those that can be told, each once; none in files without TLS, and in those that only help. */
  readonly libraries: readonly TlsLibrary[];
  /**
   * May there be more in it? `search`: a long look will tell. `unknown`: it was too large to be looked at as a
   * whole.
   */
  readonly more: 'nothing' | 'search' | 'unknown';
}

/** Where the dynamic linker keeps the paths of the libraries it knows, separated by NUL (ldconfig(8)). */
const LINKER_CACHE = '/etc/ld.so.cache';
const MAX_LINKER_CACHE = 4 << 20;

/** Paths of the machine's libraries that are likely to be wanted soon. What they are, their symbols tell. */
export function likelyLibraries(): string[] {
  const open = openFile(LINKER_CACHE);
  if (!open) return [];
  const text = fileSource(open.fd).read(0, MAX_LINKER_CACHE).toString('latin1');
  closeSync(open.fd);
  return [...new Set(text.match(/\/[^\0]*\/lib(?:ssl|crypto|gnutls)[^\0/]*/g) ?? [])];
}

const NOTHING: TlsFile = { probes: undefined, libraries: [], more: 'nothing' };

const NOT_SUPPORTED = 'not supported';
/** Libraries that we cannot read, by a function that each has. */
const UNREAD: ReadonlyMap<string, readonly [library: string, reason: string]> = new Map([
  ['SSL_ImportFD', ['NSS', NOT_SUPPORTED]],
  ['mbedtls_ssl_read', ['Mbed TLS', NOT_SUPPORTED]],
  ['wolfSSL_read', ['wolfSSL', NOT_SUPPORTED]],
  ['s2n_recv', ['s2n-tls', NOT_SUPPORTED]],
  ['JNI_CreateJavaVM', ['Java', 'its TLS is written in Java, which has no functions that could be probed']],
]);

const SYMBOLS: readonly string[] = [...TLS_FUNCTIONS.keys(), ...BORINGSSL_ONLY, ...UNREAD.keys()];

/** Of one section. */
const SCAN_LIMIT = 256 << 20;

const STRIPPED = 'built into the program and stripped of its symbols';
/** What is left in the read-only data of a program that has a library built in, without symbols. */
const TRACES: readonly { readonly text: string; readonly library: string; readonly reason: string }[] = [
  // Where an error was raised. One is the beginning of the other, but for the end of the string.
  { text: 'ssl/ssl_lib.cc\0', library: 'BoringSSL', reason: STRIPPED },
  { text: 'ssl/ssl_lib.c\0', library: 'OpenSSL', reason: STRIPPED },
  { text: '(compatible; BoringSSL)', library: 'BoringSSL', reason: STRIPPED },
  // The crate itself, not those beside it, such as rustls-pki-types. Where it panics.
  { text: '/rustls-0.', library: 'rustls', reason: 'has no functions that could be probed' },
];

const GO_TLS = 'crypto/tls.(*Conn).Write';
const GO: TlsLibrary = {
  library: 'Go crypto/tls',
  readable: false,
  reason: 'its functions cannot be probed like those of C',
};

/** What the symbols for dynamic linking tell: a few reads. */
export function quickLook(file: OpenFile): TlsFile {
  const elf = ElfFile.open(fileSource(file.fd));
  if (!elf) return NOTHING;
  const { probes, libraries } = bySymbols(elf, elf.functions(SYMBOLS));
  // What has one is seldom worth a search for another; programs of several languages are.
  const done = libraries.length > 0 && !isOfSeveralLanguages(elf);
  return { probes, libraries, more: done ? 'nothing' : 'search' };
}

/** Searches the file for its full symbol table and for traces. In small steps: other work goes on in between. */
export async function longLook(
  file: OpenFile,
  pause: () => Promise<void>,
  limit = SCAN_LIMIT,
): Promise<TlsFile> {
  const elf = ElfFile.open(fileSource(file.fd));
  if (!elf) return NOTHING;
  const places = elf.functions(SYMBOLS);
  for (const place of await elf.functionsBySymtab(SYMBOLS, pause))
    if (!places.some(({ offset }) => offset === place.offset)) places.push(place);
  const { probes, libraries } = bySymbols(elf, places);
  const add = (library: TlsLibrary) => {
    if (!libraries.some((each) => each.library === library.library)) libraries.push(library);
  };
  let more: TlsFile['more'] = 'nothing';
  const search = async (section: Section, texts: readonly string[]) => {
    const { found, whole } = await elf.search(section, texts, limit, pause);
    if (!whole) more = 'unknown';
    return found;
  };
  const goSections = sectionsOfGo(elf);
  for (const section of goSections) if ((await search(section, [GO_TLS])).size) add(GO);
  const data = section(elf, '.rodata');
  if (data && !goSections.includes(data)) {
    const found = await search(
      data,
      TRACES.map(({ text }) => text),
    );
    for (const { text, library, reason } of TRACES)
      if (found.has(text)) add({ library, readable: false, reason });
  }
  return { probes, libraries, more };
}

function section(elf: ElfFile, name: string): Section | undefined {
  return elf.sections().find((each) => each.name === name);
}

/** Where a program of Go keeps the names of its functions; where the linker was another, somewhere in its data. */
function sectionsOfGo(elf: ElfFile): Section[] {
  const table = elf.sections().find(({ name }) => name.endsWith('.gopclntab'));
  if (table) return [table];
  if (!section(elf, '.go.buildinfo')) return [];
  return [section(elf, '.data.rel.ro'), section(elf, '.rodata')].filter((each) => each !== undefined);
}

/** By what compilers leave: is a part of it written in Go, or in Rust? */
function isOfSeveralLanguages(elf: ElfFile): boolean {
  return sectionsOfGo(elf).length > 0 || elf.compilers().includes('rustc version');
}

function bySymbols(
  elf: ElfFile,
  places: readonly FunctionPlace[],
): { probes: TlsProbeSet | undefined; libraries: TlsLibrary[] } {
  const names = new Set(places.map(({ name }) => name));
  const does = (library: string, action: string) =>
    [...names].some((name) => {
      const each = TLS_FUNCTIONS.get(name);
      return each?.library === library && each.action === action;
    });
  const libraries: TlsLibrary[] = [];
  const isBoring = BORINGSSL_ONLY.some((name) => names.has(name));
  if (does('openssl', 'reads') && does('openssl', 'writes'))
    libraries.push({ library: isBoring ? 'BoringSSL' : 'OpenSSL', readable: true });
  if (does('gnutls', 'reads') && does('gnutls', 'writes'))
    libraries.push({ library: 'GnuTLS', readable: true });
  for (const [name, [library, reason]] of UNREAD)
    if (names.has(name)) libraries.push({ library, readable: false, reason });
  return { probes: probesOf(elf, places, isBoring), libraries };
}

/** `undefined` when none of the functions is there. */
function probesOf(
  elf: ElfFile,
  places: readonly FunctionPlace[],
  isBoring: boolean,
): TlsProbeSet | undefined {
  // Where no BIO_write can be probed, the socket has to be told otherwise; GnuTLS has none.
  const ciphertextSeen =
    places.some(({ name }) => name === 'BIO_write') ||
    elf.needed().some((library) => library.startsWith('libcrypto.so'));
  const probes = places.flatMap(({ name, offset }) => {
    const each = TLS_FUNCTIONS.get(name);
    if (!each) return [];
    const library = each.library === 'openssl' && isBoring ? 'boringssl' : each.library;
    const cookie = cookieOf(each, each.library === 'gnutls' || !ciphertextSeen, library);
    return [{ each, probe: { offset, cookie } }];
  });
  if (!probes.length) return undefined;
  return {
    entry: probes
      .filter(({ each }) => atEntry(each) && each.action !== 'ciphertext')
      .map(({ probe }) => probe),
    ciphertext: probes.filter(({ each }) => each.action === 'ciphertext').map(({ probe }) => probe),
    return: probes.filter(({ each }) => atReturn(each)).map(({ probe }) => probe),
  };
}

/** The libraries in some files: each once, and twice if one of its kind can be read and another cannot. */
export function librariesIn(files: Iterable<Pick<TlsFile, 'libraries'>>): TlsLibrary[] {
  const each = new Map<string, TlsLibrary>();
  for (const { libraries } of files)
    for (const library of libraries) {
      const key = `${library.readable} ${library.library}`;
      if (!each.has(key)) each.set(key, library);
    }
  return [...each.values()];
}
