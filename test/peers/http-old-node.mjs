// SPDX-License-Identifier: Apache-2.0
/**
 * A client and a server of HTTPS on node:https for an old Node, each with an account as http-truth.ts has it.
 *
 *   http-old-node.mjs server           at $PORT, with $TLS_CERT and $TLS_KEY
 *   http-old-node.mjs client URL       trusts $TLS_CERT
 */
import { openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import https from 'node:https';

const { TLS_CERT, TLS_KEY, PORT, MCPSPY_TRUTH } = process.env;
const [role, url] = process.argv.slice(2);
const now = () => Number(process.hrtime.bigint());
const account = openSync(
  `${MCPSPY_TRUTH}/${String(process.hrtime.bigint()).padStart(20, '0')}-${process.pid}.http`,
  'a',
);
const note = (entry) => writeSync(account, `${JSON.stringify({ time: now(), ...entry })}\n`);
note({
  event: 'start',
  pid: process.pid,
  comm: readFileSync('/proc/self/comm', 'utf8').trimEnd(),
  exe: readlinkSync('/proc/self/exe'),
  argv: readFileSync('/proc/self/cmdline', 'utf8').replace(/\0+$/, '').split('\0'),
});

let exchanges = 0;
/** Notes the beginning of one. @returns what notes its messages and its head. */
function begin(socket, headers, path) {
  const exchange = ++exchanges;
  const own = `127.0.0.1:${socket.localPort}`;
  const other = `127.0.0.1:${socket.remotePort}`;
  const ends = role === 'client' ? { client: own, server: other } : { client: other, server: own };
  note({ event: 'exchange', exchange, role, tls: true, ...ends, method: 'POST', path, headers });
  return {
    message: (side, text, time = now()) =>
      note({ event: 'message', exchange, side, form: 'body', text, time }),
    head: (status, headers) => note({ event: 'head', exchange, status, headers }),
  };
}

async function textOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function serve() {
  const tls = { cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) };
  const server = https.createServer(tls, async (request, response) => {
    const exchange = begin(request.socket, request.headers, request.url);
    const asked = await textOf(request);
    exchange.message('request', asked);
    const { id, method, params } = JSON.parse(asked);
    if (id === undefined) {
      response.writeHead(202).end();
      exchange.head(202, {});
      return;
    }
    const opening = {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 'old-node', version: '1' },
    };
    const content = [{ type: 'text', text: JSON.stringify(params?.arguments ?? {}) }];
    const answer = JSON.stringify({
      jsonrpc: '2.0',
      id,
      result: method === 'initialize' ? opening : { content },
    });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) };
    const time = now();
    response.writeHead(200, headers).end(answer);
    exchange.head(200, headers);
    exchange.message('response', answer, time);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(PORT), '127.0.0.1');
}

const agent = new https.Agent({
  keepAlive: true,
  maxSockets: 1,
  ...(TLS_CERT ? { ca: readFileSync(TLS_CERT) } : {}),
});

async function post(text) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const time = now();
  const request = https.request(url, { method: 'POST', agent, headers });
  // In several writes where it is long.
  for (let at = 0; at < text.length; at += 40_000) request.write(text.slice(at, at + 40_000));
  request.end();
  const response = await new Promise((resolve, reject) =>
    request.once('response', resolve).once('error', reject),
  );
  const exchange = begin(response.socket, { ...headers, host: request.getHeader('host') }, request.path);
  exchange.message('request', text, time);
  const answer = await textOf(response);
  exchange.head(response.statusCode, response.headers);
  exchange.message('response', answer);
}

async function converse() {
  const ask = (id, method, params) => post(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
  const clientInfo = { name: 'old-node', version: '1' };
  await ask(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  for (const [index, size] of [0, 10, 16_384, 300_000, 3].entries())
    await ask(index + 1, 'tools/call', { name: 'echo', arguments: { text: 'ü'.repeat(size) } });
  agent.destroy();
}

if (role === 'server') serve();
else await converse();
