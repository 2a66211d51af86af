// SPDX-License-Identifier: Apache-2.0
/** The capture in numbers, in memory that does not grow with its length. */
import { keepYoungest } from '../youngest.ts';
import type {
  CallStatistics,
  GapEvent,
  HttpEvent,
  InvalidEvent,
  Losses,
  MessageEvent,
  Party,
  Repeats,
  ServerEvent,
  ServerStatistics,
  StderrEvent,
  Summary,
} from './events.ts';

/** Distinct method names, and distinct tool names, that are counted each for itself. */
export const MAX_NAMES = 1000;
/** Stands for all names beyond `MAX_NAMES`. */
export const OTHER = '(other)';
/** Connections counted each for itself; those that were quiet for longest are forgotten first. */
export const MAX_CONNECTIONS = 16384;

/**
 * Counts events. Frames, `pending`, `cancelled` and `orphans` count what was seen on each connection; the
 * calls by method and by tool count a message once, where it was seen first, however many relays it passed.
 */
export class Statistics {
  #bytes = 0;
  #requests = 0;
  #responses = 0;
  #notifications = 0;
  #invalid = 0;
  #stderr = 0;
  #http = 0;
  #gaps = 0;
  #answered = 0;
  #cancelled = 0;
  #orphans = 0;
  readonly #methods = new CallTable();
  readonly #tools = new CallTable();
  /** Those used last come last. */
  readonly #connections = new Map<number, Connection>();
  #last: { readonly id: number; readonly connection: Connection } | undefined;

  add(event: MessageEvent | InvalidEvent | StderrEvent | HttpEvent | GapEvent): void {
    switch (event.kind) {
      case 'message':
        this.#addMessage(event);
        return;
      case 'invalid':
        this.#invalid++;
        this.#bytes += event.size;
        return;
      case 'stderr':
        this.#stderr++;
        return;
      case 'http':
        this.#http++;
        this.#addLeft(event);
        return;
      case 'gap':
        this.#gaps++;
    }
  }

  /** What becomes known later about a connection completes what was known; nothing is forgotten. */
  addServer(event: ServerEvent): void {
    const known = this.#connection(event.connection);
    known.introduced = true;
    known.server = merge(known.server, event.server);
    known.client = merge(known.client, event.client);
    known.protocolVersion = event.protocolVersion ?? known.protocolVersion;
    known.sessionId = event.sessionId ?? known.sessionId;
  }

  /** `seconds` from ready to stop; `losses` as the source counted them; `repeats` as the analyzer did. */
  summary(
    seconds: number,
    losses: Losses,
    repeats: Repeats = { replayed: 0, bothEnds: 0 },
  ): Omit<Summary, 'time'> {
    const servers: ServerStatistics[] = [];
    const inOrder = [...this.#connections].sort(([a], [b]) => a - b);
    for (const [connection, { introduced, sessionId, ...known }] of inOrder) {
      const session = sessionId === undefined ? {} : { sessionId };
      if (introduced) servers.push({ connection, ...known, ...session });
    }
    return {
      seconds,
      bytes: this.#bytes,
      frames: {
        request: this.#requests,
        response: this.#responses,
        notification: this.#notifications,
        invalid: this.#invalid,
        stderr: this.#stderr,
        http: this.#http,
        gap: this.#gaps,
      },
      methods: this.#methods.summary(),
      tools: this.#tools.summary(),
      pending: Math.max(0, this.#requests - this.#answered - this.#cancelled),
      cancelled: this.#cancelled,
      orphans: this.#orphans,
      ...(repeats.replayed || repeats.bothEnds ? { repeats } : {}),
      servers,
      losses,
    };
  }

  #addMessage(event: MessageEvent): void {
    this.#bytes += event.size;
    this.#connection(event.connection).messages++;
    // Set on the notification that cancels a request which is still pending.
    if (event.status === 'cancelled') this.#cancelled++;
    if (event.type === 'request') this.#requests++;
    else if (event.type === 'notification') this.#notifications++;
    else {
      this.#responses++;
      if (event.status === 'orphan') this.#orphans++;
      // The request of a late one has been counted as cancelled.
      else if (event.status !== 'late') this.#answered++;
    }
    if (event.hop !== undefined || event.method === undefined || event.type === 'notification') return;
    this.#methods.count(event.method, event);
    if (event.method === 'tools/call' && event.target !== undefined) this.#tools.count(event.target, event);
  }

  /** Requests that HTTP left without an answer are pending no more. */
  #addLeft({ left }: HttpEvent): void {
    for (const { method, target, status } of left ?? []) {
      if (status === 'cancelled') {
        this.#cancelled++;
        continue;
      }
      this.#answered++;
      this.#methods.fail(method);
      if (method === 'tools/call' && target !== undefined) this.#tools.fail(target);
    }
  }

  /** The connection's numbers; it is the one used last. */
  #connection(id: number): Connection {
    if (id === this.#last?.id) return this.#last.connection;
    const known = this.#connections.get(id);
    if (known) this.#connections.delete(id);
    const connection = known ?? {
      introduced: false,
      server: NOBODY,
      client: NOBODY,
      protocolVersion: undefined,
      sessionId: undefined,
      messages: 0,
    };
    this.#connections.set(id, connection);
    this.#last = { id, connection };
    keepYoungest(this.#connections, MAX_CONNECTIONS);
    return connection;
  }
}

interface Connection {
  introduced: boolean;
  server: Party;
  client: Party;
  protocolVersion: string | undefined;
  sessionId: string | undefined;
  messages: number;
}

const NOBODY: Party = { name: undefined, version: undefined, endpoint: undefined };

function merge(known: Party, news: Party | undefined): Party {
  if (news === undefined) return known;
  return {
    name: news.name ?? known.name,
    version: news.version ?? known.version,
    endpoint: news.endpoint ?? known.endpoint,
  };
}

/** Calls by name, for at most `MAX_NAMES` names and `OTHER`. */
class CallTable {
  readonly #calls = new Map<string, Calls>();

  count(name: string, event: MessageEvent): void {
    const calls = this.#calls.get(name) ?? this.#begin(name);
    if (event.type === 'request') {
      calls.calls++;
      return;
    }
    if (event.errorText !== undefined || event.status === 'tool_error') calls.errors++;
    if (event.durationMs !== undefined) calls.durations.add(event.durationMs);
  }

  /** A request of this name has come to nothing. */
  fail(name: string): void {
    (this.#calls.get(name) ?? this.#begin(name)).errors++;
  }

  /** The most called first. */
  summary(): CallStatistics[] {
    const rows: CallStatistics[] = [];
    for (const [name, { calls, errors, durations }] of this.#calls)
      rows.push({
        name,
        calls,
        errors,
        p50: durations.quantile(0.5),
        p95: durations.quantile(0.95),
        max: durations.max,
      });
    return rows.sort((a, b) => b.calls - a.calls || (a.name < b.name ? -1 : 1));
  }

  #begin(name: string): Calls {
    const key = this.#calls.size < MAX_NAMES ? name : OTHER;
    let calls = this.#calls.get(key);
    if (calls === undefined) {
      calls = { calls: 0, errors: 0, durations: new Durations() };
      this.#calls.set(key, calls);
    }
    return calls;
  }
}

interface Calls {
  calls: number;
  errors: number;
  readonly durations: Durations;
}

/** Each bucket ends this much higher than it begins; its middle is at most 1 % off. */
const RATIO = 1.02;
const PER_LOG = 1 / Math.log(RATIO);
/** Where the first bucket begins, milliseconds. Shorter durations are as good as this one. */
const SHORTEST = 1e-4;
/** Enough for 30 years. */
const BUCKETS = Math.ceil(Math.log(1e12 / SHORTEST) * PER_LOG);

/** A histogram of durations in milliseconds, on a logarithmic scale. */
class Durations {
  #count = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  /** Most names are never called: made with the first sample. */
  #buckets: Uint32Array | undefined;

  add(ms: number): void {
    this.#buckets ??= new Uint32Array(BUCKETS);
    const bucket = ms > SHORTEST ? Math.min(BUCKETS - 1, Math.floor(Math.log(ms / SHORTEST) * PER_LOG)) : 0;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#count++;
    if (ms < this.#min) this.#min = ms;
    if (ms > this.#max) this.#max = ms;
  }

  /** Exact. */
  get max(): number | undefined {
    return this.#count === 0 ? undefined : this.#max;
  }

  /** The smallest sample that at least `part` (0 to 1) of all samples do not exceed, to 2 %. */
  quantile(part: number): number | undefined {
    if (this.#buckets === undefined) return undefined;
    let left = Math.max(1, Math.ceil(part * this.#count));
    const bucket = this.#buckets.findIndex((samples) => {
      left -= samples;
      return left <= 0;
    });
    const middle = SHORTEST * RATIO ** (bucket + 0.5);
    return Math.min(this.#max, Math.max(this.#min, middle));
  }
}
