// SPDX-License-Identifier: Apache-2.0
/**
 * JSON-RPC over a WebSocket. Arguments: `server`, at $PORT, or `client` and a URL. The server is
 * `ws`, compressing (permessage-deflate); the client is Node's own.
 */

import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { type About, address, HttpAccount } from './http-truth.ts';

const [role, url = ''] = process.argv.slice(2);
const account = new HttpAccount();
const about = { tls: false, method: 'GET', path: '/mcp', headers: {} };

function serve(): void {
  const server = new WebSocketServer({
    port: Number(process.env['PORT']),
    host: '127.0.0.1',
    path: '/mcp',
    perMessageDeflate: { threshold: 100 },
  });
  server.on('connection', (client, { socket }) => {
    const exchange = account.exchange({
      role: 'server',
      ...about,
      client: address(socket.remoteAddress, socket.remotePort),
      server: address(socket.localAddress, socket.localPort),
    });
    exchange.head(101, {});
    const send = (message: object) => {
      const text = JSON.stringify({ jsonrpc: '2.0', ...message });
      exchange.message('response', text, 'websocket');
      // In fragments, too.
      const middle = text.length >> 1;
      client.send(text.slice(0, middle), { fin: false });
      client.send(text.slice(middle), { fin: true });
    };
    client.on('message', (data) => {
      const text = String(data);
      exchange.message('request', text, 'websocket');
      const { id, method, params } = JSON.parse(text);
      if (method === 'initialize') {
        const serverInfo = { name: 'websocket-server', version: '1' };
        send({ id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo } });
      } else if (id !== undefined) {
        send({ method: 'notifications/progress', params: { progressToken: id, progress: 1 } });
        send({ id, result: { content: [{ type: 'text', text: JSON.stringify(params) }] } });
      }
    });
  });
}

async function converse(): Promise<void> {
  let socket: Socket | undefined;
  subscribe('undici:client:connected', (message) => {
    ({ socket } = message as { socket: Socket });
  });
  const websocket = new WebSocket(url, 'mcp');
  await new Promise((resolve, reject) => {
    websocket.onopen = resolve;
    websocket.onerror = reject;
  });
  const ends: Pick<About, 'client' | 'server'> = {
    client: address(socket?.localAddress, socket?.localPort),
    server: address(socket?.remoteAddress, socket?.remotePort),
  };
  const exchange = account.exchange({ role: 'client', ...about, ...ends });
  exchange.head(101, {});
  const waiting = new Map<unknown, () => void>();
  websocket.onmessage = ({ data }) => {
    exchange.message('response', data, 'websocket');
    const { id } = JSON.parse(data);
    waiting.get(id)?.();
  };
  const send = (message: object) => {
    const text = JSON.stringify({ jsonrpc: '2.0', ...message });
    exchange.message('request', text, 'websocket');
    websocket.send(text);
  };
  const ask = (id: number, method: string, params: object) => {
    const answered = new Promise<void>((resolve) => waiting.set(id, resolve));
    send({ id, method, params });
    return answered;
  };
  const clientInfo = { name: 'websocket-client', version: '1' };
  await ask(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  send({ method: 'notifications/initialized' });
  for (const [index, size] of [1, 100, 200, 70_000, 300_000].entries())
    await ask(index + 1, 'tools/call', { name: 'echo', arguments: { text: 'grüße '.repeat(size) } });
  websocket.close();
}

if (role === 'server') serve();
else await converse();
