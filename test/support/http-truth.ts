// SPDX-License-Identifier: Apache-2.0
/** What the peers say of their HTTP (test/peers/http-truth.ts, http_truth.py): exchanges and the messages in them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after } from 'node:test';
import type { Peer } from './truth.ts';

export type Side = 'request' | 'response';

/** One JSON-RPC message as it stood in a body, an event or a WebSocket. Times are CLOCK_MONOTONIC, nanoseconds. */
export interface HttpMessage {
  readonly side: Side;
  readonly form: 'body' | 'sse' | 'websocket';
  readonly text: string;
  readonly eventId?: string;
  /** Just before it was sent, by the account of its sender; `undefined` where that one keeps none. */
  readonly sent: number | undefined;
  /** Just after all of it had come. */
  readonly received: number | undefined;
}

/** An exchange by the account of one of its ends, or, in `Sighting`, of both. */
interface Exchange {
  readonly tls: boolean;
  /** `ip:port`; absent on a unix socket. */
  readonly client?: string;
  readonly server?: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number | undefined;
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly time: number;
}

export interface Accounted extends Exchange {
  readonly peer: Peer;
  readonly role: 'client' | 'server';
  readonly messages: readonly HttpMessage[];
}

/**
 * What a capture has to hold once: an exchange, by the accounts of both its ends or of the one that keeps one. Inside
 * TLS it may be seen at both ends, but it is still one.
 */
export interface Sighting extends Exchange {
  readonly ends: Readonly<Partial<Record<'client' | 'server', Peer>>>;
  readonly messages: readonly HttpMessage[];
  /** It began before the capture: its head may be unknown. */
  readonly joined?: boolean;
}

/** What of this was sent after a moment (CLOCK_MONOTONIC, nanoseconds). */
export function since(sightings: readonly Sighting[], moment: number): Sighting[] {
  return sightings.map((sighting) => ({
    ...sighting,
    messages: sighting.messages.filter(({ sent, received }) => (sent ?? received ?? 0) > moment),
    joined: sighting.time < moment,
  }));
}

/** What the other end of these exchanges, which keeps no account, must have seen: the same bytes at an unknown time. */
export function seenBy(peer: Peer, role: Accounted['role'], exchanges: readonly Accounted[]): Accounted[] {
  return exchanges.map((exchange) => ({
    ...exchange,
    peer,
    role,
    messages: exchange.messages.map((message) => ({ ...message, sent: undefined, received: undefined })),
  }));
}

/** Where the peers of one test leave their accounts. */
export class HttpTruth {
  readonly directory: string;
  readonly env: { readonly MCPSPY_TRUTH: string };

  constructor(directory = mkdtempSync(join(tmpdir(), 'mcpspy-truth-'))) {
    this.directory = directory;
    this.env = { MCPSPY_TRUTH: directory };
    after(() => rmSync(directory, { recursive: true, force: true }));
  }

  /** Who a server is that keeps no account (`self` and `worker` of a step). */
  peer(name: string): Peer {
    return asPeer(JSON.parse(readFileSync(join(this.directory, `${name}.peer`), 'utf8')));
  }

  /** Every exchange by every account of it, in the order in which they began. */
  accounts(): Accounted[] {
    return readdirSync(this.directory)
      .filter((name) => name.endsWith('.http'))
      .flatMap((name) => readAccount(join(this.directory, name)))
      .sort((a, b) => a.time - b.time);
  }

  /** @param more Exchanges of peers that keep no account. */
  sightings(more: readonly Accounted[] = []): Sighting[] {
    const accounts = [...this.accounts(), ...more].sort((a, b) => a.time - b.time);
    return withoutReplays(together(accounts).sort((a, b) => a.time - b.time));
  }
}

/** Names a peer as mcpspy does. */
export function asPeer({ pid, comm, exe, argv }: Peer): Peer {
  // Node calls its main thread this; mcpspy shows the program's name.
  return { pid, comm: comm === 'MainThread' ? basename(exe) : comm, exe, argv };
}

function isRpc(text: string): boolean {
  try {
    return JSON.parse(text).jsonrpc === '2.0';
  } catch {
    return false;
  }
}

function readAccount(file: string): Accounted[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  const [start, ...entries] = lines.map((line) => JSON.parse(line));
  const peer = asPeer(start);
  type Filled = { -readonly [K in keyof Accounted]: Accounted[K] } & { messages: HttpMessage[] };
  const exchanges = new Map<number, Filled>();
  for (const { event, exchange: number, ...entry } of entries) {
    const exchange = exchanges.get(number);
    if (event === 'exchange')
      exchanges.set(number, { ...entry, peer, status: undefined, responseHeaders: {}, messages: [] });
    else if (exchange && event === 'head') {
      exchange.status = entry.status;
      exchange.responseHeaders = entry.headers;
    } else if (exchange && isRpc(entry.text)) {
      const { time, ...message } = entry;
      const sends = (message.side === 'request') === (exchange.role === 'client');
      exchange.messages.push({
        ...message,
        sent: sends ? time : undefined,
        received: sends ? undefined : time,
      });
    }
  }
  return [...exchanges.values()];
}

/** Joins the two accounts of each exchange, which have to agree. */
function together(accounts: readonly Accounted[]): Sighting[] {
  const byPlace = new Map<string, Accounted[]>();
  const counts = new Map<string, number>();
  for (const account of accounts) {
    const connection = `${account.client} > ${account.server}`;
    const count = `${account.role} ${connection}`;
    const number = (counts.get(count) ?? 0) + 1;
    counts.set(count, number);
    const place = `${connection} ${number}`;
    byPlace.set(place, [...(byPlace.get(place) ?? []), account]);
  }
  const places = [...byPlace.values()];
  // Who does not know its own port is known by what it asked.
  const lone = places.filter((both) => both.length === 1).flat();
  const asked = ({ messages }: Accounted) => messages.find(({ side }) => side === 'request')?.text;
  for (const client of lone.filter(({ role, client }) => role === 'client' && client === undefined)) {
    const at = places.findIndex(
      ([server, ...more]) => server?.role === 'server' && !more.length && asked(server) === asked(client),
    );
    if (at < 0) continue;
    places[at]?.push(client);
    places.splice(
      places.findIndex(([only, ...more]) => only === client && !more.length),
      1,
    );
  }
  return places.map(joined);
}

function joined(both: readonly Accounted[]): Sighting {
  const client = both.find(({ role }) => role === 'client');
  const server = both.find(({ role }) => role === 'server');
  if (client && server)
    return {
      ...client,
      // Only the server's is sure to be there.
      ...(server.client && server.server ? { client: server.client, server: server.server } : {}),
      // Not every client can tell which it sent.
      headers: { ...client.headers, ...server.headers },
      // What was never answered to the client was answered none the less.
      status: server.status ?? client.status,
      responseHeaders: server.responseHeaders,
      ends: { client: client.peer, server: server.peer },
      messages: (['request', 'response'] as const).flatMap((side) => agreed(side, client, server)),
    };
  const only = client ?? server;
  assert.ok(only);
  return { ...only, ends: { [only.role]: only.peer } };
}

function agreed(side: Side, client: Accounted, server: Accounted): HttpMessage[] {
  const [from, to] = side === 'request' ? [client, server] : [server, client];
  const of = (account: Accounted) => account.messages.filter((message) => message.side === side);
  const [sent, received] = [of(from), of(to)];
  const texts = (messages: readonly HttpMessage[]) => messages.map(({ text }) => text);
  // Who hangs up has not received all.
  assert.deepEqual(
    texts(received),
    texts(sent.slice(0, received.length)),
    `the peers disagree on ${client.path}`,
  );
  return sent.map((message, index) => ({ ...message, received: received[index]?.received }));
}

/** An event that was sent again is not a new message. */
function withoutReplays(sightings: readonly Sighting[]): Sighting[] {
  const seen = new Set<string>();
  return sightings.map((sighting) => {
    const messages = sighting.messages.filter((message) => {
      if (message.eventId === undefined || message.side === 'request') return true;
      const session = sighting.headers['mcp-session-id'] ?? sighting.responseHeaders['mcp-session-id'];
      const { client, server } = sighting.ends;
      const event = [client?.pid, server?.pid, session, message.eventId, message.text].join(' ');
      if (seen.has(event)) return false;
      seen.add(event);
      return true;
    });
    return { ...sighting, messages };
  });
}
