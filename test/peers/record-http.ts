// SPDX-License-Identifier: Apache-2.0
/**
 * Loaded into a Node program by NODE_OPTIONS: notes the HTTP that passes node:http's servers and undici's clients
 * (`fetch`), where bodies are exact bytes. The program is not changed.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type AccountedExchange, address, HttpAccount, headerLines, now } from './http-truth.ts';

const account = new HttpAccount();
// In its turn, when what has been done is noted, too.
process.once('SIGTERM', () => process.exit());
const encrypted = (socket: Socket) => 'encrypted' in socket;

// What an upgrade leads to is for the peer itself to tell.
subscribe('http.server.request.start', (message) => {
  const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
  if (!request.headers.upgrade) recordServer(request, response);
});

function recordServer(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const exchange = account.exchange({
    role: 'server',
    tls: encrypted(socket),
    client: address(socket.remoteAddress, socket.remotePort),
    server: address(socket.localAddress, socket.localPort),
    method: request.method ?? '',
    path: request.url ?? '',
    headers: request.headers as Record<string, string>,
  });
  const push = request.push.bind(request);
  request.push = (chunk: Buffer | null) => {
    if (chunk) exchange.chunk('request', chunk);
    else exchange.end('request');
    return push(chunk);
  };
  let begun = false;
  const written = (chunk: unknown, time: number) => {
    if (!begun) {
      begun = true;
      const head = (response as unknown as { _header: string })._header;
      exchange.head(response.statusCode, headerLines(head));
    }
    if (typeof chunk === 'string') exchange.chunk('response', Buffer.from(chunk), time);
    else if (chunk instanceof Uint8Array) exchange.chunk('response', chunk, time);
  };
  const write = response.write.bind(response);
  response.write = ((chunk: unknown, ...rest: []) => {
    const time = now();
    const result = write(chunk, ...rest);
    written(chunk, time);
    return result;
  }) as typeof response.write;
  const end = response.end.bind(response);
  response.end = ((chunk: unknown, ...rest: []) => {
    const time = now();
    const result = end(chunk, ...rest);
    written(chunk, time);
    exchange.end('response');
    return result;
  }) as typeof response.end;
}

/** undici's request; its own copy of undici has another class, but the same channels. */
type Request = { method: string; path: string };
const exchanges = new WeakMap<Request, AccountedExchange>();
const on = <T extends { request: Request }>(
  channel: string,
  use: (exchange: AccountedExchange, message: T) => void,
) =>
  subscribe(`undici:request:${channel}`, (message) => {
    const exchange = exchanges.get((message as T).request);
    if (exchange) use(exchange, message as T);
  });

subscribe('undici:client:sendHeaders', (message) => {
  const { request, headers, socket } = message as { request: Request; headers: string; socket: Socket };
  if (headerLines(headers)['upgrade']) return;
  exchanges.set(
    request,
    account.exchange({
      role: 'client',
      tls: encrypted(socket),
      client: address(socket.localAddress, socket.localPort),
      server: address(socket.remoteAddress, socket.remotePort),
      method: request.method,
      path: request.path,
      headers: headerLines(headers),
    }),
  );
});
on<{ request: Request; chunk: Uint8Array | string }>('bodyChunkSent', (exchange, { chunk }) =>
  // Told after the call that sent it.
  exchange.chunk('request', typeof chunk === 'string' ? Buffer.from(chunk) : chunk, exchange.begun),
);
on('bodySent', (exchange) => exchange.end('request'));
on<{ request: Request; response: { statusCode: number; headers: readonly Buffer[] } }>(
  'headers',
  (exchange, { response }) => {
    const headers: Record<string, string> = {};
    for (let index = 0; index < response.headers.length; index += 2)
      headers[`${response.headers[index]}`.toLowerCase()] = `${response.headers[index + 1]}`;
    exchange.head(response.statusCode, headers);
  },
);
on<{ request: Request; chunk: Uint8Array }>('bodyChunkReceived', (exchange, { chunk }) =>
  exchange.chunk('response', chunk),
);
on('trailers', (exchange) => exchange.end('response'));
