// SPDX-License-Identifier: Apache-2.0
/**
 * A client on `fetch` alone. Arguments: URL of the endpoint, then what to do and with how much of it, then headers to
 * send with each request. $ACCESS_TOKEN: what `repeats` has in its query.
 */
const [url = '', scenario = '', amount = '1', ...lines] = process.argv.slice(2);
const count = Number(amount);
const more = Object.fromEntries(lines.map((line) => line.split(': ', 2)));

let id = 0;
function message(name: string, args: object): string {
  return JSON.stringify({
    jsonrpc: '2.0',
    id: ++id,
    method: 'tools/call',
    params: { name, arguments: args },
  });
}
async function post(body: string, query = ''): Promise<number> {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...more,
  };
  const response = await fetch(url + query, { method: 'POST', headers, body });
  let size = 0;
  for await (const chunk of response.body ?? []) size += chunk.length;
  if (!response.ok) throw new Error(`${response.status} for ${body.slice(0, 200)}`);
  return size;
}
async function get(path: string): Promise<void> {
  const response = await fetch(new URL(path, url));
  for await (const _ of response.body ?? []);
}
const clientInfo = { name: 'fetch-client', version: '1' };
const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 'begin',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo },
});

const scenarios: Record<string, () => Promise<void>> = {
  /** So many connections at once, three times. */
  async crowd() {
    for (let round = 0; round < 3; round++)
      await Promise.all(
        Array.from({ length: count }, (_, number) => post(message('gather', { count, round, number }))),
      );
  },
  /** Each content coding, as JSON and as events, small and large. */
  async codings() {
    for (const coding of ['gzip', 'deflate', 'br', 'zstd'])
      for (const stream of ['', '&stream'])
        for (const bytes of [0, 10, 1_000_000])
          await post(message('large', { bytes, coding }), `?coding=${coding}${stream}`);
    for (const coding of ['gzip', 'br', 'zstd'])
      await post(message('events', { count: 2000 }), `?coding=${coding}&stream`);
  },
  /** An answer of so many bytes. */
  async large() {
    const size = await post(message('large', { bytes: count }));
    if (size < count) throw new Error(`${size} bytes came`);
    await post(message('echo', { text: 'x'.repeat(4_000_000) }));
  },
  /** An event stream of so many events. */
  async events() {
    await post(message('events', { count }));
    await post(message('echo', { after: 'the events' }));
  },
  /** What is not MCP, before and between. */
  async foreign() {
    await get('/api/items');
    await get('/download');
    await post(message('echo', { text: 'first' }));
    await get('/api/between');
    await get('/private');
    await post(message('echo', { text: 'second' }));
  },
  /** Refusals by HTTP, among calls that go well. */
  async refusals() {
    await get('/mcp');
    for (const status of [401, 403, 404, 500, 503]) {
      const refused = await post(message('echo', { status }), `?status=${status}`).then(
        () => false,
        () => true,
      );
      if (!refused) throw new Error(`${status} was not refused`);
    }
    await post(message('echo', { after: 'all' }));
  },
  /** What was sent is in the answer: as text, as JSON, and with a status that is none of an error. */
  async repeats() {
    for (const query of ['status=401&repeat', 'status=401&repeat=json', 'status=200&repeat=json'])
      await post(message('echo', { query }), `?${query}&access_token=${process.env['ACCESS_TOKEN']}`).catch(
        () => {},
      );
    await post(message('echo', { after: 'all' }));
  },
};

if (scenario !== 'foreign') await post(initialize);
await scenarios[scenario]?.();
