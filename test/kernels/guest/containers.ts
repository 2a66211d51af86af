// SPDX-License-Identifier: Apache-2.0
/**
 * Containers, as far as the kernel knows them: namespaces for pids, mounts and network, and an overlay as root with a
 * libssl of its own. Two at once, with the same pids, addresses and paths.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Certificate, makeCertificate } from '../../support/http-stage.ts';
import { HttpTruth } from '../../support/http-truth.ts';
import { type CaptureResult, type OutputLine, ROOT, scratch } from '../../support/mcpspy.ts';
import {
  ask,
  call,
  clientCommand,
  INITIALIZE,
  openSlowly,
  PYTHON,
  shellWords,
  Truth,
} from '../../support/truth.ts';
import { appeared } from './guest.ts';

/** The same in each of them: they have a network each. */
const PORT = 8443;
const CONTAINERS = ['one', 'two'] as const;
const peer = (name: string) => join(ROOT, 'test', 'peers', name);

/** A shell command that notes the pid that the machine knows the process by, and becomes `command`. */
const introduced = (name: string, command: readonly string[]) =>
  `read -r pid rest </run/host-proc/self/stat; echo "$pid" >"$MCPSPY_TRUTH/${name}.pid"; exec ${shellWords(command)}`;

/**
 * Starts it: its HTTPS server, and when the gate is there a conversation over pipes, then one over HTTPS, by a client
 * that reads the same libssl. Resolves to its exit code.
 */
function container(name: string, truth: Truth, { certificate, key }: Certificate) {
  // Of this test's folders only that of the accounts is seen inside.
  const [TLS_CERT, TLS_KEY] = [join(truth.directory, 'certificate.pem'), join(truth.directory, 'key.pem')];
  copyFileSync(certificate, TLS_CERT);
  copyFileSync(key, TLS_KEY);
  const stdio = clientCommand(truth, [
    ...openSlowly(truth.directory, name, {}, (server) => ['sh', '-c', introduced('server', server)]),
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
    (PORT=${PORT}; export PORT; ${introduced('https-server', [PYTHON, peer('http_server.py')])}) &
    until grep -q '${listens}' /proc/net/tcp; do sleep 0.2; done
    : >"$MCPSPY_TRUTH/ready"
    read -r open <"$MCPSPY_TRUTH/gate"
    (${introduced('client', stdio)}) || exit 1
    (${introduced('https-client', curl)}) || exit 1
    kill $!`;
  // Not looked for again and again: to start a program takes an emulated machine long.
  assert.equal(spawnSync('mkfifo', [join(truth.directory, 'gate')]).status, 0);
  const namespaces = ['--pid', '--fork', '--mount', '--net', '--kill-child'];
  const setUp = [join(import.meta.dirname, 'container.sh'), scratch(), truth.directory, ROOT];
  const child = spawn('unshare', [...namespaces, 'sh', ...setUp, 'sh', '-c', script], {
    env: { ...process.env, ...truth.env, TLS_CERT, TLS_KEY },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return once(child, 'exit').then(([code]) => code as number | null);
}

const ends = ({ from, to, raw }: OutputLine) => ({ from: from?.pid, to: to?.pid, raw });
type Ends = { from: number; to: number; raw: string };

export class Containers {
  readonly #truths = CONTAINERS.map((name) => {
    const truth = new Truth();
    return { name, truth, http: new HttpTruth(truth.directory) };
  });
  readonly #certificate = makeCertificate();
  readonly #running: Promise<number | null>[] = [];

  #start({ name, truth }: { readonly name: string; readonly truth: Truth }): void {
    this.#running.push(container(name, truth, this.#certificate));
  }

  /** Starts the first, whose server has its libssl when the watching begins. */
  async startEarly(): Promise<void> {
    const [early] = this.#truths;
    assert.ok(early);
    this.#start(early);
    await appeared(join(early.truth.directory, 'ready'));
  }

  /** Starts the others, and lets all of them talk. */
  goOn(): void {
    for (const late of this.#truths.slice(1)) this.#start(late);
    for (const { truth } of this.#truths) void writeFile(join(truth.directory, 'gate'), 'open\n');
  }

  /** Resolves when all has been said. */
  async ended(): Promise<void> {
    const codes = await Promise.all(this.#running);
    assert.deepEqual(codes, [0, 0], 'the containers failed');
  }

  /** What they said to each other, by their own accounts; the pids are those that the machine knows. */
  #sent(): Ends[] {
    return this.#truths.flatMap(({ truth, http }) => {
      const pid = (who: string) => Number(readFileSync(join(truth.directory, `${who}.pid`), 'utf8'));
      const said = (client: number, server: number, toServer: boolean, raw: string) =>
        toServer ? { from: client, to: server, raw } : { from: server, to: client, raw };
      const overPipes = truth
        .sent()
        .map(({ direction, text }) => said(pid('client'), pid('server'), direction === 'to server', text));
      const overHttps = http
        .accounts()
        .flatMap(({ messages }) => messages)
        .map(({ side, text }) => said(pid('https-client'), pid('https-server'), side === 'request', text));
      return [...overPipes, ...overHttps];
    });
  }

  pids(): Set<number> {
    return new Set(this.#sent().flatMap(({ from, to }) => [from, to]));
  }

  /** Each message once and between the right two; those over HTTPS from inside TLS. */
  assertIn({ messages }: Pick<CaptureResult, 'messages'>): void {
    const order = (lines: readonly Partial<Ends>[]) => lines.map((line) => JSON.stringify(line)).sort();
    assert.deepEqual(order(messages.map(ends)), order(this.#sent()));
    const https = messages.filter((line) => line['http_transport']);
    assert.equal(https.length, CONTAINERS.length * 6);
    assert.ok(https.every((line) => line['http_transport'].tls === 'OpenSSL'));
  }
}
