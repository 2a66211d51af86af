// SPDX-License-Identifier: Apache-2.0
/** GnuTLS at either end. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertExchanges, assertFaithfulHttp } from '../support/http-compare.ts';
import {
  type Certificate,
  makeCertificate,
  perform,
  plainServer,
  type Stage,
} from '../support/http-stage.ts';
import { seenBy } from '../support/http-truth.ts';
import { attach, cannotCapture, ROOT, scratch } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';
import { assertOrderly, call, INITIALIZE } from '../support/truth.ts';

const skip = cannotCapture;
const TLS = 'https://127.0.0.1:{server}/mcp';
const BODIES = [
  INITIALIZE,
  call(1, 'echo', { text: 'grüße 🌍' }),
  call(2, 'echo', { text: 'x'.repeat(100_000) }),
  call(3, 'echo', { text: 'y'.repeat(40_000) }),
  call(4, 'echo', { last: true }),
];

const wget = ({ certificate }: Certificate, body: string): Stage => ({
  command: { program: 'wget', url: TLS, options: [`--ca-certificate=${certificate}`], bodies: [body] },
});

/** Compiles test/peers/http-gnutls-server.c. */
function gnutlsServer({ certificate, key }: Certificate): Stage & { start: readonly string[] } {
  const program = join(scratch(), 'http-gnutls-server');
  const source = join(ROOT, 'test', 'peers', 'http-gnutls-server.c');
  const gcc = spawnSync('gcc', ['-O2', '-Wall', '-o', program, source, '-lgnutls'], { encoding: 'utf8' });
  assert.equal(gcc.status, 0, gcc.stderr);
  return {
    start: [program, certificate, key],
    listens: '{server}',
    env: { PORT: '{server}' },
    self: 'server',
  };
}

test('wget (GnuTLS) against node (OpenSSL): every message once', { skip }, async () => {
  const certificate = makeCertificate();
  const { capture, truth } = await perform([
    plainServer('http1', certificate.env),
    ...BODIES.map((body) => wget(certificate, body)),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  for (const { line } of matches) assert.match(line['http_transport'].tls, /gnutls|openssl/i);
});

test('curl (OpenSSL) and wget (GnuTLS) against a GnuTLS server that corks, cuts and pads its records', {
  skip,
}, async () => {
  const certificate = makeCertificate();
  const { capture, truth } = await perform([
    gnutlsServer(certificate),
    {
      command: {
        program: 'curl',
        url: TLS,
        options: [`cacert = ${certificate.certificate}`, 'http1.1', 'header = "expect:"'],
        bodies: BODIES,
      },
    },
    ...BODIES.map((body) => wget(certificate, body)),
  ]);
  assert.equal(capture.code, 0, capture.stderr);
  // The server keeps no account: what came out of TLS at the clients is what it put in.
  const atServer = seenBy(truth.peer('server'), 'server', truth.accounts());
  const matches = assertExchanges(capture.messages, truth.sightings(atServer));
  assertOrderly(capture);
  assert.equal(matches.length, 4 * BODIES.length);
  for (const { line, sighting } of matches) {
    const either = sighting.ends.client?.comm === 'curl' ? /gnutls|openssl/i : /gnutls/i;
    assert.match(line['http_transport'].tls, either);
  }
});

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as AddressInfo;
  await new Promise((resolve) => holder.close(resolve));
  return port;
}

async function listening(port: number): Promise<void> {
  for (let waited = 0; waited < patience(10_000); waited += 20) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    );
    socket.destroy();
    if (open) return;
    await sleep(20);
  }
  throw new Error(`nobody listens at ${port}`);
}

test('what is read and sent by each function of GnuTLS is seen where only the server is watched', {
  skip,
}, async () => {
  const own = makeCertificate();
  const directory = scratch();
  const port = await freePort();
  const [program = '', ...args] = gnutlsServer(own).start;
  const server = spawn(program, args, { env: { ...process.env, PORT: String(port) }, stdio: 'ignore' });
  try {
    await listening(port);
    const attached = await attach([server.pid ?? 0]);
    // One connection: the server counts its messages.
    const common = ['--silent', '--max-time', '20', '--http1.1', '--cacert', own.certificate];
    const requests = BODIES.map((body, index) => {
      const file = join(directory, `request${index}`);
      writeFileSync(file, body);
      const headers = ['-H', 'expect:', '-H', 'content-type: application/json'];
      const output = ['-o', join(directory, `answer${index}`)];
      return [...common, ...headers, ...output, '--data-binary', `@${file}`, `https://127.0.0.1:${port}/mcp`];
    });
    const curl = spawnSync(
      'curl',
      requests.flatMap((each, index) => (index ? ['--next', ...each] : ['--disable', ...each])),
    );
    assert.equal(curl.status, 0);
    server.kill();
    const capture = await attached.ended();
    assert.equal(capture.code, 0, capture.stderr);
    const answers = BODIES.map((_, index) => readFileSync(join(directory, `answer${index}`), 'utf8'));
    assert.deepEqual(
      capture.messages.map(({ raw }) => raw),
      BODIES.flatMap((body, index) => [body, answers[index]]),
    );
    for (const { http_transport: http, ...message } of capture.messages) {
      const end = http.is_request ? message['to'] : message['from'];
      assert.deepEqual([http.tls, end.pid], ['GnuTLS', server.pid]);
    }
    assert.deepEqual(capture.summary['losses'], {});
  } finally {
    server.kill('SIGKILL');
  }
});
