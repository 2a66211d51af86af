// SPDX-License-Identifier: Apache-2.0
/** Exchanges of HTTP as `src/streams` hands them on, for tests of `src/mcp`: a millisecond passes with each item. */
import { Bus } from '../../src/bus.ts';
import { Analyzer, type StreamControl } from '../../src/mcp/analyzer.ts';
import type {
  GapEvent,
  HttpEvent,
  InvalidEvent,
  MessageEvent,
  ServerEvent,
  StderrEvent,
} from '../../src/mcp/events.ts';
import { Headers, type HttpVersion, type MessageEnd, type Side } from '../../src/protocols/http.ts';
import type {
  Address,
  Carrier,
  Endpoint,
  FrameContent,
  HttpExchange,
  HttpFrame,
  HttpStep,
  StreamItem,
  StreamRef,
} from '../../src/streams/frame.ts';

export const MS = 1e6;
export const CLIENT: Endpoint = { pid: 10, comm: 'client' };
export const SERVER: Endpoint = { pid: 20, comm: 'server' };

type Json = Readonly<Record<string, unknown>>;
type Fields = Readonly<Record<string, string>>;

export const request = (id: unknown, method: string, params?: unknown): Json => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
export const notification = (method: string, params?: unknown): Json => ({ jsonrpc: '2.0', method, params });
export const result = (id: unknown, value: unknown = {}): Json => ({ jsonrpc: '2.0', id, result: value });
export const failure = (id: unknown, code: number, message: string): Json => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
});
export const INITIALIZE = request(0, 'initialize', {
  protocolVersion: '2025-06-18',
  clientInfo: { name: 'Client', version: '1' },
});
export const INITIALIZED = result(0, {
  protocolVersion: '2025-06-18',
  serverInfo: { name: 'Server', version: '2' },
});

/** Who is at the ends of a connection, and where. */
export interface Wiring {
  readonly client?: Endpoint | undefined;
  readonly server?: Endpoint | undefined;
  readonly clientAt?: Address | undefined;
  readonly serverAt?: Address | undefined;
  readonly carrier?: Carrier;
  readonly tls?: string;
  readonly version?: HttpVersion;
  /** Of TLS: the TCP stream that carries it. */
  readonly carriedBy?: number;
  readonly joined?: boolean;
  /** Of TLS: at which end it was read, if both are known. */
  readonly seenAt?: 'client' | 'server';
  /** Where its streams begin to be counted: of one that was joined, not where those of the other end do. */
  readonly begin?: number;
}

export interface RequestOptions {
  readonly target?: string;
  readonly authority?: string;
  readonly headers?: Fields;
  /** The authority and some headers are unknown. */
  readonly cut?: boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** A JSON value, or the exact text. */
type Body = Json | readonly unknown[] | string;

const textOf = (body: Body) => (typeof body === 'string' ? body : JSON.stringify(body));
const headersOf = (fields: Fields = {}, cut = false) =>
  new Headers(
    Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]),
    cut,
  );

export type AnyEvent = MessageEvent | InvalidEvent | HttpEvent | GapEvent | StderrEvent;

export interface SceneOptions {
  readonly allJsonRpc?: boolean;
  /** What has to wait for its order is not told before its time. */
  readonly ordered?: boolean;
  readonly control?: Partial<StreamControl>;
}

export function scene(options: SceneOptions = {}) {
  const { allJsonRpc = false, ordered = false } = options;
  const bus = new Bus();
  const events: AnyEvent[] = [];
  const servers: ServerEvent[] = [];
  /** What the analyzer asked of the streams: `keep 1`, `stop exchange 2`. */
  const control: string[] = [];
  for (const kind of ['message', 'invalid', 'http', 'gap', 'stderr'] as const)
    bus.on(kind, (event: AnyEvent) => events.push(event));
  bus.on('server', (event) => servers.push(event));
  const analyzer = new Analyzer(
    bus,
    {
      keep: (stream) => void control.push(`keep ${stream}`),
      stop: (stream) => void control.push(`stop ${stream}`),
      encrypts: () => false,
      stopExchange: (_, exchange) => void control.push(`stop exchange ${exchange.id}`),
      keepFrom: (pid) => void control.push(`keep from ${pid}`),
      isStderr: () => false,
      pairOf: (stream) => (stream % 2 ? stream + 1 : stream - 1),
      whoAt: () => undefined,
      writersOf: () => [],
      isStdout: () => false,
      descends: (pid, ancestor) => pid === ancestor,
      ...options.control,
    },
    { allJsonRpc, wall: (time) => time },
  );
  let now = 0;
  let streams = 0;
  let connections = 0;
  let exchanges = 0;
  const put = (item: StreamItem) => {
    analyzer.item(item);
    if (ordered) analyzer.settled(item.time);
    else analyzer.finish();
  };
  const tick = () => {
    now += MS;
    return now;
  };

  /** A connection; the stream of its requests has an odd number, that of its responses the next. */
  function connect(wiring: Wiring = {}) {
    const { client, server, clientAt, serverAt, carrier = 'tcp', tls, version = '1.1' } = wiring;
    const { carriedBy, joined = false, begin = 0 } = wiring;
    const ends = {
      client: 'client' in wiring ? client : CLIENT,
      server: 'server' in wiring ? server : SERVER,
    };
    const connection = ++connections;
    const only = !!ends.client === !!ends.server ? undefined : ends.client ? 'client' : 'server';
    const seenAt = carrier === 'tls' ? (wiring.seenAt ?? only) : undefined;
    const requests: Mutable<StreamRef> = {
      id: ++streams,
      carrier,
      source: clientAt,
      destination: serverAt,
      tls,
      seenAt: seenAt && (seenAt === 'client' ? 'writer' : 'reader'),
      carriedBy,
      joined,
    };
    const responses: Mutable<StreamRef> = {
      id: ++streams,
      carrier,
      source: serverAt,
      destination: clientAt,
      tls,
      seenAt: seenAt && (seenAt === 'client' ? 'reader' : 'writer'),
      carriedBy: carriedBy === undefined ? undefined : carriedBy + 1,
      joined,
    };
    const positions = { request: begin, response: begin };
    /** Of something that takes so many bytes. */
    const advance = (side: Side, bytes: number) => {
      const offset = positions[side];
      positions[side] += bytes;
      return offset;
    };
    const place = (side: Side, bytes = 10) => ({
      time: tick(),
      stream: side === 'request' ? requests : responses,
      offset: advance(side, bytes),
      ...(side === 'request'
        ? { from: ends.client, to: ends.server }
        : { from: ends.server, to: ends.client }),
    });

    function exchange() {
      const own: Mutable<HttpExchange> = {
        id: ++exchanges,
        connection,
        version,
        requests,
        responses,
        request: undefined,
        response: undefined,
      };
      const frames = { request: 0, response: 0 };
      const sizes = { request: 0, response: 0 };
      const step = (side: Side, what: HttpStep['step']) =>
        put({ kind: 'http', ...place(side), exchange: own, side, step: what });
      const content = (side: Side, what: FrameContent, size: number, how: Partial<HttpFrame> = {}) => {
        frames[side]++;
        sizes[side] += size;
        const http: HttpFrame = { exchange: own, side, form: 'body', ...how };
        put({ kind: 'frame', ...place(side, size), size, content: what, http });
      };
      const frame = (side: Side, body: Body, how: Partial<HttpFrame> = {}) => {
        const text = textOf(body);
        content(side, { type: 'text', text }, Buffer.byteLength(text), how);
      };
      const end = (side: Side, how: MessageEnd = 'complete', body?: string) =>
        step(side, {
          type: 'end',
          how,
          size: body === undefined ? sizes[side] : Buffer.byteLength(body),
          frames: frames[side],
          body,
        });
      return {
        exchange: own,
        content,
        frame,
        end,
        /** The head of the request. */
        ask(
          method: string | undefined,
          { target = '/mcp', authority = 'localhost:3000', headers, cut }: RequestOptions = {},
        ) {
          const named = cut ? undefined : authority;
          own.request = { method, target, authority: named, version, headers: headersOf(headers, cut) };
          step('request', { type: 'head' });
        },
        /** The head of the response. */
        head(status: number, headers?: Fields) {
          own.response = { status, version, headers: headersOf(headers) };
          step('response', { type: 'head' });
        },
        /** The head of a response that is an event stream. */
        stream(headers?: Fields) {
          own.response = {
            status: 200,
            version,
            headers: headersOf({ 'content-type': 'text/event-stream', ...headers }),
          };
          step('response', { type: 'head' });
        },
        /** An event whose data is JSON. */
        event(body: Body, eventId?: string, eventName?: string) {
          frame('response', body, {
            form: 'sse',
            ...(eventId === undefined ? {} : { eventId }),
            ...(eventName === undefined ? {} : { eventName }),
          });
        },
        /** The same, at this place in the stream. */
        eventAt(offset: number, body: Body) {
          positions.response = offset;
          this.event(body);
        },
        /** An event whose data is none. */
        plain(name: string, data: string, id?: string) {
          step('response', { type: 'event', name, data, id });
        },
        /** The whole response; without a body it has none. */
        respond(status: number, body?: Body, headers: Fields = {}) {
          this.head(status, { ...(body === undefined ? {} : JSON_TYPE), ...headers });
          if (body !== undefined) frame('response', body);
          end('response');
        },
        /** The whole response, with a body that is no JSON. */
        page(status: number, body: string, headers: Fields = {}) {
          this.head(status, { 'content-type': 'text/html', ...headers });
          end('response', 'complete', body);
        },
      };
    }

    return {
      requests,
      responses,
      exchange,
      /** So many bytes that mean nothing. */
      advance,
      /** A POST with this body, whole. */
      post(body: Body, options: RequestOptions = {}) {
        const own = exchange();
        own.ask('POST', { ...options, headers: { ...JSON_TYPE, ...options.headers } });
        own.frame('request', body);
        own.end('request');
        return own;
      },
      /** A request without a body, whole. */
      send(method: string, options: RequestOptions = {}) {
        const own = exchange();
        own.ask(method, options);
        own.end('request');
        return own;
      },
      gap(side: Side, bytes = 100) {
        put({ kind: 'gap', ...place(side, bytes), bytes, frames: undefined, cause: 'ring-full' });
      },
      /** It turns out which TCP stream carries it. */
      tie(by: number, addresses: Pick<Wiring, 'clientAt' | 'serverAt'>) {
        for (const stream of [requests, responses]) {
          const [from, to] =
            stream === requests
              ? [addresses.clientAt, addresses.serverAt]
              : [addresses.serverAt, addresses.clientAt];
          Object.assign(stream, { source: from, destination: to });
          stream.carriedBy = stream === requests ? by : by + 1;
        }
      },
      /** Both streams end, the client's first. */
      close(...sides: readonly Side[]) {
        for (const side of sides.length ? sides : (['request', 'response'] as const))
          put({ kind: 'end', time: tick(), stream: side === 'request' ? requests : responses });
      },
    };
  }

  const messages = () => events.filter((event): event is MessageEvent => event.kind === 'message');
  const https = () => events.filter((event): event is HttpEvent => event.kind === 'http');
  const invalids = () => events.filter((event): event is InvalidEvent => event.kind === 'invalid');
  const gaps = () => events.filter((event): event is GapEvent => event.kind === 'gap');
  /** Each event in a few words. */
  const short = () =>
    events.map((event) => {
      if (event.kind === 'message')
        return [event.type, event.method ?? '?', event.id?.text, event.status].filter(Boolean).join(' ');
      if (event.kind === 'http')
        return ['http', event.http.method, event.http.status ?? event.end].filter(Boolean).join(' ');
      if (event.kind === 'stderr') return `stderr ${event.text}`;
      return event.kind === 'invalid' ? `invalid ${event.raw}` : `gap ${event.bytes}`;
    });
  /** An MCP session: its connection, after the handshake, and what came of that is forgotten. */
  function session(id = 'session-0123456789', wiring: Wiring = {}, options: RequestOptions = {}) {
    const tcp = connect(wiring);
    tcp.post(INITIALIZE, options).respond(200, INITIALIZED, { 'Mcp-Session-Id': id });
    events.length = 0;
    servers.length = 0;
    control.length = 0;
    const headers = { 'Mcp-Session-Id': id, 'MCP-Protocol-Version': '2025-06-18', ...options.headers };
    return { tcp, options: { ...options, headers } };
  }
  /** Lets so many milliseconds pass. */
  const wait = (ms: number) => {
    now += ms * MS;
  };
  return {
    wait,
    tick,
    put,
    connect,
    session,
    events,
    servers,
    control,
    messages,
    https,
    invalids,
    gaps,
    short,
    analyzer,
  };
}

const JSON_TYPE = { 'content-type': 'application/json' };
