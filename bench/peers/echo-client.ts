// SPDX-License-Identifier: Apache-2.0
/** Times `tools/call echo` through the official SDK over stdio; the arguments are the server's command. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { timeCalls } from './time-calls.ts';

const [command = '', ...args] = process.argv.slice(2);
const client = new Client({ name: 'bench', version: '1.0.0' });
await client.connect(new StdioClientTransport({ command, args, stderr: 'ignore' }));
await timeCalls(client, 3000);
await client.close();
