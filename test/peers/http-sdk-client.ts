// SPDX-License-Identifier: Apache-2.0
/** A client on the official SDK over HTTP. Arguments: the server's URL, then what to do. */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { patience } from '../support/patience.ts';

const [url = '', scenario = '', ...more] = process.argv.slice(2);
const headers = { authorization: 'Bearer not-to-be-shown-anywhere' };
const client = new Client(
  { name: 'sdk-http-client', version: '4.5.6' },
  { capabilities: { sampling: {}, roots: { listChanged: true }, elicitation: {} } },
);
client.setRequestHandler(ListRootsRequestSchema, () => ({
  roots: [{ uri: 'file:///wurzel', name: 'Wurzel' }],
}));
client.setRequestHandler(CreateMessageRequestSchema, () => ({
  model: 'none',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'Grüße! 🌍' },
}));
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' as const }));
let changes = 0;
client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
  changes++;
});

const call = async (name: string, args: Record<string, unknown> = {}, options = {}): Promise<string> => {
  const { content } = await client.callTool({ name, arguments: args }, undefined, options);
  return (content as { text: string }[])[0]?.text ?? '';
};
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > patience(20_000)) throw new Error(`waited in vain for ${what}`);
    await sleep(5);
  }
}
function expect(actual: unknown, wanted: unknown): void {
  if (actual !== wanted)
    throw new Error(`${String(actual).slice(0, 200)}, not ${String(wanted).slice(0, 200)}`);
}

/** What every server can do. */
async function basics(): Promise<void> {
  await client.listTools();
  await client.ping();
  expect(await call('echo', { message: 'grüße, 世界 🌍 "\n\u2028' }), 'grüße, 世界 🌍 "\n\u2028');
  await call('fail');
  await call('none').then(
    () => expect('answered', 'refused'),
    () => {},
  );
  expect((await call('large', { bytes: 300_000 })).length, 150_000);
  await client.sendRootsListChanged();
  await Promise.all(
    Array.from({ length: 20 }, (_, number) => call('echo', { message: `at once ${number}` })),
  );
}

const steps: Record<string, () => Promise<void>> = {
  basics,
  /** Notifications and requests on the stream of an answer. */
  async stream() {
    let seen = 0;
    await call('steps', {}, { onprogress: () => seen++ });
    expect(seen, 3);
    expect(JSON.parse(await call('sample')).text, 'Grüße! 🌍');
  },
  /** The same on the standalone stream. */
  async standalone() {
    // Its GET is on the way when `connect` is over; what came too early would be lost.
    await until(() => standalone, 'the standalone stream');
    expect(JSON.parse(await call('roots'))[0].name, 'Wurzel');
    const before = changes;
    await call('changed');
    await until(() => changes > before, 'the notification');
  },
  /** Comes back for the rest of a stream. */
  async resume() {
    let last = 0;
    expect(
      await call('drop', {}, { onprogress: ({ progress }: { progress: number }) => (last = progress) }),
      'resumed',
    );
    expect(last, 3);
  },
  /** Asks again for what it already has. */
  async replay() {
    const ids: string[] = [];
    await call('steps', {}, { onprogress: () => {}, onresumptiontoken: (id: string) => ids.push(id) });
    client.onerror = () => {};
    const again: string[] = [];
    const [first = ''] = ids;
    await (transport as StreamableHTTPClientTransport).resumeStream(first, {
      onresumptiontoken: (id) => again.push(id),
    });
    await until(() => again.length >= ids.length - 1, 'the events to come again');
  },
  /** What server-everything has. */
  async everything() {
    await client.listTools();
    expect(await call('echo', { message: 'grüße 🌍' }), 'Echo: grüße 🌍');
    await call('get-sum', { a: 2, b: 40 });
    await call('get-sum', { a: 'two', b: 40 });
    let seen = 0;
    await call('trigger-long-running-operation', { duration: 0.3, steps: 3 }, { onprogress: () => seen++ });
    if (seen === 0) throw new Error('no progress came');
    await call('trigger-sampling-request', { prompt: 'größe', maxTokens: 5 });
    await call('get-roots-list');
    const { resources } = await client.listResources();
    const [first] = resources;
    if (first) await client.readResource({ uri: first.uri });
    await client.listPrompts();
    await call('echo', { message: 'x'.repeat(1 << 20) });
  },
  /** What a proxy in between lets through. */
  async proxied() {
    await client.listTools();
    expect(await call('echo', { message: 'grüße 🌍' }), 'Echo: grüße 🌍');
    await call('echo', { message: 'x'.repeat(1 << 20) });
    await Promise.all(
      Array.from({ length: 20 }, (_, number) => call('echo', { message: `at once ${number}` })),
    );
  },
  async wait() {
    const [arrived = '', gate = ''] = more;
    writeFileSync(arrived, '');
    await until(() => existsSync(gate), 'the gate');
  },
  /** Long enough for /proc to be asked who is at every connection. */
  async linger() {
    await sleep(1000);
  },
  async end() {
    if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession();
  },
};

let standalone = false;
const counted: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  if (init?.method === 'GET' && response.ok) standalone = true;
  return response;
};
const transport = url.endsWith('/sse')
  ? new SSEClientTransport(new URL(url), { requestInit: { headers } })
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, fetch: counted });
// Its declaration is not made for exactOptionalPropertyTypes.
await client.connect(transport as Parameters<Client['connect']>[0]);
for (const step of scenario.split(',')) await steps[step]?.();
await client.close();
