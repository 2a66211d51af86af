// SPDX-License-Identifier: Apache-2.0
/**
 * Processes and connections that come and go: `churn.ts SECONDS PROCESSES CONNECTIONS [held]`, spread over that time. Each
 * process is a stdio server that is asked once; each connection is one POST to an HTTP server in this process. Prints
 * how many messages that were. `held`: begins with the first byte on its standard input, and ends with that.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [seconds = 60, processes = 100, connections = 1000] = process.argv.slice(2, 5).map(Number);
const held = process.argv[5] === 'held';
const ask = (id: number) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/list' });
const answer = (id: number) => JSON.stringify({ jsonrpc: '2.0', id, result: { tools: [] } });
let messages = 0;

const server = createServer((incoming, response) => {
  incoming.resume().once('end', () => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(answer(1));
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

async function connect(): Promise<void> {
  const headers = { 'content-type': 'application/json', connection: 'close' };
  const asking = request({ port, host: '127.0.0.1', method: 'POST', path: '/mcp', headers, agent: false });
  asking.end(ask(1));
  const [response] = await once(asking, 'response');
  response.resume();
  await once(response, 'close');
  messages += 2;
}

/** A shell reads one line and writes one. */
async function fork(): Promise<void> {
  const child = spawn('/bin/sh', ['-c', `read -r line; echo '${answer(1)}'`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(`${ask(1)}\n`);
  child.stdout.resume();
  await once(child, 'close');
  messages += 2;
}

async function spread(count: number, act: () => Promise<void>): Promise<void> {
  const start = performance.now();
  for (let done = 0; done < count; done++) {
    const early = start + (done / count) * seconds * 1000 - performance.now();
    if (early > 0) await sleep(early);
    await act();
  }
}

if (held) await once(process.stdin, 'data');
await Promise.all([spread(processes, fork), spread(connections, connect)]);
server.close();
console.log(JSON.stringify({ messages }));
if (held) await once(process.stdin, 'end');
