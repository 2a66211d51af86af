// SPDX-License-Identifier: Apache-2.0
/**
 * Starts servers, then clients, and ends the servers: what a test of HTTP has mcpspy run. Argument: a script (JSON).
 * `{NAME}` in it stands for a free port, the same at each place.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from '../support/patience.ts';
import { type Commanded, command } from './http-commands.ts';
import { identify } from './http-truth.ts';

/** One of these at a time. */
export interface Stage {
  /** A server; the next step begins when it listens at this port, `ip:port`, or path. */
  readonly start?: readonly string[];
  readonly listens?: string;
  /** Notes who the server is, or its only child, in `NAME.peer` with the accounts. */
  readonly self?: string;
  readonly worker?: string;
  /** A client; the next step begins when it has ended. */
  readonly run?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A client that cannot keep an account itself. */
  readonly command?: Commanded;
  /** All at once. */
  readonly together?: readonly Stage[];
  /** Makes a file. */
  readonly touch?: string;
  /** What is to be in it. */
  readonly content?: string;
  /** Waits until the file is there. */
  readonly gate?: string;
}

const servers: ChildProcess[] = [];

async function freePort(): Promise<{ port: number; free: () => Promise<void> }> {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const address = holder.address();
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    free: () => new Promise((resolve) => holder.close(() => resolve())),
  };
}

async function readScript(file: string): Promise<readonly Stage[]> {
  const text = readFileSync(file, 'utf8');
  const names = new Set([...text.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => name ?? ''));
  // All held at once: none is given twice.
  const ports = new Map<string, Awaited<ReturnType<typeof freePort>>>();
  for (const name of names) ports.set(name, await freePort());
  await Promise.all([...ports.values()].map(({ free }) => free()));
  return JSON.parse(text.replaceAll(/\{([a-z]+)\}/g, (_, name) => String(ports.get(name)?.port)));
}

async function listening(where: string, server: ChildProcess): Promise<void> {
  for (let waited = 0; waited < patience(20_000); waited += 20) {
    if (server.exitCode !== null)
      throw new Error(`${server.spawnargs.join(' ')} ended with ${server.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const [, host, port] = /^(?:(.*):)?(\d+)$/.exec(where) ?? [];
      const socket = connect(port ? { port: Number(port), host: host ?? '127.0.0.1' } : { path: where });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(20);
  }
  throw new Error(`nobody listens at ${where}`);
}

function launch([file = '', ...args]: readonly string[], env: Stage['env']): ChildProcess {
  const record = `--import=${new URL('record-http.ts', import.meta.url)}`;
  return spawn(file, args, {
    env: { ...process.env, NODE_OPTIONS: record, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

function introduce(name: string, pid = 0, argv = identify(pid).argv): void {
  const file = join(process.env['MCPSPY_TRUTH'] ?? '', `${name}.peer`);
  writeFileSync(file, JSON.stringify({ ...identify(pid), argv }));
}

async function perform(step: Stage): Promise<void> {
  if (step.start) {
    const server = launch(step.start, step.env);
    servers.push(server);
    await listening(step.listens ?? '', server);
    if (step.self) introduce(step.self, server.pid);
    if (step.worker) {
      // The port is open before there is a worker.
      let children = '';
      for (let waited = 0; !children && waited < patience(20_000); waited += 20) {
        children = readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8');
        if (!children) await sleep(20);
      }
      // Such a child likes to write a title over its command line; it is known by what was executed.
      introduce(step.worker, Number(children), step.start);
    }
  } else if (step.run) {
    const client = launch(step.run, step.env);
    const code = await new Promise((resolve, reject) => client.once('error', reject).once('exit', resolve));
    if (code !== 0) throw new Error(`${step.run.join(' ')} ended with ${code}`);
  } else if (step.command) await command(step.command);
  else if (step.together) await Promise.all(step.together.map(perform));
  else if (step.touch) writeFileSync(step.touch, step.content ?? '');
  else if (step.gate)
    for (let waited = 0; !existsSync(step.gate); waited += 10) {
      if (waited > patience(30_000)) throw new Error('the gate never opened');
      await sleep(10);
    }
}

try {
  for (const step of await readScript(process.argv[2] ?? '')) await perform(step);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  for (const server of servers) {
    const gone = new Promise((resolve) => server.once('exit', resolve));
    if (server.exitCode === null && server.kill()) await gone;
  }
}
