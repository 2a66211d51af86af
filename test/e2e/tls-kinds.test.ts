// SPDX-License-Identifier: Apache-2.0
/** TLS libraries of every kind that is promised, by each of their functions; and what is said of the others. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import {
  makeCertificate,
  NODE16,
  oldNodeClient,
  oldNodeServer,
  perform,
  plainServer,
  pythonClient,
  pythonServer,
} from '../support/http-stage.ts';
import { cannotCapture, captureRun, NODE, scratch } from '../support/mcpspy.ts';
import { assertTlsMessages, compileTlsCalls, portsOf, textsOf } from '../support/tls-calls.ts';

const skip = cannotCapture;
const SIZES = [0, 1, 1000, 4096, 16_000, 65_536, 300_000, 5];
/** OpenSSL takes 16 KiB of early data at most: the fifth message. */
const EARLY_SIZES = [0, 1, 16_384, 300_000, 15_000, 1, 65_536, 5];
const directory = scratch();
const { certificate, key, env } = makeCertificate();
const programs = { boringssl: '', node: '', node16: '', dynamic: '' };

before(() => {
  if (skip) return;
  for (const linkage of ['boringssl', 'node', 'node16', 'dynamic'] as const)
    programs[linkage] = compileTlsCalls(directory, linkage) ?? '';
});

/** The command of a peer, but for its way and sizes. */
function command(kind: keyof typeof programs): string[] {
  const file = programs[kind];
  const load = ['-e', `process.dlopen(module, '${file}')`, '--'];
  const program = kind === 'node' ? [NODE, ...load] : kind === 'node16' ? [NODE16, ...load] : [file];
  return [...program, certificate, key];
}

async function run(kind: keyof typeof programs, way: string, sizes: readonly number[]) {
  const capture = await captureRun([...command(kind), way, ...sizes.map(String)]);
  assert.equal(capture.code, 0, capture.stderr);
  return capture;
}

const MEANINGS = {
  plain: 'SSL_read and SSL_write',
  ex: 'SSL_read_ex and SSL_write_ex',
  ex2: 'SSL_write_ex2, which only OpenSSL from 3.3 on has',
  memory: 'memory BIOs',
  jump: 'calls left by longjmp',
  twice: 'an SSL object that is cleared and used again',
  early: 'SSL_write_early_data and SSL_read_early_data on a connection that is resumed',
  renegotiate: 'TLS 1.2, with a new handshake before each request',
} as const;

for (const [kind, name, library, ways] of [
  ['boringssl', 'BoringSSL as a library', 'BoringSSL', ['plain', 'memory', 'jump', 'twice']],
  [
    'node16',
    'OpenSSL 1.1.1, inside Node 16',
    'OpenSSL',
    ['plain', 'ex', 'memory', 'twice', 'early', 'renegotiate'],
  ],
  [
    'node',
    "the OpenSSL inside today's Node",
    'OpenSSL',
    ['plain', 'ex', 'ex2', 'twice', 'early', 'renegotiate'],
  ],
  ['dynamic', 'OpenSSL 3 as a library', 'OpenSSL', ['early', 'renegotiate']],
] as const)
  for (const way of ways)
    test(`${name}: ${MEANINGS[way]}`, { skip }, async () => {
      const sizes = way === 'early' ? EARLY_SIZES : SIZES;
      const capture = await run(kind, way, sizes);
      const connections = portsOf(capture.stdout);
      assert.equal(connections.length, way === 'early' || way === 'twice' ? 2 : 1);
      assertTlsMessages(capture, textsOf(sizes), connections, library);
    });

test('an SSL_sendfile that moves nothing, as where the kernel has no TLS, is not taken for anything', {
  skip,
}, async (context) => {
  const capture = await run('dynamic', 'sendfile', SIZES);
  const sent = [...capture.stdout.matchAll(/^sendfile (\d+)$/gm)].map(([, bytes]) => Number(bytes));
  assert.equal(sent.length, 2 * SIZES.length);
  if (sent.some((bytes) => bytes > 0)) return context.skip('this kernel has TLS');
  assertTlsMessages(capture, textsOf(SIZES), portsOf(capture.stdout));
});

const TLS = 'https://127.0.0.1:{server}/mcp';

for (const [name, steps] of [
  ['at both ends', [oldNodeServer(env), oldNodeClient(TLS, env)]],
  ['as a client, of a server in Python', [pythonServer(env), oldNodeClient(TLS, env)]],
  ['as a server, for a client in Python', [oldNodeServer(env), pythonClient('http_client.py', TLS, env)]],
  ["as a server, for asyncio's memory BIOs", [oldNodeServer(env), pythonClient('http_asyncio.py', TLS, env)]],
] as const)
  test(`node:https on OpenSSL 1.1.1, ${name}: every message once`, { skip }, async () => {
    const { capture, truth } = await perform(steps);
    const matches = assertFaithfulHttp(capture, truth);
    assert.ok(matches.length > 0);
    assert.ok(matches.every(({ line }) => line['http_transport'].tls === 'OpenSSL'));
  });

interface Undecoded {
  readonly process: { readonly pid: number; readonly comm: string };
  readonly library: string;
  readonly reason: string;
  readonly connections: number;
  readonly hosts: readonly string[];
}

// It fails for the 405 that it gets, and is gone after some 10 ms.
const GO = { run: ['/bin/sh', '-c', 'gron --insecure https://localhost:{server}/mcp || true'] };

for (const [name, after] of [
  ['and its server, which is read, is not', [pythonClient('http_client.py', TLS, env)]],
  ['though all is over before it can have been searched', []],
] as const)
  test(`a program in Go is named with its library, ${name}`, { skip }, async () => {
    const { capture } = await perform([plainServer('http1', env), GO, ...after]);
    assert.equal(capture.code, 0, capture.stderr);
    const undecoded: Undecoded[] = capture.summary['undecoded_tls'];
    // Where processors are few, Python's probes may come late: that is told, too, and is not what this is about.
    const [only, ...others] = undecoded.filter(({ reason }) => !reason.includes('too late'));
    assert.deepEqual(others, []);
    assert.deepEqual(
      [only?.process.comm, only?.library, only?.connections, only?.hosts],
      ['gron', 'Go crypto/tls', 1, ['localhost']],
    );
    assert.match(only?.reason ?? '', /^its functions cannot be probed/);
  });

test('a process that has read TLS by one library and not by another is named for the second', {
  skip,
}, async (context) => {
  const stripped = compileTlsCalls(directory, 'stripped');
  if (!stripped) return context.skip('no static OpenSSL here');
  const late = compileTlsCalls(directory, 'late') ?? '';
  const library = compileTlsCalls(directory, 'library') ?? '';
  const args = [certificate, key, 'plain', '10', '1000'];
  const capture = await captureRun([late, `${library},${stripped},${library}`, ...args], { options: [] });
  assert.equal(capture.code, 0, capture.stderr);
  const [first, unread, last] = portsOf(capture.stdout);
  assert.ok(first && unread && last);
  // What the readable library carried is there, before and after.
  assertTlsMessages(capture, [...textsOf([10, 1000]), ...textsOf([10, 1000])], [first, last]);
  const told: Undecoded[] = capture.summary['undecoded_tls'];
  const client = told.find(({ reason }) => reason.includes('other TLS'));
  const children = told.filter((each) => each !== client && !each.reason.includes('too late'));
  assert.ok(client, capture.stderr);
  assert.deepEqual([client.library, client.connections, client.hosts], ['OpenSSL', 1, []]);
  assert.match(client.reason, /stripped of its symbols; other TLS of the process was read$/);
  // The child that served it has read nothing else; the other two were read.
  assert.deepEqual(
    children.map(({ library, connections, reason }) => [library, connections, reason.includes('other TLS')]),
    [['OpenSSL', 1, false]],
  );
  assert.match(capture.stderr, /^TLS that could not be read:\n {2}tls-calls-late\[\d+\] .*OpenSSL: /m);
});

test('a program that becomes another, with the same pid, is named for what it is then', {
  skip,
}, async () => {
  const script = `
import os, ssl, sys, time, urllib.request
# By then the library that has just been loaded is probed: this is not about who is quicker.
time.sleep(0.5)
context = ssl.create_default_context(cafile=os.environ["TLS_CERT"])
body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
head = {"content-type": "application/json", "mcp-protocol-version": "2025-11-25"}
request = urllib.request.Request(sys.argv[1], body, head)
urllib.request.urlopen(request, context=context).read()
os.execvp("gron", ["gron", "--insecure", sys.argv[1]])`;
  const { capture } = await perform([
    plainServer('http1', env),
    { run: ['/bin/sh', '-c', 'python3 -c "$SCRIPT" "$0" || true', TLS], env: { ...env, SCRIPT: script } },
  ]);
  assert.equal(capture.code, 0, capture.stderr);
  assert.equal(capture.messages.length, 2);
  const [only, ...others]: Undecoded[] = capture.summary['undecoded_tls'];
  assert.deepEqual(others, []);
  assert.deepEqual([only?.process.comm, only?.library, only?.connections], ['gron', 'Go crypto/tls', 1]);
});

test('a socket that is closed by its own last write, to a client that has hung up, is one connection, not two', {
  skip,
}, async () => {
  const script = `
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
if os.fork():
    connection, peer = listener.accept()
    while connection.recv(65536): pass
    # A record of TLS; the answer to it is a reset, before the call returns.
    connection.send(bytes.fromhex("1703030020") + bytes(32))
    os.wait()
else:
    client = socket.create_connection(listener.getsockname())
    client.send(bytes.fromhex("160301020001000201fc0303") + bytes(505))
    client.close()`;
  const capture = await captureRun(['python3', '-c', script]);
  assert.equal(capture.code, 0, capture.stderr);
  const told: Undecoded[] = capture.summary['undecoded_tls'];
  assert.deepEqual(
    told.map(({ connections }) => connections),
    [1, 1],
  );
});
