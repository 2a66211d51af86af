// SPDX-License-Identifier: Apache-2.0
/** The TLS peer in C (test/peers/tls-calls.c), and what has to be seen of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NODE16 } from './http-stage.ts';
import { type CaptureResult, ROOT } from './mcpspy.ts';
import { COMPILER, compiled } from './mover.ts';

const peer = (name: string) => join(ROOT, 'test', 'peers', name);
const BORINGSSL = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/android`;
/** As a library: its main() under another name. */
const LIBRARY = ['-shared', '-fPIC', '-Dmain=tls_calls'];

const addOn = (node: string) => ['-shared', '-fPIC', `-I${join(node, '../../include/node')}`];

/** So many symbols take long to be searched. */
const MANY_SYMBOLS = `
  .macro symbol
  nobody_asks_for_this_one_\\@:
  .endm
  .rept 400000
  symbol
  .endr
  .byte 0
  .section .note.GNU-stack
`;

const LINKAGES = {
  dynamic: { source: 'tls-calls.c', before: [], after: ['-lssl', '-lcrypto'] },
  static: { source: 'tls-calls.c', before: ['-static'], after: ['-lssl', '-lcrypto'] },
  /** The same with many symbols. */
  large: { source: 'tls-calls.c', before: ['-static'], after: ['-lssl', '-lcrypto'] },
  boringssl: {
    source: 'tls-calls.c',
    before: ['-I/usr/include/android'],
    after: [`-L${BORINGSSL}`, `-Wl,-rpath,${BORINGSSL}`, '-l:libssl.so.0', '-l:libcrypto.so.0'],
  },
  /** An add-on of the Node that runs the tests, and of the old one. */
  node: { source: 'tls-calls-node.c', before: addOn(process.execPath), after: [] },
  node16: { source: 'tls-calls-node.c', before: addOn(NODE16), after: [] },
  /** A library that needs the machine's libssl, and one that has its own inside, without symbols. */
  library: { source: 'tls-calls.c', before: LIBRARY, after: ['-lssl', '-lcrypto'] },
  stripped: {
    source: 'tls-calls.c',
    before: [...LIBRARY, '-s', '-Wl,--exclude-libs,ALL', '-Wl,-Bsymbolic'],
    after: ['-l:libssl.a', '-l:libcrypto.a'],
  },
  /** Loads such libraries. */
  late: { source: 'tls-late.c', before: [], after: [] },
} as const;

/** Compiles it into `directory`. @returns what the compiler made; `undefined` where there is no static OpenSSL. */
export function compileTlsCalls(
  directory: string,
  linkage: keyof typeof LINKAGES = 'dynamic',
  [compiler, ...options] = COMPILER,
): string | undefined {
  const ready = compiled(`tls-calls-${linkage}`);
  if (ready) return ready;
  const program = join(directory, `tls-calls-${linkage}`);
  const { source, before, after } = LINKAGES[linkage];
  const sources = [peer(source)];
  if (linkage === 'large') {
    const symbols = join(directory, 'symbols.s');
    writeFileSync(symbols, MANY_SYMBOLS);
    sources.push(symbols);
  }
  const args = [...options, '-O2', ...before, '-o', program, ...sources, ...after];
  const { status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (['static', 'large', 'stripped'].includes(linkage) && status !== 0) return undefined;
  assert.equal(status, 0, stderr);
  return program;
}

/** The texts that it sends for these sizes, requests and responses in turn. */
export function textsOf(sizes: readonly number[], firstId = 0): string[] {
  return sizes.flatMap((size, index) => {
    const text = 'x'.repeat(size);
    const id = firstId + index;
    return [
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"text":"${text}"}}}`,
      `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"${text}"}]}}`,
    ];
  });
}

/** The ports of the client and of the server, as it says them itself: one pair a connection. */
export function portsOf(output: string): { client: number; server: number }[] {
  return [...output.matchAll(/^ports (\d+) (\d+)$/gm)].map(([, client, server]) => ({
    client: Number(client),
    server: Number(server),
  }));
}

/** Every message once, in order, in the library's clear text, between the ports that were used; nothing lost. */
export function assertTlsMessages(
  capture: CaptureResult,
  texts: readonly string[],
  connections: readonly { client: number; server: number }[],
  library = 'OpenSSL',
): void {
  assert.deepEqual(
    capture.messages.map((line) => line['raw']),
    texts,
  );
  const perConnection = texts.length / connections.length;
  for (const [index, line] of capture.messages.entries()) {
    const ports = connections[Math.floor(index / perConnection)];
    const transport = line['http_transport'];
    assert.equal(transport.tls, library);
    const ends = [transport.local, transport.remote];
    const expected = [`127.0.0.1:${ports?.client}`, `127.0.0.1:${ports?.server}`];
    assert.deepEqual(ends, line['type'] === 'request' ? expected : expected.reverse());
  }
  assert.deepEqual(capture.gaps, []);
  assert.deepEqual(capture.summary['losses'], {});
}
