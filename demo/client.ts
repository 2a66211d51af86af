// SPDX-License-Identifier: Apache-2.0
/**
 * A real conversation to watch: a client on the official SDK that starts the official
 * server-everything over stdio and over HTTP, and exercises it. It knows nothing of mcpspy.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';

const server = fileURLToPath(
  new URL('../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [server, 'stdio'],
  stderr: 'pipe',
});
transport.stderr?.on('data', () => {});
const client = new Client({ name: 'mcpspy-demo', version: '1.0.0' });
await client.connect(transport);

const { tools } = await client.listTools();
console.log(`${tools.length} tools: ${tools.map((tool) => tool.name).join(', ')}`);
await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } });

const { resources } = await client.listResources();
const [first] = resources;
if (first) await client.readResource({ uri: first.uri });
await client
  .readResource({ uri: 'demo://no/such/resource' })
  .catch((error: Error) => console.log(`as expected: ${error.message}`));

const { prompts } = await client.listPrompts();
const simple = prompts.find((prompt) => !prompt.arguments?.some((argument) => argument.required));
if (simple) await client.getPrompt({ name: simple.name });

await client.callTool(
  { name: 'trigger-long-running-operation', arguments: { duration: 2, steps: 4 } },
  undefined,
  { onprogress: ({ progress, total }) => console.log(`progress ${progress} of ${total}`) },
);
const wrong = await client
  .callTool({ name: 'get-sum', arguments: { a: 'two', b: 40 } })
  .catch((error: Error) => ({ isError: error.message }));
console.log(`a tool that fails: isError ${wrong.isError !== undefined}`);

const megabyte = 'x'.repeat(1 << 20);
const echoed = await client.callTool({ name: 'echo', arguments: { message: megabyte } });
console.log(`echo of 1 MiB came back with ${JSON.stringify(echoed).length} bytes`);
await client.close();

// The same server once more, over Streamable HTTP.
const port = await freePort();
const remote = spawn(process.execPath, [server, 'streamableHttp'], {
  env: { ...process.env, PORT: String(port) },
  stdio: 'ignore',
});
const url = new URL(`http://127.0.0.1:${port}/mcp`);
const overHttp = new Client({ name: 'mcpspy-demo', version: '1.0.0' });
const session = await connected(overHttp, url);
await overHttp.callTool({ name: 'echo', arguments: { message: 'hello over HTTP' } });
await overHttp.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } });
await session.terminateSession();
await overHttp.close();
remote.kill();
console.log('the same over HTTP: done');

/** A port that nobody listens on at the moment. */
async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  listener.close();
  return port;
}

/** Connects as soon as the server listens. */
async function connected(client: Client, url: URL): Promise<StreamableHTTPClientTransport> {
  for (let attempt = 1; ; attempt++) {
    const transport = new StreamableHTTPClientTransport(url);
    try {
      // Its type allows `undefined` where the interface's does not, under exactOptionalPropertyTypes.
      await client.connect(transport as Transport);
      return transport;
    } catch (error) {
      if (attempt === 50) throw error;
      await setTimeout(100);
    }
  }
}
