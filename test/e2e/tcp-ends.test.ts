// SPDX-License-Identifier: Apache-2.0
/** How TCP connections end, where only one end is watched: nothing is lost, and nothing is waited for. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openConnections } from '../../src/sensor/open-sockets.ts';
import { attach, cannotCapture, captureRun, NODE, scratch } from '../support/mcpspy.ts';
import { PYTHON } from '../support/truth.ts';

const skip = cannotCapture;
const BODY = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
const REPLY = `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"${'x'.repeat(2000)}"}]}}`;
const RESPONSE = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${REPLY.length}\r\n\r\n${REPLY}`;

/** Out of scope: this process. It answers once, and hangs up at once, or breaks the connection off. */
let breaksOff = false;
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.once('data', () => {
    if (breaksOff) socket.write(RESPONSE, () => setTimeout(() => socket.resetAndDestroy(), 50));
    else socket.end(RESPONSE);
  });
  socket.on('error', () => {});
});
let port = 0;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as net.AddressInfo).port;
});
after(() => server.close());

/** A client that asks, lets the answer and the end of it come, and reads both by one call, or by small ones. */
const client = (half: boolean, size: number, at = port, first = '') => [
  PYTHON,
  '-c',
  `
import socket, time
s = socket.create_connection(("127.0.0.1", ${at}))
${first}
body = ${JSON.stringify(BODY)}
s.sendall(f"POST /mcp HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}".encode())
if ${half ? 'True' : 'False'}: s.shutdown(socket.SHUT_WR)
time.sleep(0.3)
got = 0
while got < ${RESPONSE.length}: got += len(s.recv(${size}))
s.close()
`,
];

/** A server in scope that hears a request and hangs up. */
const SILENT = `
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
peer, _ = listener.accept()
peer.recv(65536)
peer.close()
`;

test('a request that a server does not answer before it hangs up has not been answered', {
  skip,
}, async () => {
  const directory = scratch();
  const output = join(directory, 'port');
  const capturing = captureRun(['/bin/sh', '-c', `exec '${PYTHON}' -c '${SILENT}' > '${output}'`]);
  while (!existsSync(output) || !readFileSync(output, 'utf8').includes('\n')) await sleep(20);
  const socket = net.connect(Number(readFileSync(output, 'utf8')), '127.0.0.1');
  socket.write(`POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`);
  const capture = await capturing;
  assert.equal(capture.code, 0, capture.stderr);
  const [told, ...more] = capture.lines.filter(({ kind }) => kind === 'http');
  assert.deepEqual(more, []);
  assert.deepEqual(
    [told?.['end'], told?.['left']],
    ['closed', [{ id: 1, method: 'tools/list', status: 'error' }]],
  );
});

/** Out of scope: it ends together with its answer. */
const SHORT_LIVED = `
const server = require('net').createServer((socket) =>
  socket.once('data', () => socket.end(process.env.RESPONSE, () => process.exit())));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

test('--pid: who was at the other end of an open connection is known, though it ends with its first answer', {
  skip,
}, async () => {
  const peer = spawn(NODE, ['-e', SHORT_LIVED], {
    env: { ...process.env, RESPONSE },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(peer.stdout, 'data');
  const [file = '', ...args] = client(false, 65_536, Number(said), 'input(); ');
  const watched = spawn(file, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  // It is connected when its peer is.
  while (!openConnections(watched.pid ?? 0).length) await sleep(20);
  const attached = await attach([watched.pid ?? 0]);
  watched.stdin.end('\n');
  const capture = await attached.ended();
  assert.deepEqual(
    capture.messages.map(({ from, to }) => [from?.pid, to?.pid]),
    [
      [watched.pid, peer.pid],
      [peer.pid, watched.pid],
    ],
  );
});

/** A client that uses its port again for each connection, and a server, in two threads: both ends begin at once. */
const REUSING = `
import socket, struct, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    for turn in range(400):
        peer, _ = listener.accept()
        peer.recv(65536)
        body = b'{"jsonrpc":"2.0","id":%d,"result":{}}' % turn
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        try: peer.recv(1)
        except ConnectionResetError: pass
        peer.close()
thread = threading.Thread(target=serve)
thread.start()
port = 0
for turn in range(400):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", port))
    port = client.getsockname()[1]
    client.connect(listener.getsockname())
    body = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}' % turn
    client.sendall(b"POST /mcp HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    client.recv(65536)
    # Without a word, and so without a time in which the port rests.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
thread.join()
`;

test('addresses that are used again at once, 400 times: each connection has its own request and answer', {
  skip,
}, async () => {
  const capture = await captureRun([PYTHON, '-c', REUSING]);
  assert.equal(capture.code, 0, capture.stderr);
  assert.deepEqual(
    capture.messages.map(({ id, type, status }) => [id, type, status]),
    Array.from({ length: 400 }, (_, id) => [
      [id, 'request', 'pending'],
      [id, 'response', 'ok'],
    ]).flat(),
  );
  assert.deepEqual(capture.gaps, []);
});

/** A server that answers each connection's request, and closes it. */
const ANSWERING = `
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    peer, _ = listener.accept()
    peer.recv(65536)
    peer.sendall(os.environ["RESPONSE"].encode())
    peer.close()
`;

test('--pid of a server: who has asked is known, though each connects once and is gone at once', {
  skip,
}, async () => {
  const watched = spawn(PYTHON, ['-c', ANSWERING], {
    env: { ...process.env, RESPONSE },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(watched.stdout, 'data');
  const attached = await attach([watched.pid ?? 0]);
  const asked: number[] = [];
  for (let count = 0; count < 10; count++) {
    const header = 'Content-Type: application/json';
    const url = `http://127.0.0.1:${Number(said)}/mcp`;
    const curl = spawn('curl', ['-s', '-H', header, '-d', BODY, url], { stdio: 'ignore' });
    asked.push(curl.pid ?? 0);
    await once(curl, 'exit');
  }
  watched.kill();
  const capture = await attached.ended();
  const requests = capture.messages.filter(({ type }) => type === 'request');
  assert.deepEqual(
    requests.map(({ from, to }) => [from?.pid, from?.comm, to?.pid]),
    asked.map((pid) => [pid, 'curl', watched.pid]),
  );
});

for (const [how, half, reset] of [
  ['the server has hung up', false, false],
  ['both sides have hung up', true, false],
  ['the server has broken it off', false, true],
] as const)
  for (const size of [65_536, 100])
    test(`a response that is read ${size} bytes at a time after ${how} is whole`, { skip }, async () => {
      breaksOff = reset;
      const capture = await captureRun(client(half, size));
      assert.equal(capture.code, 0, capture.stderr);
      assert.deepEqual(
        capture.messages.map(({ raw, status }) => [raw, status]),
        [
          [BODY, 'pending'],
          [REPLY, 'ok'],
        ],
      );
      assert.deepEqual(capture.gaps, []);
    });
