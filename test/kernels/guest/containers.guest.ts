// SPDX-License-Identifier: Apache-2.0
/** Containers, as far as the kernel knows them: namespaces for pids, mounts and network, and an overlay as root. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Certificate, makeCertificate } from '../../support/http-stage.ts';
import { HttpTruth } from '../../support/http-truth.ts';
import { type OutputLine, ROOT, scratch } from '../../support/mcpspy.ts';
import { ask, call, clientCommand, INITIALIZE, PYTHON, shellWords, Truth } from '../../support/truth.ts';
import { notInVm, openSlowly, watchMachine } from './guest.ts';

/** The same in each of them: they have a network each. */
const PORT = 8443;
const CONTAINERS = ['one', 'two'] as const;
const peer = (name: string) => join(ROOT, 'test', 'peers', name);

/** A shell command that notes the pid that the machine knows the process by, and becomes `command`. */
const introduced = (name: string, command: readonly string[]) =>
  `read -r pid rest </run/host-proc/self/stat; echo "$pid" >"$MCPSPY_TRUTH/${name}.pid"; exec ${shellWords(command)}`;

/** Its processes: a conversation over pipes, then one over HTTPS, by a client that reads the same libssl. */
function container(name: string, { certificate, key }: Certificate) {
  const truth = new Truth();
  // Of this test's folders only that of the accounts is seen inside.
  const [TLS_CERT, TLS_KEY] = [join(truth.directory, 'certificate.pem'), join(truth.directory, 'key.pem')];
  copyFileSync(certificate, TLS_CERT);
  copyFileSync(key, TLS_KEY);
  const stdio = clientCommand(truth, [
    ...openSlowly(truth, name, {}, (server) => ['sh', '-c', introduced('server', server)]),
    ...ask(name, call(1, 'echo', { container: name })),
    ...ask(name, call(2, 'fail')),
    { sleep: 0.5 },
    { close: name },
  ]);
  const bodies = [
    INITIALIZE,
    call(1, 'echo', { container: name }),
    call(2, 'echo', { text: 'ü'.repeat(30_000) }),
  ];
  const files = bodies.map((body, index) => {
    const file = join(truth.directory, `body-${index}`);
    writeFileSync(file, body);
    return file;
  });
  const post = (file: string) => [
    ...['-sS', '-o', '/dev/null', '--cacert', TLS_CERT],
    ...['-H', 'content-type: application/json', '--data-binary', `@${file}`, `https://127.0.0.1:${PORT}/mcp`],
  ];
  const curl = ['curl', ...files.flatMap((file, index) => [...(index ? ['--next'] : []), ...post(file)])];
  const listens = `:${PORT.toString(16).toUpperCase()} .* 0A `;
  const script = `
    (${introduced('client', stdio)}) || exit 1
    (PORT=${PORT}; export PORT; ${introduced('https-server', [PYTHON, peer('http_server.py')])}) &
    until grep -q '${listens}' /proc/net/tcp; do sleep 0.2; done
    (${introduced('https-client', curl)}) || exit 1
    kill $!`;
  const namespaces = ['--pid', '--fork', '--mount', '--net', '--kill-child'];
  const setUp = [join(import.meta.dirname, 'container.sh'), scratch(), truth.directory, ROOT];
  const child = spawn('unshare', [...namespaces, 'sh', ...setUp, 'sh', '-c', script], {
    env: { ...process.env, ...truth.env, TLS_CERT, TLS_KEY },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { name, truth, ended: once(child, 'exit').then(([code]) => code as number | null) };
}

const ends = ({ from, to, raw }: OutputLine) => ({ from: from?.pid, to: to?.pid, raw });

test('two containers with the same pids, addresses and paths: over pipes and inside TLS, by the libssl of each', {
  skip: notInVm,
}, async () => {
  const certificate = makeCertificate();
  const watching = await watchMachine();
  const containers = CONTAINERS.map((name) => container(name, certificate));
  const codes = await Promise.all(containers.map(({ ended }) => ended));
  const capture = await watching.stop();
  assert.deepEqual([codes, capture.code], [[0, 0], 0], capture.stderr);
  assert.deepEqual([capture.gaps, capture.summary.losses], [[], {}]);
  const sent: { from: number; to: number; raw: string }[] = [];
  for (const { truth } of containers) {
    const pid = (who: string) => Number(readFileSync(join(truth.directory, `${who}.pid`), 'utf8'));
    const [client, server] = [pid('client'), pid('server')];
    for (const { direction, text } of truth.sent())
      sent.push(
        direction === 'to server'
          ? { from: client, to: server, raw: text }
          : { from: server, to: client, raw: text },
      );
    const [httpsClient, httpsServer] = [pid('https-client'), pid('https-server')];
    for (const { messages } of new HttpTruth(truth.directory).accounts())
      for (const { side, text } of messages)
        sent.push(
          side === 'request'
            ? { from: httpsClient, to: httpsServer, raw: text }
            : { from: httpsServer, to: httpsClient, raw: text },
        );
  }
  const order = (lines: readonly ReturnType<typeof ends>[]) =>
    [...lines].map((line) => JSON.stringify(line)).sort();
  assert.deepEqual(order(capture.messages.map(ends)), order(sent));
  const https = capture.messages.filter((line) => line['http_transport']);
  assert.equal(https.length, CONTAINERS.length * 6);
  assert.ok(https.every((line) => line['http_transport'].tls === 'OpenSSL'));
});
