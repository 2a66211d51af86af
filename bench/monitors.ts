// SPDX-License-Identifier: Apache-2.0
/** The ways to watch a conversation that the benchmark compares: each turns a client and a server command into one to run. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const MCPSPY = join(ROOT, 'bin', 'mcpspy');

/** Where a monitor writes and how it is called. */
export interface Monitor {
  readonly name: string;
  /** The command to start, given the client's command up to where the server's begins, and the server's. */
  command(client: readonly string[], server: readonly string[], log: string): string[];
}

/** A stdio wrapper that keeps a copy of both directions: what one would put into a client's configuration. */
const TEE = 'tee "$0.in" | "$@" | tee "$0.out"';

export const MONITORS: readonly Monitor[] = [
  { name: 'no monitor', command: (client, server) => [...client, ...server] },
  {
    name: 'mcpspy',
    command: (client, server, log) => [MCPSPY, 'run', '-q', '-o', log, '--', ...client, ...server],
  },
  {
    name: 'strace',
    command: (client, server, log) => [
      'strace',
      '-f',
      '-e',
      'trace=read,write',
      '-s',
      '65535',
      '-o',
      log,
      ...client,
      ...server,
    ],
  },
  { name: 'tee wrapper', command: (client, server, log) => [...client, 'sh', '-c', TEE, log, ...server] },
];
