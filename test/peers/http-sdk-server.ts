// SPDX-License-Identifier: Apache-2.0
/**
 * A server on the official SDK over HTTP, at $PORT of $HOST (127.0.0.1); with TLS if $TLS_CERT and $TLS_KEY are there.
 * Argument: `session` (answers as event streams, resumable), `json` (answers as JSON), `stateless`, or `sse` (the
 * deprecated transport of 2024-11-05). Makes the file $READY when it has a session.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  type JSONRPCMessage,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';

const mode = process.argv[2];
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] });

function createServer(): Server {
  const server = new Server(
    { name: 'sdk-http-server', version: '7.8.9' },
    { capabilities: { tools: { listChanged: true }, logging: {} } },
  );
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [{ name: 'echo', inputSchema: { type: 'object' as const } }],
  }));
  server.setRequestHandler(
    CallToolRequestSchema,
    async ({ params: { name, arguments: args = {} } }, extra) => {
      const progress = (step: number) =>
        extra.sendNotification({
          method: 'notifications/progress',
          params: { progressToken: extra._meta?.progressToken ?? 'none', progress: step, total: 3 },
        });
      switch (name) {
        case 'echo':
          return text(String(args['message']));
        case 'steps':
          for (let step = 1; step <= 3; step++) await progress(step);
          // The SDK's client forgets notifications that come together with the answer.
          await sleep(20);
          return text('done');
        case 'fail':
          return { ...text('failed'), isError: true };
        case 'large':
          return text('ü'.repeat(Number(args['bytes']) / 2));
        // A request to the client on the stream that will carry the answer.
        case 'sample': {
          const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: 'Grüße?' } }];
          const { content } = await server.createMessage(
            { messages, maxTokens: 10 },
            { relatedRequestId: extra.requestId },
          );
          return text(JSON.stringify(content));
        }
        // A request to the client on the standalone stream.
        case 'roots':
          return text(JSON.stringify((await server.listRoots()).roots));
        // A notification on the standalone stream.
        case 'changed':
          await server.sendToolListChanged();
          return text('sent');
        // The connection ends before the answer, which waits in the event store for the client to come back.
        case 'drop':
          await progress(1);
          extra.closeSSEStream?.();
          await progress(2);
          await progress(3);
          return text('resumed');
        default:
          throw new Error(`no tool ${name}`);
      }
    },
  );
  return server;
}

class Events implements EventStore {
  readonly #events: { id: string; stream: string; message: JSONRPCMessage }[] = [];

  async storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    const id = `${stream}/${this.#events.length}`;
    this.#events.push({ id, stream, message });
    return id;
  }

  async replayEventsAfter(
    last: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const at = this.#events.findIndex(({ id }) => id === last);
    const stream = this.#events[at]?.stream ?? '';
    for (const { id, message } of this.#events.slice(at + 1).filter((event) => event.stream === stream))
      if (Object.keys(message).length) await send(id, message);
    return stream;
  }
}

const { TLS_CERT, TLS_KEY, PORT, HOST = '127.0.0.1', READY } = process.env;
const sessions = new Map<string, StreamableHTTPServerTransport | SSEServerTransport>();

async function streamable(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const known = sessions.get(String(request.headers['mcp-session-id']));
  if (known instanceof StreamableHTTPServerTransport) return known.handleRequest(request, response);
  const transport = new StreamableHTTPServerTransport({
    enableJsonResponse: mode === 'json',
    ...(mode === 'stateless'
      ? {}
      : {
          sessionIdGenerator: randomUUID,
          eventStore: new Events(),
          retryInterval: 20,
          onsessioninitialized: (id: string) => {
            sessions.set(id, transport);
            if (READY) writeFileSync(READY, '');
          },
        }),
  });
  // Its declaration is not made for exactOptionalPropertyTypes.
  await createServer().connect(transport as unknown as Parameters<Server['connect']>[0]);
  await transport.handleRequest(request, response);
}

async function deprecated(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', 'http://localhost');
  if (request.method === 'GET') {
    const transport = new SSEServerTransport('/message', response);
    sessions.set(transport.sessionId, transport);
    return createServer().connect(transport);
  }
  const transport = sessions.get(url.searchParams.get('sessionId') ?? '');
  if (transport instanceof SSEServerTransport) await transport.handlePostMessage(request, response);
}

/** An emulated machine takes minutes until mcpspy watches; connections that it joins are to be there still. Seconds. */
const KEPT_ALIVE = 600;

const answer = (request: IncomingMessage, response: ServerResponse) => {
  // The SDK sets Connection itself, and then Node does not say how long it waits: a client hangs up after 4 s.
  response.setHeader('keep-alive', `timeout=${KEPT_ALIVE}`);
  if (!/^\/(mcp|sse|message)($|\?)/.test(request.url ?? '')) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not here');
    return;
  }
  (mode === 'sse' ? deprecated : streamable)(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
};
const server =
  TLS_CERT && TLS_KEY
    ? https.createServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) }, answer)
    : http.createServer(answer);
server.keepAliveTimeout = KEPT_ALIVE * 1000;
server.listen(Number(PORT), HOST);
