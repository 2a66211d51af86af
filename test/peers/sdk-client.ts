// SPDX-License-Identifier: Apache-2.0
/**
 * A client on the official SDK that starts an official server and exercises it; keeps
 * account at the transport. Arguments: everything|filesystem|memory, then a directory it may use.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { Account } from './truth.ts';

const [which = '', directory = ''] = process.argv.slice(2);
const account = new Account('client', 'link');

class AccountedTransport extends StdioClientTransport {
  override send(message: JSONRPCMessage): Promise<void> {
    account.sent(JSON.stringify(message));
    return super.send(message);
  }

  override async start(): Promise<void> {
    await super.start();
    // `onmessage` hands out parsed messages; their exact text is only to be had where the bytes come in.
    const { _process: server } = this as unknown as { _process: { stdout: NodeJS.ReadableStream } };
    server.stdout.prependListener('data', account.lines('received'));
    // A server that starts slowly is told nothing before it listens.
    const ready = process.env['MCPSPY_READY'];
    while (ready && !existsSync(ready)) await sleep(20);
  }
}

const program = fileURLToPath(
  new URL(`../../node_modules/@modelcontextprotocol/server-${which}/dist/index.js`, import.meta.url),
);
const transport = new AccountedTransport({
  command: process.execPath,
  args: [program, which === 'everything' ? 'stdio' : directory],
  env: {
    ...(process.env as Record<string, string>),
    MEMORY_FILE_PATH: join(directory, 'memory.jsonl'),
    NODE_OPTIONS: `--import=${new URL('record-stdio.ts', import.meta.url)}`,
  },
  stderr: 'ignore',
});
const client = new Client({ name: 'sdk-client', version: '4.5.6' }, { capabilities: {} });
await client.connect(transport);
const call = (name: string, args: Record<string, unknown>) => client.callTool({ name, arguments: args });
const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => Promise.reject(new Error('was not refused')),
    () => {},
  );

await client.listTools();
if (which === 'everything') {
  await client.ping();
  await call('echo', { message: 'grüße, 世界 🌍' });
  await call('get-sum', { a: 2, b: 40 });
  const { resources } = await client.listResources();
  const [first] = resources;
  if (first) await client.readResource({ uri: first.uri });
  await client.listResourceTemplates();
  await refused(client.readResource({ uri: 'demo://no/such/resource' }));
  const { prompts } = await client.listPrompts();
  const simple = prompts.find((prompt) => !prompt.arguments?.some((argument) => argument.required));
  if (simple) await client.getPrompt({ name: simple.name });
  await refused(client.getPrompt({ name: 'no-such-prompt' }));
  let progress = 0;
  await client.callTool(
    { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 4 } },
    undefined,
    {
      onprogress: () => progress++,
    },
  );
  if (progress === 0) throw new Error('no progress came');
  const wrong = await call('get-sum', { a: 'two', b: 40 });
  if (!wrong.isError) throw new Error('get-sum took a string');
  await call('echo', { message: 'x'.repeat(1 << 20) });
  await Promise.all(
    Array.from({ length: 50 }, (_, number) => call('echo', { message: `at once ${number}` })),
  );
} else if (which === 'filesystem') {
  const place = join(directory, 'place');
  mkdirSync(place);
  writeFileSync(join(place, 'a.txt'), 'one\ntwo\r\n"three"\t\u0001');
  await call('list_allowed_directories', {});
  await call('read_text_file', { path: join(place, 'a.txt') });
  await call('write_file', { path: join(place, 'b.txt'), content: 'ü'.repeat(100_000) });
  await call('read_text_file', { path: join(place, 'b.txt') });
  await call('list_directory', { path: place });
  const outside = await call('read_text_file', { path: '/etc/hostname' });
  if (!outside.isError) throw new Error('a file outside was given');
} else {
  const entities = [{ name: 'probe', entityType: 'test', observations: ['sees', 'everything'] }];
  await call('create_entities', { entities });
  await call('add_observations', {
    observations: [{ entityName: 'probe', contents: ['\u2028 and \u{1f600}'] }],
  });
  await call('read_graph', {});
  await call('search_nodes', { query: 'probe' });
  await call('delete_entities', { entityNames: ['probe'] });
}
await client.close();
