// SPDX-License-Identifier: Apache-2.0
/** A client on node:http2: one connection, many streams at once. Argument: the server's URL. */
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { address, HttpAccount } from './http-truth.ts';

const url = new URL(process.argv[2] ?? '');
const certificate = process.env['TLS_CERT'];
const session = http2.connect(url.origin, certificate ? { ca: readFileSync(certificate) } : {});
await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject));
const account = new HttpAccount();
const { localAddress, localPort, remoteAddress, remotePort } = session.socket ?? {};

async function post(id: number, method: string, params: object, query = ''): Promise<void> {
  const exchange = account.exchange({
    role: 'client',
    tls: url.protocol === 'https:',
    client: address(localAddress, localPort),
    server: address(remoteAddress, remotePort),
    method: 'POST',
    path: url.pathname + query,
    headers: { host: url.host },
  });
  const text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
  exchange.message('request', text, 'body');
  const stream = session.request({
    ':method': 'POST',
    ':path': url.pathname + query,
    'content-type': 'application/json',
    'x-number': String(id),
  });
  const heads = new Promise<number>((resolve) => {
    stream.once('response', ({ ':status': status }) => resolve(Number(status)));
  });
  // In pieces: a request of several DATA frames.
  stream.write(text.slice(0, 10));
  stream.end(text.slice(10));
  exchange.head(await heads, query.includes('stream') ? { 'content-type': 'text/event-stream' } : {});
  for await (const chunk of stream) exchange.chunk('response', chunk);
  exchange.end('response');
}

const clientInfo = { name: 'http2-client', version: '1' };
await post(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
const call = (id: number, name: string, args: object, query = '') =>
  post(id, 'tools/call', { name, arguments: args }, query);
for (let id = 1; id <= 5; id++) await call(id, 'echo', { in: 'turn', id });
await Promise.all(
  Array.from({ length: 40 }, (_, number) =>
    call(number + 10, 'echo', { at: 'once', text: 'größe'.repeat(number * 500) }),
  ),
);
await call(100, 'large', { bytes: 3_000_000 });
await call(101, 'events', { count: 500 }, '?stream');
session.close();
