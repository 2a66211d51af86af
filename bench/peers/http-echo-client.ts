// SPDX-License-Identifier: Apache-2.0
/** Times `tools/call echo` through the official SDK over Streamable HTTP. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { withServer } from './http-serve.ts';
import { timeCalls } from './time-calls.ts';

await withServer('http-echo-server.ts', [], async (url) => {
  const client = new Client({ name: 'bench', version: '1.0.0' });
  // Its declaration is not made for exactOptionalPropertyTypes.
  await client.connect(new StreamableHTTPClientTransport(url) as unknown as Parameters<Client['connect']>[0]);
  await timeCalls(client, 2000);
  await client.close();
});
