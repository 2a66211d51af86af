// SPDX-License-Identifier: Apache-2.0
/**
 * Servers and clients that meet over HTTP, each a process of its own: the server tells its URL in its first line,
 * the client starts it and ends it. TLS if $TLS_CERT and $TLS_KEY are there; the client trusts $NODE_EXTRA_CA_CERTS.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';

/** Serves at a free port of 127.0.0.1 and says where, until the process is ended. */
export function serve(answer: RequestListener): void {
  const { TLS_CERT, TLS_KEY } = process.env;
  const tls = TLS_CERT && TLS_KEY ? { cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) } : undefined;
  const server = tls ? https.createServer(tls, answer) : http.createServer(answer);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    console.log(`${tls ? 'https' : 'http'}://127.0.0.1:${port}/mcp`);
  });
}

/**
 * Starts a server, a file of this directory, for as long as `use` takes.
 * @throws Error if the server ends without having told its URL.
 */
export async function withServer(
  name: string,
  args: readonly string[],
  use: (url: URL) => Promise<void>,
): Promise<void> {
  const file = new URL(name, import.meta.url).pathname;
  const server = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  try {
    const first = once(createInterface(server.stdout), 'line');
    const [url] = await Promise.race([first, ended]);
    if (typeof url !== 'string') throw new Error(`${name} ended with ${url}`);
    await use(new URL(url));
  } finally {
    server.kill();
    await ended;
  }
}
