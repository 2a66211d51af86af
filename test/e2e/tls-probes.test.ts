// SPDX-License-Identifier: Apache-2.0
/** Probes in TLS libraries: by each function, whatever the library is linked to. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, test } from 'node:test';
import { makeCertificate } from '../support/http-stage.ts';
import { cannotCapture, captureRun, scratch } from '../support/mcpspy.ts';
import { assertTlsMessages, compileTlsCalls, portsOf, textsOf } from '../support/tls-calls.ts';

const skip = cannotCapture;
/** Around the sizes of TLS records, of the records of the ring, and of one piece of 64 KiB. */
const SIZES = [0, 1, 127, 1000, 4096, 16_384, 65_400, 65_536, 300_000];
const directory = scratch();
const { certificate, key } = makeCertificate();
let dynamic = '';

const command = (program: string, way: string, sizes: readonly number[] = SIZES) => [
  program,
  certificate,
  key,
  way,
  ...sizes.map(String),
];

before(() => {
  if (!skip) dynamic = compileTlsCalls(directory, 'dynamic') ?? '';
});

for (const [way, title] of [
  ['plain', 'SSL_read and SSL_write'],
  ['ex', 'SSL_read_ex and SSL_write_ex'],
  ['memory', 'memory BIOs, so that the library never sees the socket'],
  ['hasty', 'a server that is gone before its client has done sending'],
  ['jump', 'a call left by longjmp, which does not keep the next ones from being seen'],
] as const)
  test(`the clear text is read through ${title}, in a child that was forked, too`, { skip }, async () => {
    const capture = await captureRun(command(dynamic, way));
    assert.equal(capture.code, 0, capture.stderr);
    assertTlsMessages(capture, textsOf(SIZES), portsOf(capture.stdout));
  });

test('an SSL object that is cleared and used again is another connection', { skip }, async () => {
  const sizes = [10, 100, 1000, 10_000];
  const capture = await captureRun(command(dynamic, 'twice', sizes));
  assert.equal(capture.code, 0, capture.stderr);
  const connections = portsOf(capture.stdout);
  assert.equal(connections.length, 2);
  assertTlsMessages(capture, textsOf(sizes), connections);
});

test('a program with OpenSSL linked in, and its symbols in .symtab only', { skip }, async (context) => {
  const program = compileTlsCalls(directory, 'static');
  if (!program) return context.skip('no static OpenSSL here');
  for (const way of ['ex', 'memory']) {
    const capture = await captureRun(command(program, way));
    assert.equal(capture.code, 0, capture.stderr);
    assertTlsMessages(capture, textsOf(SIZES), portsOf(capture.stdout));
  }
});

test('a stripped program is not probed, and the summary says why', { skip }, async (context) => {
  const program = compileTlsCalls(directory, 'static');
  if (!program) return context.skip('no static OpenSSL here');
  assert.equal(spawnSync('strip', ['-o', `${program}-stripped`, program]).status, 0);
  const capture = await captureRun(command(`${program}-stripped`, 'plain', [10]));
  assert.equal(capture.code, 0, capture.stderr);
  assert.deepEqual(capture.messages, []);
  const told: { library: string; reason: string }[] = capture.summary['undecoded_tls'];
  assert.ok(told.some(({ library, reason }) => library === 'OpenSSL' && reason.includes('stripped')));
});

test('probes stay in a process through exec', { skip }, async () => {
  const once = command(dynamic, 'plain', [10]).map((word) => `'${word}'`);
  const capture = await captureRun(['/bin/sh', '-c', `exec ${once.join(' ')}`]);
  assert.equal(capture.code, 0, capture.stderr);
  assertTlsMessages(capture, textsOf([10]), portsOf(capture.stdout));
});
