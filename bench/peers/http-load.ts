// SPDX-License-Identifier: Apache-2.0
/**
 * A client and a server on node:http that exchange MCP messages of one size, as bodies with a length, at a given
 * rate.
 *
 *   http-load.ts client SIZE RATE SECONDS     starts the server
 *   http-load.ts serve SIZE
 *
 * SIZE: bytes of each body; RATE: bodies a second in both directions together, 0 for as many as go over 4
 * connections. Prints one JSON object: bodies sent in both directions, and seconds taken.
 */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve, withServer } from './http-serve.ts';

const CONNECTIONS = 4;
/** What is late by more is left out: to catch up would be another rate. */
const LATE_MS = 20;
const HEAD = '{"jsonrpc":"2.0","id":';
/** Ids have one length, so that they are found without parsing. */
const FIRST_ID = 1_000_000_000;
const HEADERS = { 'content-type': 'application/json' };

const [role, ...numbers] = process.argv.slice(2);
const [size = 0, rate = 0, seconds = 0] = numbers.map(Number);

/** What comes behind the id in every body: it is sent apart from it, and never copied. */
function tail(begin: string, end: string): Buffer {
  const fill = size - HEAD.length - String(FIRST_ID).length - begin.length - end.length;
  return Buffer.from(begin + 'x'.repeat(fill) + end);
}

/** Reads a body to its end. @returns Its beginning. */
async function drain(message: IncomingMessage): Promise<string> {
  let head = '';
  for await (const chunk of message) head ||= (chunk as Buffer).toString('latin1', 0, 64);
  return head;
}

function server(): void {
  const rest = tail(',"result":{"content":[{"type":"text","text":"', '"}]}}');
  serve(async (request, response) => {
    const id = (await drain(request)).slice(HEAD.length, HEAD.length + String(FIRST_ID).length);
    response.writeHead(200, { ...HEADERS, 'content-length': size });
    response.write(HEAD + id);
    response.end(rest);
  });
}

async function client(url: URL): Promise<void> {
  const { Agent, request } = url.protocol === 'https:' ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const rest = tail(',"method":"tools/call","params":{"name":"echo","arguments":{"text":"', '"}}}');
  const exchange = (id: number) =>
    new Promise((resolve, reject) => {
      const headers = { ...HEADERS, 'content-length': size };
      const post = request(url, { method: 'POST', agent, headers }, (response) =>
        drain(response).then(resolve, reject),
      );
      post.on('error', reject);
      post.write(HEAD + id);
      post.end(rest);
    });

  const start = performance.now();
  const passed = () => (performance.now() - start) / 1000;
  // Each exchange is two bodies.
  const interval = rate ? 2000 / rate : 0;
  let due = start;
  let sent = 0;
  const lane = async () => {
    while (passed() < seconds) {
      const now = performance.now();
      if (due > now) await sleep(1);
      else {
        due = Math.max(due + interval, now - LATE_MS);
        await exchange(FIRST_ID + sent++);
      }
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  console.log(JSON.stringify({ messages: 2 * sent, seconds: passed() }));
  agent.destroy();
}

if (role === 'serve') server();
else await withServer('http-load.ts', ['serve', String(size)], client);
