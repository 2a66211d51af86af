// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openFile } from './mapped-files.ts';
import { likelyLibraries, longLook, quickLook, type TlsFile } from './tls-files.ts';
import { ACTION, atEntry, atReturn, cookieOf, TLS_FUNCTIONS } from './tls-functions.ts';

const directory = mkdtempSync(join(tmpdir(), 'mcpspy-tls-files-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A program or library from C. `options`: for gcc. */
function build(name: string, source: string, options: readonly string[] = ['-shared', '-fPIC']): string {
  const file = join(directory, name);
  const gcc = spawnSync('gcc', [...options, '-o', file, '-x', 'c', '-'], { input: source, encoding: 'utf8' });
  assert.equal(gcc.status, 0, gcc.stderr);
  return file;
}

/** Empty functions of these names. */
const define = (...names: readonly string[]) => names.map((name) => `void ${name}(void) {}`).join('\n');

function look(path: string): TlsFile {
  const open = openFile(path) ?? assert.fail(path);
  const file = quickLook(open);
  closeSync(open.fd);
  return file;
}

async function lookLong(path: string): Promise<TlsFile> {
  const open = openFile(path) ?? assert.fail(path);
  const file = await longLook(open, () => Promise.resolve());
  closeSync(open.fd);
  return file;
}

const nested = (file: TlsFile) => file.probes?.entry.every(({ cookie }) => ((cookie >> 32n) & 1n) === 1n);

test("the machine's own libraries are recognised by their functions", () => {
  const libraries = likelyLibraries();
  const found = libraries.flatMap((path) => look(path).libraries.map(({ library }) => library));
  assert.ok(found.includes('OpenSSL'), libraries.join());
  const crypto = look(libraries.find((path) => path.includes('libcrypto.so')) ?? assert.fail('no libcrypto'));
  assert.deepEqual(crypto.libraries, [], 'libcrypto alone is no TLS');
  assert.equal(crypto.probes?.ciphertext.length, 1);
});

test('a library is what its functions are, whatever its name', () => {
  const openssl = look(build('something.so', define('SSL_read', 'SSL_write', 'SSL_new', 'BIO_write')));
  assert.deepEqual(openssl.libraries, [{ library: 'OpenSSL', readable: true }]);
  assert.deepEqual(
    [openssl.probes?.entry.length, openssl.probes?.return.length, openssl.probes?.ciphertext.length],
    [2, 3, 1],
  );
  const gnutls = look(build('libssl.so', define('gnutls_record_recv', 'gnutls_record_send')));
  assert.deepEqual(gnutls.libraries, [{ library: 'GnuTLS', readable: true }]);
  // A program in Rust gives only those to others that it calls itself.
  const part = look(build('part.so', define('SSL_read_ex', 'SSL_write_ex')));
  assert.deepEqual(part.libraries, [{ library: 'OpenSSL', readable: true }]);
  const half = look(build('half.so', define('SSL_read')));
  assert.deepEqual(half.libraries, []);
});

test('BoringSSL is told from OpenSSL, also to the kernel programs', () => {
  const file = look(build('boring-own.so', define('SSL_read', 'SSL_write', 'SSL_CTX_set_grease_enabled')));
  assert.deepEqual(file.libraries, [{ library: 'BoringSSL', readable: true }]);
  for (const { cookie } of file.probes?.entry ?? []) assert.equal((cookie >> 24n) & 0xffn, 3n);
  assert.equal(file.probes?.entry.length, 2);
});

test('two libraries in one file are both told', async () => {
  const both = look(build('both.so', define('SSL_read', 'SSL_write', 's2n_recv')));
  assert.deepEqual(
    both.libraries.map(({ library, readable }) => [library, readable]),
    [
      ['OpenSSL', true],
      ['s2n-tls', false],
    ],
  );
  // As rustup has it: functions of OpenSSL for others to use, and rustls, which leaves only its name.
  const source = `${define('SSL_read_ex', 'SSL_write_ex')}
    asm(".ident \\"rustc version 1.90.0\\"");
    const char text[] = "/registry/src/x/rustls-0.23.1/src/conn.rs";`;
  const rust = build('rust.so', source);
  assert.equal(look(rust).more, 'search');
  assert.ok(look(rust).probes, 'the probes do not wait for it');
  const found = await lookLong(rust);
  assert.deepEqual(
    found.libraries.map(({ library, readable }) => [library, readable]),
    [
      ['OpenSSL', true],
      ['rustls', false],
    ],
  );
});

test("where ciphertext cannot be seen on its way, the socket is told by the library's own calls", () => {
  assert.equal(nested(look(build('gnutls.so', define('gnutls_record_recv', 'gnutls_record_send')))), true);
  assert.equal(nested(look(build('boring.so', define('SSL_read', 'SSL_write')))), true);
  assert.equal(nested(look(build('own.so', define('SSL_read', 'SSL_write', 'BIO_write')))), false);
  const libssl = likelyLibraries().find((path) => /libssl\.so/.test(path)) ?? assert.fail('no libssl');
  assert.equal(nested(look(libssl)), false);
});

test('libraries that cannot be read are named, with a reason', () => {
  for (const [name, library] of [
    ['mbedtls_ssl_read', 'Mbed TLS'],
    ['wolfSSL_read', 'wolfSSL'],
    ['s2n_recv', 's2n-tls'],
    ['SSL_ImportFD', 'NSS'],
    ['JNI_CreateJavaVM', 'Java'],
  ] as const) {
    const [told, ...others] = look(build(`${name}.so`, define(name))).libraries;
    assert.equal(told?.library, library);
    assert.equal(told?.readable, false);
    assert.ok(told?.reason);
    assert.deepEqual(others, []);
  }
});

test('functions that only the full symbol table has are found by the long look', async () => {
  const source = `${define('SSL_read', 'SSL_write')} int main(void) { return 0; }`;
  const program = build('program', source, []);
  assert.deepEqual(look(program), { probes: undefined, libraries: [], more: 'search' });
  const file = await lookLong(program);
  assert.deepEqual(file.libraries, [{ library: 'OpenSSL', readable: true }]);
  assert.equal(file.probes?.return.length, 2);
});

test('what a library has left in the data of a stripped program says which it is', async () => {
  for (const [text, library] of [
    ['OpenSSL 1.1.1 (compatible; BoringSSL)', 'BoringSSL'],
    ['../../vendor/boringssl/ssl/ssl_lib.cc', 'BoringSSL'],
    ['../ssl/ssl_lib.c', 'OpenSSL'],
    ['/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/rustls-0.23.12/src/conn.rs', 'rustls'],
    ['/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/rustls-pki-types-1.1/src/a.rs', undefined],
    ['my_ssl/ssl_lib.code', undefined],
  ] as const) {
    const source = `const char text[] = "${text}"; int main(int c, char **v) { return text[c]; }`;
    const program = build(`has-${library}`, source, ['-s']);
    assert.equal(look(program).more, 'search');
    const { libraries, more } = await lookLong(program);
    assert.deepEqual(
      libraries.map((each) => [each.library, each.readable]),
      library ? [[library, false]] : [],
      text,
    );
    assert.ok(libraries.every(({ reason }) => reason));
    assert.equal(more, 'nothing');
  }
});

test('what is too large to be searched is not said to have nothing', async () => {
  const source = `const char text[${3 << 20}] = { 1 }; int main(int c, char **v) { return text[c]; }`;
  const open = openFile(build('large', source, ['-s'])) ?? assert.fail();
  const { more } = await longLook(open, () => Promise.resolve(), 1 << 20);
  closeSync(open.fd);
  assert.equal(more, 'unknown');
});

test("Go's TLS is recognised by the table of its functions, wherever its linker has put that", async () => {
  const sections = [['.gopclntab'], ['.rodata', '.go.buildinfo'], ['.data.rel.ro', '.go.buildinfo']];
  for (const [index, [table, ...others]] of sections.entries()) {
    const more = others.map(
      (name) => `__attribute__((section("${name}"))) const char info[] = "Go buildinf:";`,
    );
    const source = (text: string) => `
      __attribute__((section("${table}"))) const char lines[] = "${text}";
      ${more.join('\n')} int main(void) { return 0; }`;
    const { libraries } = await lookLong(build(`go${index}`, source('crypto/tls.(*Conn).Write'), ['-s']));
    assert.deepEqual(
      libraries.map(({ library, readable }) => [library, readable]),
      [['Go crypto/tls', false]],
      table,
    );
    const without = await lookLong(build(`go-without${index}`, source('net.(*conn).Write'), ['-s']));
    assert.deepEqual(without.libraries, [], table);
  }
  const renamed = join(directory, 'go-renamed');
  const rename = ['--rename-section', '.gopclntab=.data.rel.ro.gopclntab', join(directory, 'go0'), renamed];
  assert.equal(spawnSync('objcopy', rename).status, 0);
  assert.equal((await lookLong(renamed)).libraries[0]?.library, 'Go crypto/tls');
});

test('a real program in Go is recognised', async () => {
  const { libraries } = await lookLong('/usr/bin/gron');
  assert.deepEqual(
    libraries.map(({ library }) => library),
    ['Go crypto/tls'],
  );
});

test('a program without TLS has nothing to tell, nor has a file that is no program', async () => {
  assert.deepEqual(await lookLong(build('plain', 'int main(void) { return 0; }', [])), {
    probes: undefined,
    libraries: [],
    more: 'nothing',
  });
  assert.deepEqual(look('/etc/passwd'), { probes: undefined, libraries: [], more: 'nothing' });
});

test('a cookie says of each function what the kernel programs need, and no two of a rank call each other', () => {
  for (const each of TLS_FUNCTIONS.values()) {
    const cookie = cookieOf(each, false);
    assert.equal(Number(cookie & 0xffn), each.rank);
    assert.equal(Number((cookie >> 8n) & 0xffn), ACTION[each.action]);
    assert.equal(cookie >> 32n, 0n);
    assert.equal(cookieOf(each, true) >> 32n, 1n);
    assert.ok(atEntry(each) || atReturn(each));
  }
  const rank = (name: string) => TLS_FUNCTIONS.get(name)?.rank ?? assert.fail(name);
  for (const [outer, inner] of [
    ['SSL_write_early_data', 'SSL_write_ex'],
    ['SSL_write_ex', 'SSL_write_ex2'],
    ['SSL_write_ex', 'SSL_write'],
    ['SSL_read_early_data', 'SSL_read_ex'],
    ['SSL_read_ex', 'SSL_read'],
    ['gnutls_record_send', 'gnutls_record_send2'],
    ['gnutls_record_recv_seq', 'gnutls_record_recv'],
    ['SSL_connect', 'SSL_do_handshake'],
  ] as const)
    assert.ok(rank(outer) > rank(inner), `${outer} calls ${inner}`);
});
