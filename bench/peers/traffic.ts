// SPDX-License-Identifier: Apache-2.0
/** Traffic of MCP as node's own servers and clients put it on the wire, recorded in between, to be decoded later. */
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import http2, { type ClientHttp2Stream, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Side } from '../../src/protocols/http.ts';

/** As much as a record of TLS holds, and what programs like to read at once. */
const PIECE = 16 << 10;
const EXCHANGES = 400;
const PATH = '/mcp';

/** What one system call would have moved. */
export interface Piece {
  readonly side: Side;
  readonly bytes: Buffer;
}

/** A call of a tool with its answer, or a list of tools: texts of 0.2 to 260 KiB, most of them small, always the same. */
export interface Call {
  readonly request: string;
  readonly response: string;
}

export function makeCalls(): Call[] {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  const words = [
    'const value = "a\\b";\n',
    'größe ',
    '世界',
    '\treturn [1, 2, 3];\n',
    'https://example.com/ ',
    'und ',
  ];
  const text = (length: number) => {
    let made = '';
    while (made.length < length) made += words[Math.floor(random() * words.length)];
    return made;
  };
  const schema = (name: string) => ({
    name,
    description: text(200),
    inputSchema: {
      type: 'object',
      properties: { path: { type: 'string', description: text(60) }, limit: { type: 'integer' } },
      required: ['path'],
    },
  });
  return Array.from({ length: EXCHANGES }, (_, id) => {
    const message = (rest: object) => JSON.stringify({ jsonrpc: '2.0', id, ...rest });
    if (id % 40 === 0) {
      const tools = Array.from({ length: 14 }, (_, index) => schema(`tool_${index}`));
      return {
        request: message({ method: 'tools/list', params: {} }),
        response: message({ result: { tools } }),
      };
    }
    const params = { name: 'read_file', arguments: { path: `/srv/${text(80)}`, limit: id } };
    const size = id % 50 === 25 ? 256 << 10 : 100 * 2 ** (9 * random());
    const result =
      id % 5 === 1
        ? {
            structuredContent: {
              rows: Array.from({ length: size / 60 }, (_, row) => ({
                row,
                ok: true,
                at: row / 7,
                what: 'cell',
              })),
            },
          }
        : { content: [{ type: 'text', text: text(size) }] };
    return { request: message({ method: 'tools/call', params }), response: message({ result }) };
  });
}

export type Protocol = 'http1' | 'http2' | 'sse';

/** The calls one after the other over one connection, in pieces of at most 16 KiB. `sse`: HTTP/1 with answers as event streams. */
export async function record(protocol: Protocol, calls: readonly Call[]): Promise<Piece[]> {
  const pieces: Piece[] = [];
  const server = protocol === 'http2' ? http2Server(calls) : http1Server(calls, protocol === 'sse');
  const proxy = createServer((client) => relay(client, connect(port(server)), pieces));
  for (const each of [server, proxy]) await once(each.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${port(proxy)}`;
  await (protocol === 'http2' ? http2Client(url, calls) : http1Client(url, calls));
  for (const each of [server, proxy]) each.close();
  return cut(pieces);
}

const port = (server: Server) => (server.address() as AddressInfo).port;

function relay(client: Socket, server: Socket, pieces: Piece[]): void {
  for (const [from, to, side] of [
    [client, server, 'request'],
    [server, client, 'response'],
  ] as const) {
    from.on('data', (bytes: Buffer) => {
      pieces.push({ side, bytes });
      to.write(bytes);
    });
    from.on('end', () => to.end()).on('error', () => to.destroy());
  }
}

function cut(pieces: readonly Piece[]): Piece[] {
  const merged: { side: Side; parts: Buffer[] }[] = [];
  for (const { side, bytes } of pieces) {
    const last = merged.at(-1);
    if (last?.side === side) last.parts.push(bytes);
    else merged.push({ side, parts: [bytes] });
  }
  return merged.flatMap(({ side, parts }) => {
    const bytes = Buffer.concat(parts);
    return Array.from({ length: Math.ceil(bytes.length / PIECE) }, (_, index) => ({
      side,
      bytes: bytes.subarray(index * PIECE, (index + 1) * PIECE),
    }));
  });
}

const REQUEST_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-session-id': '5b2f0c8e-7a53-4b0e-9a43-3d1f6f1f2a77',
  'mcp-protocol-version': '2025-11-25',
  'user-agent': 'node',
};

async function drain(message: IncomingMessage | ServerHttp2Stream | ClientHttp2Stream): Promise<void> {
  for await (const _ of message);
}

function http1Server(calls: readonly Call[], events: boolean): Server {
  let answered = 0;
  return http.createServer(async (request, response) => {
    await drain(request);
    const text = calls[answered++]?.response ?? '';
    response.setHeader('mcp-session-id', REQUEST_HEADERS['mcp-session-id']);
    if (events) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      response.write(`event: message\nid: ${answered}\ndata: ${text}\n\n`);
      response.end();
    } else {
      const length = Buffer.byteLength(text);
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length }).end(text);
    }
  });
}

async function http1Client(url: string, calls: readonly Call[]): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  for (const { request: text } of calls) {
    const headers = { ...REQUEST_HEADERS, 'content-length': Buffer.byteLength(text) };
    const request = http.request(url + PATH, { method: 'POST', agent, headers });
    request.end(text);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await drain(response);
  }
  agent.destroy();
}

function http2Server(calls: readonly Call[]): Server {
  let answered = 0;
  const server = http2.createServer();
  server.on('stream', async (stream: ServerHttp2Stream) => {
    await drain(stream);
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(calls[answered++]?.response ?? '');
  });
  return server;
}

async function http2Client(url: string, calls: readonly Call[]): Promise<void> {
  const session = http2.connect(url);
  for (const { request: text } of calls) {
    const stream = session.request({ ':method': 'POST', ':path': PATH, ...REQUEST_HEADERS });
    stream.end(text);
    await drain(stream);
  }
  session.close();
  await once(session, 'close');
}
