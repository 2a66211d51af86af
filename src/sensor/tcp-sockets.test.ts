// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Address } from '../streams/frame.ts';
import { anyOpen, openConnections } from './open-sockets.ts';
import { findTcpSocket } from './tcp-sockets.ts';

/** A connection of this process with itself; `handle.fd` is libuv's. */
async function connected(listen: string, to: string) {
  const server = net.createServer().listen(0, listen);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const accepted = once(server, 'connection');
  const client = net.connect(port, to);
  await once(client, 'connect');
  const [peer] = (await accepted) as [net.Socket];
  const close = () => {
    client.destroy();
    peer.destroy();
    server.close();
  };
  return { client, peer, close };
}

function inodeOf(socket: net.Socket): number {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  return Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]);
}

/** Asks again, as one does: the table that was read a moment ago serves those who come too early. */
async function found(local: Address, remote: Address): Promise<number | undefined> {
  for (let tries = 0; tries < 40; tries++) {
    const inode = findTcpSocket({ carrier: 'tcp', near: process.pid, local, remote });
    if (inode !== undefined) return inode;
    await sleep(50);
  }
  return undefined;
}

for (const [listen, to] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '127.0.0.1'],
] as const)
  test(`both ends of a connection to ${to} are found when the server listens on ${listen}`, async () => {
    const { client, peer, close } = await connected(listen, to);
    const address = (port: number | undefined) => ({ ip: to, port: port ?? 0 });
    const [local, remote] = [address(client.localPort), address(client.remotePort)];
    assert.equal(await found(local, remote), inodeOf(client));
    assert.equal(await found(remote, local), inodeOf(peer));
    close();
  });

test('addresses that no socket has are not found', () => {
  const local = { ip: '192.0.2.1', port: 1 };
  assert.equal(findTcpSocket({ carrier: 'tcp', near: process.pid, local, remote: local }), undefined);
});

test('of the sockets of a process, connections are told from those that listen, and when they are closed', async () => {
  const before = openConnections(process.pid).length;
  const { client, peer, close } = await connected('127.0.0.1', '127.0.0.1');
  const open = openConnections(process.pid);
  const links = open.map(({ link }) => link);
  for (const socket of [client, peer]) assert.ok(links.includes(`socket:[${inodeOf(socket)}]`));
  // Not the one that listens.
  assert.equal(open.length, before + 2);
  const own = open.filter(({ link }) =>
    [client, peer].some((socket) => link.endsWith(`[${inodeOf(socket)}]`)),
  );
  assert.ok(anyOpen(process.pid, own));
  close();
  await Promise.all([once(client, 'close'), once(peer, 'close')]);
  assert.ok(!anyOpen(process.pid, own));
});
