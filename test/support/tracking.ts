// SPDX-License-Identifier: Apache-2.0
/** A tracker of streams with short ways to feed it records, and to read what comes out of it. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Holder, HolderQuery, ProcessInfo } from '../../src/sensor/messages.ts';
import type {
  Addresses,
  DataRecord,
  EndpointRecord,
  GapRecord,
  StreamRecord,
} from '../../src/source/records.ts';
import { BORN_MS } from '../../src/streams/born.ts';
import type { Frame, Gap, HttpStep, StreamItem } from '../../src/streams/frame.ts';
import { type StopUntil, Tracker } from '../../src/streams/tracker.ts';

export const MS = 1e6;
export const SECOND = 1e9;

/** Far enough behind the last record that nothing waits for the order of processors. */
export const LATER = 5 * MS;

export const CLIENT: ProcessInfo = { pid: 100, comm: 'client', exe: '/bin/client', argv: ['client'] };
export const SERVER: ProcessInfo = { pid: 200, comm: 'server', exe: '/bin/server', argv: ['server'] };

export function rpc(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"ping"}`;
}

/** Lets answers of the fake sensor arrive. */
export async function replies(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
}

/** Lets what is asked of the fake sensor be asked, and its answers arrive. */
export async function answers(): Promise<void> {
  await sleep(BORN_MS + 5);
}

export interface Known {
  readonly processes?: readonly ProcessInfo[];
  readonly holders?: (query: HolderQuery) => readonly Holder[];
  readonly maxMessage?: number;
}

/** A tracker, with short ways to feed it. */
export function tracking({
  processes = [CLIENT, SERVER],
  holders = () => [],
  maxMessage = 1 << 20,
}: Known = {}) {
  const items: StreamItem[] = [];
  const verdicts: string[] = [];
  const asked: (number | HolderQuery)[] = [];
  const lookup = {
    holders: async (query: HolderQuery) => {
      asked.push(query);
      return holders(query);
    },
    process: async (pid: number) => {
      asked.push(pid);
      return null;
    },
    connection: (near: number, addresses: Addresses) => void connections.push({ near, addresses }),
  };
  /** Of which connections it was told that they begin. */
  const connections: { near: number; addresses: Addresses }[] = [];
  const ear = {
    stop: (stream: number, until: StopUntil) =>
      void verdicts.push(until === 'always' ? `stop ${stream}` : `stop ${stream} until ${until}`),
    resume: (stream: number) => void verdicts.push(`resume ${stream}`),
  };
  const tracker = new Tracker({ maxMessage }, lookup, ear, (item) => items.push(item));
  tracker.processes.watch(processes);
  const offsets = new Map<number, number>();

  const announce = (stream: number, more: Partial<StreamRecord> = {}) =>
    tracker.record({
      type: 'stream',
      time: 0,
      pid: CLIENT.pid,
      stream,
      carrier: 'pipe',
      inode: 1000 + stream,
      peerInode: 0,
      device: 9,
      pair: 0,
      joined: false,
      ...more,
    });
  const endpoint = (
    stream: number,
    pid: number,
    reader: boolean,
    time = 0,
    more: Partial<EndpointRecord> = {},
  ) =>
    tracker.record({
      type: 'endpoint',
      time,
      stream,
      pid,
      reader,
      fd: reader ? 0 : 1,
      comm: tracker.processes.get(pid)?.comm ?? 'new',
      ...more,
    });
  const data = (stream: number, text: string | Buffer, time: number, more: Partial<DataRecord> = {}) => {
    const bytes = Buffer.from(text);
    const offset = more.offset ?? offsets.get(stream) ?? 0;
    const record = { stream, time, bytes, fromReader: false, packetEnd: false, pid: CLIENT.pid, fd: 1 };
    tracker.record({ type: 'data', ...record, ...more, offset });
    offsets.set(stream, offset + bytes.length);
  };
  const gap = (stream: number, bytes: number, time: number, more: Partial<GapRecord> = {}) => {
    const offset = offsets.get(stream) ?? 0;
    const record = {
      stream,
      time,
      bytes,
      lines: undefined,
      endsLine: undefined,
      cause: 'ring-full' as const,
    };
    tracker.record({ type: 'gap', ...record, mayArrive: false, fromReader: false, offset, ...more });
    offsets.set(stream, offset + bytes);
  };
  const eof = (stream: number, time: number) => tracker.record({ type: 'eof', time, stream });
  const tie = (stream: number, addresses: Addresses, time: number) =>
    tracker.record({ type: 'tie', time, stream, addresses });
  const exit = (pid: number, time: number) => tracker.record({ type: 'exit', time, pid });
  const fork = (pid: number, parent: number, time: number) =>
    tracker.record({ type: 'fork', time, pid, parent, comm: 'fork' });
  const exec = (pid: number, exe: string, time: number) =>
    tracker.record({
      type: 'exec',
      time,
      pid,
      comm: exe.slice(exe.lastIndexOf('/') + 1),
      exe,
      argv: [exe, '--x'],
    });

  const frames = () => items.filter((item): item is Frame => item.kind === 'frame');
  const steps = () => items.filter((item): item is HttpStep => item.kind === 'http');
  const gaps = () => items.filter((item): item is Gap => item.kind === 'gap');
  const texts = () => frames().map(({ content }) => ('text' in content ? content.text : `${content.type}`));
  const who = () => frames().map(({ from, to }) => `${from?.comm ?? '?'}>${to?.comm ?? '?'}`);
  const kinds = () => items.map((item) => `${item.kind} ${item.stream.id}`);
  return {
    ...{
      tracker,
      items,
      verdicts,
      asked,
      connections,
      announce,
      endpoint,
      data,
      gap,
      eof,
      tie,
      exit,
      fork,
      exec,
    },
    ...{ frames, steps, gaps, texts, who, kinds },
  };
}

export type Tracking = ReturnType<typeof tracking>;

/** A stream whose two ends are known. */
export function connected(stream: number, known?: Known) {
  const tracked = tracking(known);
  tracked.announce(stream);
  tracked.endpoint(stream, CLIENT.pid, false);
  tracked.endpoint(stream, SERVER.pid, true);
  return tracked;
}

/** On this machine, so that somebody here is at the other end. */
export const LOOPBACK: Addresses = {
  source: { ip: '127.0.0.1', port: 40000 },
  destination: { ip: '127.0.0.1', port: 8080 },
};

/** A documentation address (RFC 5737): never this machine's. */
export const AWAY: Addresses = {
  source: { ip: '192.0.2.1', port: 40000 },
  destination: { ip: '198.51.100.7', port: 443 },
};

/** Of the opposite direction. */
export function back({ source, destination }: Addresses): Addresses {
  return { source: destination, destination: source };
}

/** Both directions of a TCP connection: `request` from client to server, the next number back. */
export function announceTcp(
  { announce }: Pick<Tracking, 'announce'>,
  request: number,
  addresses = LOOPBACK,
  more: Partial<StreamRecord> = {},
): void {
  announce(request, { carrier: 'tcp', addresses, ...more });
  announce(request + 1, { carrier: 'tcp', addresses: back(addresses), pair: request, ...more });
}

/** A TCP connection of which both processes are known. */
export function connectedTcp(request: number, known?: Known) {
  const tracked = tracking(known);
  announceTcp(tracked, request);
  for (const stream of [request, request + 1]) {
    tracked.endpoint(stream, CLIENT.pid, stream !== request, 0, { fd: 5 });
    tracked.endpoint(stream, SERVER.pid, stream === request, 0, { fd: 6 });
  }
  return tracked;
}

/** The request that posts a message. */
export function post(body: string, head = ''): string {
  return `POST /mcp HTTP/1.1\r\nHost: h\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** A response with a body. */
export function ok(body: string, head = ''): string {
  return `HTTP/1.1 200 OK\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** The answer to `rpc(id)`. */
export function result(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"result":{}}`;
}
