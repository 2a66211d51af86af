// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import fc from 'fast-check';
import { serverNameOf } from './client-hello.ts';

/** What a real client sends first. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = tls.connect({
    ...options,
    host: '127.0.0.1',
    port: (server.address() as net.AddressInfo).port,
  });
  client.on('error', () => {});
  const [peer] = (await once(server, 'connection')) as [net.Socket];
  const [bytes] = (await once(peer, 'data')) as [Buffer];
  peer.destroy();
  client.destroy();
  server.close();
  return bytes;
}

test('the server name that OpenSSL sends is found', async () => {
  assert.equal(serverNameOf(await helloOf({ servername: 'mcp.example.com' })), 'mcp.example.com');
});

test('a client that names no server names none', async () => {
  assert.equal(serverNameOf(await helloOf({})), undefined);
});

test('a hello that is cut anywhere gives its name or nothing', async () => {
  const hello = await helloOf({ servername: 'mcp.example.com' });
  for (let length = 0; length <= hello.length; length++) {
    const name = serverNameOf(hello.subarray(0, length));
    assert.ok(name === undefined || name === 'mcp.example.com', name);
  }
});

test('bytes of any kind give a string or nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      serverNameOf(Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, ...bytes]));
      serverNameOf(Buffer.from(bytes));
    }),
  );
});
