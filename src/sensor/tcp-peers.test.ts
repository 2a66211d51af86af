// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HeldSocket } from './messages.ts';
import { PeerFinder, peersOf } from './tcp-peers.ts';

const skip = process.getuid?.() === 0 ? false : 'not root';

const server = net.createServer();
let port = 0;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as net.AddressInfo).port;
});
after(() => server.close());

/** Another process that is connected to this one; `forks`: and a child of its own, too. */
async function connect(forks = false) {
  const program = `require('net').connect(${port}, '127.0.0.1'); setInterval(() => {}, 1000)`;
  const shell = `exec 3<>/dev/tcp/127.0.0.1/${port}; sleep 60 & read line`;
  const child = forks
    ? spawn('bash', ['-c', shell], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    : spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  socket.on('error', () => {});
  const ends = {
    near: { ip: '127.0.0.1', port },
    far: { ip: '127.0.0.1', port: socket.remotePort ?? 0 },
  };
  const close = async () => {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await once(child, 'exit');
    socket.destroy();
  };
  return { child, ...ends, close };
}

const of = (held: readonly HeldSocket[], at: { port: number }) =>
  held.find(({ local }) => local.port === at.port);

test('the other end of a connection of a watched process is the process that holds it', {
  skip,
}, async () => {
  const { child, near, far, close } = await connect();
  const held = peersOf([process.pid]);
  assert.equal(of(held, far)?.process.pid, child.pid);
  assert.deepEqual(of(held, far)?.remote, near);
  // Seen from there, it is this one; what is connected with somebody else is left out.
  assert.deepEqual(
    peersOf([child.pid ?? 0]).map(({ local, process: { pid } }) => [local.port, pid]),
    [[port, process.pid]],
  );
  await close();
});

test('of a socket that several processes hold nobody is named', { skip }, async () => {
  const { far, close } = await connect(true);
  await sleep(100);
  assert.equal(of(peersOf([process.pid]), far), undefined);
  await close();
});

test('both ends of new connections are found, many by one look', { skip }, async () => {
  const first = await connect();
  const second = await connect();
  const told: (readonly HeldSocket[])[] = [];
  const finder = new PeerFinder((held) => told.push(held));
  for (const { near, far } of [first, second])
    finder.find({ type: 'connection', near: process.pid, source: far, destination: near });
  for (let waited = 0; !told.length && waited < 5000; waited += 10) await sleep(10);
  assert.deepEqual(
    told.map((held) => held.map(({ local, process: { pid } }) => [local.port, pid])),
    [
      [
        [first.far.port, first.child.pid],
        [port, process.pid],
        [second.far.port, second.child.pid],
        [port, process.pid],
      ],
    ],
  );
  await first.close();
  await second.close();
});

test('a process that is gone has no connections', () => {
  assert.deepEqual(peersOf([2 ** 22 + 1]), []);
});
