// SPDX-License-Identifier: Apache-2.0
/** curl and wget, and the account of what they did, which they cannot keep themselves. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { patience } from '../support/patience.ts';
import { HttpAccount, headerLines, type Identity } from './http-truth.ts';

/** One or more requests by one process, one after the other. */
export interface Commanded {
  readonly program: 'curl' | 'wget';
  readonly url: string;
  /** More options: wget's as arguments, curl's as lines of its configuration file. */
  readonly options?: readonly string[];
  /** Bodies to POST, each as a request of its own to the same URL; wget takes one. */
  readonly bodies: readonly string[];
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly client: string | undefined;
}

/** Runs it to its end and writes its account. @throws When it fails. */
export async function command(given: Commanded): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mcpspy-command-'));
  const program = `/usr/bin/${given.program}`;
  const args = given.program === 'curl' ? curlArguments(given, directory) : wgetArguments(given, directory);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const identity: Identity = {
    pid: child.pid ?? 0,
    comm: given.program,
    exe: program,
    argv: [program, ...args],
  };
  const account = new HttpAccount(identity);
  const time = Number(process.hrtime.bigint());
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk;
  });
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}`);
  const answers =
    given.program === 'curl' ? curlAnswers(output, given.bodies.length, directory) : wgetAnswers(directory);
  const { protocol, pathname, search, host } = new URL(given.url);
  for (const [index, body] of given.bodies.entries()) {
    const answer = answers[index];
    if (!answer) throw new Error(`${program} has no answer ${index}`);
    const exchange = account.exchange({
      role: 'client',
      tls: protocol === 'https:',
      client: answer.client,
      server: answer.client ? `127.0.0.1:${host.split(':').at(-1)}` : undefined,
      method: 'POST',
      path: pathname + search,
      headers: { host },
    });
    exchange.chunk('request', Buffer.from(body), time);
    exchange.end('request');
    // What lies in the file has been decoded.
    const { 'content-encoding': _, ...headers } = answer.headers;
    exchange.head(answer.status, headers);
    exchange.chunk('response', answer.body);
    exchange.end('response');
  }
  await rm(directory, { recursive: true });
}

const FIELDS = ['content-type: application/json', 'accept: application/json, text/event-stream'];

function bodyFile(directory: string, index: number, body: string): string {
  const file = join(directory, `request${index}`);
  writeFileSync(file, body);
  return file;
}

/** In a file: mcpspy keeps 4 KiB of a command line. */
function curlArguments({ url, options = [], bodies }: Commanded, directory: string): string[] {
  const requests = bodies.map((body, index) => [
    ['url', url],
    ...FIELDS.map((field) => ['header', field]),
    ['dump-header', join(directory, `head${index}`)],
    ['output', join(directory, `body${index}`)],
    ['write-out', '%{http_code} %{local_port}\\n'],
    ['data-binary', `@${bodyFile(directory, index, body)}`],
  ]);
  const config = join(directory, 'curl.config');
  const common = ['silent', 'show-error', 'max-time = 20'];
  const text = requests
    .map((lines) => [...common, ...options, ...lines.map(([name, value = '']) => `${name} = "${value}"`)])
    .map((lines) => lines.join('\n'))
    .join('\nnext\n');
  writeFileSync(config, text);
  return ['--disable', '--config', config];
}

function curlAnswers(output: string, count: number, directory: string): Answer[] {
  const told = output.split('\n');
  return Array.from({ length: count }, (_, index) => {
    const [status, port] = told[index]?.split(' ') ?? [];
    return {
      status: Number(status),
      headers: headerLines(readFileSync(join(directory, `head${index}`), 'latin1')),
      body: readFileSync(join(directory, `body${index}`)),
      client: Number(port) > 0 ? `127.0.0.1:${port}` : undefined,
    };
  });
}

function wgetArguments({ url, options = [], bodies: [body = ''] }: Commanded, directory: string): string[] {
  const fields = FIELDS.map((field) => `--header=${field}`);
  const output = ['--save-headers', `--output-document=${join(directory, 'answer')}`];
  return [
    '--quiet',
    '--tries=1',
    `--timeout=${patience(20)}`,
    ...fields,
    ...output,
    ...options,
    // An argument has at most 128 KiB.
    body.length < 30_000 ? `--post-data=${body}` : `--post-file=${bodyFile(directory, 0, body)}`,
    url,
  ];
}

function wgetAnswers(directory: string): Answer[] {
  const answer = readFileSync(join(directory, 'answer'));
  const end = answer.indexOf('\r\n\r\n');
  const head = answer.toString('latin1', 0, end);
  return [
    {
      status: Number(head.split(' ')[1]),
      headers: headerLines(head),
      body: answer.subarray(end + 4),
      client: undefined,
    },
  ];
}
