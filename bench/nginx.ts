// SPDX-License-Identifier: Apache-2.0
/** nginx with TLS under wrk(1): requests a second when it is out of scope, and when it is watched itself. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.ts';
import { type Certificate, makeCertificate } from './certificate.ts';
import { background, median, removeLogs, sleep, takeSummary } from './measure.ts';
import { MCPSPY, ROOT } from './monitors.ts';
import { factor, spread } from './table.ts';

const NGINX = '/usr/sbin/nginx';
const SECONDS = 3;
const CONNECTIONS = 16;
/** Bytes of an answer. */
const SIZE = 1024;

/** What is asked for, with wrk's options. */
const KINDS = [
  { label: 'nginx with TLS, 1 KiB of other JSON', path: '/other', options: [] },
  {
    label: 'nginx with TLS, tools/call of 1 KiB',
    path: '/mcp',
    options: ['-s', join(ROOT, 'bench/peers/tools-call.lua')],
  },
] as const;

const MONITORS = ['no monitor', 'out of scope', 'in scope'] as const;

interface Load {
  readonly requests: number;
  readonly perSecond: number;
}

export async function nginx(bench: Bench): Promise<void> {
  const certificate = makeCertificate(bench.directory);
  const server = await configure(bench.directory, 'nginx', certificate);
  const other = await configure(bench.directory, 'other', certificate);
  const loads = new Map<string, Load[]>();
  const note = async (monitor: (typeof MONITORS)[number]) => {
    for (const kind of KINDS) {
      const key = kind.label + monitor;
      loads.set(key, [...(loads.get(key) ?? []), await wrk(server.port, kind)]);
    }
  };
  const kept: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const plain = await start(server);
    await note('no monitor');
    // It uses the same libssl, in which its own calls are probed.
    const watched = await start(other);
    const watching = await background([MCPSPY, '--pid', String(watched.pid)], /watching/);
    await note('out of scope');
    await watching.stop();
    await watched.stop();
    await plain.stop();
    const inScope = await start(server, [MCPSPY, 'run', '-q', '-o', bench.log, '--']);
    await note('in scope');
    await inScope.stop();
    const { requests } = loads.get(`${KINDS[1].label}in scope`)?.at(-1) ?? { requests: 0 };
    kept.push(Math.min(1, takeSummary(bench.log).messages / (2 * requests)));
    removeLogs(bench.log);
  }
  const of = (label: string, monitor: string) =>
    (loads.get(label + monitor) ?? []).map(({ perSecond }) => perSecond);
  for (const { label, path } of KINDS)
    for (const monitor of MONITORS)
      bench.table.row(
        label,
        monitor,
        spread(of(label, monitor), 'requests/s'),
        factor(of(label, monitor), of(label, 'no monitor')),
        ...(monitor === 'in scope' && path === '/mcp'
          ? [`${(median(kept) * 100).toFixed(2)} % captured`]
          : []),
      );
}

interface Server {
  readonly port: number;
  readonly command: readonly string[];
}

/** One worker, so that wrk has the other processor. */
async function configure(directory: string, name: string, certificate: Certificate): Promise<Server> {
  const port = await freePort();
  const file = join(directory, `${name}.conf`);
  const result = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"TEXT"}]}}';
  const answer = (text: string) => text.replace('TEXT', 'x'.repeat(SIZE - text.length + 'TEXT'.length));
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off; worker_processes 1; user root; pid ${directory}/${name}.pid; events { }
    http {
      access_log off; keepalive_requests 1000000; default_type application/json;
      ${paths.map((each) => `${each}_temp_path ${directory}/${name}.${each};`).join(' ')}
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${certificate.certificate}; ssl_certificate_key ${certificate.key};
        location = /other { return 200 '${answer('{"items":["TEXT"]}')}'; }
        location = /mcp { return 200 '${answer(result)}'; }
      }
    }`,
  );
  return { port, command: [NGINX, '-c', file, '-e', join(directory, `${name}.error`)] };
}

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  holder.close();
  await once(holder, 'close');
  return port;
}

/** Starts it, behind a monitor's command if there is one, and waits until it listens. */
async function start(
  { port, command }: Server,
  monitor: readonly string[] = [],
): Promise<{ pid: number; stop: () => Promise<void> }> {
  const [file = '', ...args] = [...monitor, ...command];
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const closed = once(child, 'close');
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${file} ended with ${child.exitCode}`);
    await sleep(20);
  }
  return {
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGINT');
      await closed;
    },
  };
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const open = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  });
  socket.destroy();
  return open;
}

/** @throws Error if an answer was none. */
async function wrk(port: number, { path, options }: (typeof KINDS)[number]): Promise<Load> {
  const { stdout } = await promisify(execFile)('wrk', [
    ...['-t', '1', '-c', String(CONNECTIONS), '-d', `${SECONDS}s`],
    ...options,
    `https://127.0.0.1:${port}${path}`,
  ]);
  const [, requests] = /(\d+) requests in/.exec(stdout) ?? [];
  const [, perSecond] = /Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  if (!requests || !perSecond || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk: ${stdout}`);
  return { requests: Number(requests), perSecond: Number(perSecond) };
}
