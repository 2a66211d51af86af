// SPDX-License-Identifier: Apache-2.0
/**
 * A server on node:http (or node:http2) alone that answers in the way its caller asks for, at $PORT of $HOST
 * (127.0.0.1) or at the path $SOCKET; with TLS if $TLS_CERT and $TLS_KEY are there. Argument: `http1`, or `http2`.
 *
 * Tools: echo {…}; large {bytes}; events {count} (so many notifications, then the answer, as an event stream);
 * gather {count} (answers when so many of them are asked). In the URL of a POST: `coding=gzip|br|zstd|deflate`, the
 * content coding of the answer; `stream`, an event stream for any answer. Beside /mcp: `/api` answers JSON that is
 * not JSON-RPC, `/download` 48 MiB; `/private` is forbidden, with a JSON body. A GET of /mcp is refused with 405, and
 * a POST with `status=N` in its URL with N, and a body that is not JSON-RPC; with `repeat`, or `repeat=json`, it says
 * there which headers and which URL came.
 */
import { readFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { Writable } from 'node:stream';
import {
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  createZstdCompress,
  type Gzip,
} from 'node:zlib';
import { type AccountedExchange, address, HttpAccount } from './http-truth.ts';

interface Request {
  readonly jsonrpc: '2.0';
  readonly id?: unknown;
  readonly method: string;
  readonly params?: { readonly name?: string; readonly arguments?: Record<string, unknown> };
}

const gathered: (() => void)[] = [];

/** The messages to answer with; the last is the response. */
async function* answers({ id, method, params }: Request): AsyncGenerator<string> {
  const reply = (result: unknown) => JSON.stringify({ jsonrpc: '2.0', id, result });
  const args = params?.arguments ?? {};
  if (method === 'initialize') {
    const serverInfo = { name: 'plain-http-server', version: '1' };
    yield reply({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo });
  } else if (method !== 'tools/call') yield reply({});
  else if (params?.name === 'large')
    yield reply({ content: [{ type: 'text', text: text(Number(args['bytes'])) }] });
  else if (params?.name === 'events') {
    for (let progress = 1; progress <= Number(args['count']); progress++)
      yield JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: id, progress },
      });
    yield reply({ content: [] });
  } else {
    if (params?.name === 'gather')
      await new Promise<void>((resolve) => {
        gathered.push(resolve);
        if (gathered.length >= Number(args['count'])) for (const go of gathered.splice(0)) go();
      });
    yield reply({ content: [{ type: 'text', text: JSON.stringify(args) }] });
  }
}

/** So many bytes that compress, but not to nothing. */
function text(bytes: number): string {
  const line = Array.from({ length: 64 }, (_, index) => `${(index * 2654435761) % 1000003} größe\\ `).join(
    '',
  );
  return Buffer.from(line.repeat(Math.ceil(bytes / line.length)))
    .toString('utf8', 0, bytes)
    .replace(/\ufffd$/, '');
}

const encoders: Readonly<Record<string, () => Writable>> = {
  gzip: createGzip,
  deflate: createDeflate,
  br: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }),
  zstd: createZstdCompress,
};

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  own?: AccountedExchange,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const url = new URL(request.url ?? '', 'http://localhost');
  const body = Buffer.concat(chunks).toString();
  if (url.pathname !== '/mcp') return other(url.pathname, response);
  if (request.method !== 'POST') {
    response.writeHead(405, { allow: 'POST' }).end();
    return;
  }
  own?.message('request', body, 'body');
  const status = Number(url.searchParams.get('status'));
  if (status) {
    const repeat = url.searchParams.get('repeat');
    const type = repeat === 'json' ? 'application/json' : 'text/plain';
    response.writeHead(status, { 'content-type': type, 'www-authenticate': 'Bearer' });
    const { url: asked, headers } = request;
    if (repeat === 'json') response.end(JSON.stringify({ error: 'unknown', asked, headers }));
    else
      response.end(`no: ${status}${repeat === null ? '' : ` ${asked} ${Object.values(headers).join('; ')}`}`);
    return;
  }
  const message: Request = JSON.parse(body);
  if (message.id === undefined) {
    response.writeHead(202).end();
    return;
  }
  const stream = url.searchParams.has('stream') || message.params?.name === 'events';
  const coding = url.searchParams.get('coding');
  response.writeHead(200, {
    'content-type': stream ? 'text/event-stream' : 'application/json',
    ...(coding ? { 'content-encoding': coding } : {}),
  });
  const encoder = coding ? encoders[coding]?.() : undefined;
  encoder?.pipe(response);
  const output: Writable = encoder ?? response;
  let events = '';
  for await (const each of answers(message)) {
    own?.message('response', each, stream ? 'sse' : 'body');
    events += stream ? `event: message\ndata: ${each}\n\n` : each;
    // Several events a write, as a busy server's event loop has it.
    if (events.length < 20_000) continue;
    if (!output.write(events)) await new Promise((resolve) => output.once('drain', resolve));
    if (encoder && stream) await new Promise((resolve) => (encoder as Gzip).flush(() => resolve(undefined)));
    events = '';
  }
  output.end(events);
}

async function other(path: string, response: ServerResponse): Promise<void> {
  if (path === '/private') {
    response.writeHead(403, { 'content-type': 'application/json' }).end('{"error":"forbidden"}');
  } else if (path === '/download') {
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    const piece = Buffer.alloc(1 << 20, 'not MCP ');
    for (let count = 0; count < 48; count++)
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve));
    response.end();
  } else {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ id: 1, method: 'of payment', items: ['a', 'b'], path }));
  }
}

function failed(response: { destroy: () => void }): (error: unknown) => void {
  return (error) => {
    console.error(error);
    response.destroy();
  };
}

const { TLS_CERT, TLS_KEY, PORT, SOCKET } = process.env;
const tls = TLS_CERT && TLS_KEY ? { cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) } : undefined;
const first = (request: IncomingMessage, response: ServerResponse) => {
  answer(request, response).catch(failed(response));
};
const account = new HttpAccount();
/** The recorder does not see node:http2. */
const second = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
  const { socket } = request;
  const exchange = account.exchange({
    role: 'server',
    tls: tls !== undefined,
    client: address(socket.remoteAddress, socket.remotePort),
    server: address(socket.localAddress, socket.localPort),
    method: request.method,
    path: request.url,
    headers: request.headers as Record<string, string>,
  });
  const [asked, answered] = [request, response] as unknown as [IncomingMessage, ServerResponse];
  answer(asked, answered, exchange)
    .then(() => exchange.head(response.statusCode, {}))
    .catch(failed(answered));
};
const server =
  process.argv[2] === 'http2'
    ? tls
      ? http2.createSecureServer(tls, second)
      : http2.createServer(second)
    : tls
      ? https.createServer(tls, first)
      : http.createServer(first);
// A slow machine's client may come back later than Node waits by default.
if ('keepAliveTimeout' in server) server.keepAliveTimeout = 60_000;
if (SOCKET) server.listen(SOCKET);
else server.listen(Number(PORT), process.env['HOST'] ?? '127.0.0.1');
