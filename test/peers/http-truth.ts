// SPDX-License-Identifier: Apache-2.0
/**
 * The account a peer keeps of its HTTP: every exchange, and in it the exact text of every body and of every event,
 * one JSON object a line in a file of its own in $MCPSPY_TRUTH. The same form as http_truth.py.
 */
import { openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';

export type Side = 'request' | 'response';

/** An exchange as one of its ends sees it. Addresses are `ip:port`; absent on a unix socket. */
export interface About {
  readonly role: 'client' | 'server';
  readonly tls: boolean;
  readonly client: string | undefined;
  readonly server: string | undefined;
  readonly method: string;
  readonly path: string;
  /** Of the request, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

/** CLOCK_MONOTONIC in nanoseconds, as the kernel's records have it. */
export const now = (): number => Number(process.hrtime.bigint());

/** `ip:port`, IPv4 in IPv6 as IPv4, IPv6 in brackets. */
export function address(ip: string | undefined, port: number | undefined): string | undefined {
  const plain = ip?.replace(/^::ffff:/, '');
  return plain && port ? `${plain.includes(':') ? `[${plain}]` : plain}:${port}` : undefined;
}

/** `name: value` lines of a request, by lower-case name. */
export function headerLines(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
  }
  return headers;
}

export interface Identity {
  readonly pid: number;
  readonly comm: string;
  readonly exe: string;
  readonly argv: readonly string[];
}

/** Who a process is. */
export function identify(pid: number): Identity {
  return {
    pid,
    comm: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(),
    exe: readlinkSync(`/proc/${pid}/exe`),
    argv: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '').split('\0'),
  };
}

/** Opened with the first exchange: a process without one has nothing to tell. */
export class HttpAccount {
  readonly #identity: Identity;
  #file: number | undefined;
  #exchanges = 0;

  /** @param identity Whose account it is; of a program that cannot keep one itself. */
  constructor(identity = identify(process.pid)) {
    this.#identity = identity;
  }

  exchange(about: About): AccountedExchange {
    const exchange = ++this.#exchanges;
    this.note([{ event: 'exchange', exchange, time: now(), ...about }]);
    return new AccountedExchange(this, exchange, about.role);
  }

  note(entries: readonly object[]): void {
    if (entries.length === 0) return;
    this.#file ??= this.#open();
    writeSync(this.#file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  }

  #open(): number {
    const name = `${String(process.hrtime.bigint()).padStart(20, '0')}-${this.#identity.pid}.http`;
    const file = openSync(join(process.env['MCPSPY_TRUTH'] ?? '', name), 'a');
    writeSync(file, `${JSON.stringify({ event: 'start', ...this.#identity })}\n`);
    return file;
  }
}

export class AccountedExchange {
  readonly #account: HttpAccount;
  readonly #number: number;
  readonly #sends: Side;
  /** When it began: before any byte of it was sent. */
  readonly begun = now();
  readonly #bodies: Partial<Record<Side, Body>> = {};

  constructor(account: HttpAccount, number: number, role: About['role']) {
    this.#account = account;
    this.#number = number;
    this.#sends = role === 'client' ? 'request' : 'response';
  }

  /** The head of the response. */
  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#note([{ event: 'head', time: now(), status, headers }]);
    this.#bodies.response = new Body('response', headers);
  }

  /** A piece of a body, as it went through the socket except for its transfer coding. `time`: when that began. */
  chunk(side: Side, chunk: Uint8Array, time = now()): void {
    this.#bodies[side] ??= new Body(side, {});
    this.#messages(side, this.#bodies[side].chunk(chunk, time));
  }

  /** A whole message, by the account of someone who has no use for bytes (WebSocket). */
  message(side: Side, text: string, form: Message['form'], time = now()): void {
    this.#messages(side, [{ form, text, time }]);
  }

  /** The body is complete. */
  end(side: Side): void {
    this.#messages(side, this.#bodies[side]?.end() ?? []);
    delete this.#bodies[side];
  }

  #messages(side: Side, messages: readonly Message[]): void {
    const received = this.#sends !== side;
    this.#note(
      messages.map((message) => ({
        event: 'message',
        side,
        ...message,
        ...(received ? { time: now() } : {}),
      })),
    );
  }

  #note(entries: readonly object[]): void {
    this.#account.note(entries.map((entry) => ({ ...entry, exchange: this.#number })));
  }
}

interface Message {
  readonly form: 'body' | 'sse' | 'websocket';
  readonly text: string;
  readonly time: number;
  readonly eventId?: string;
}

const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** Makes messages of a body: of events as they come, of anything else when it is complete. */
class Body {
  readonly #events: Events | undefined;
  readonly #coding: string | undefined;
  /** Downloads are not kept. */
  readonly #kept: boolean;
  readonly #chunks: Buffer[] = [];
  /** When the body's first and its last piece came. */
  #first: number | undefined;
  #last = 0;

  constructor(side: Side, headers: Readonly<Record<string, string>>) {
    this.#coding = headers['content-encoding'];
    const type = headers['content-type'] ?? 'application/json';
    if (side === 'response' && type.startsWith('text/event-stream')) this.#events = new Events();
    this.#kept = this.#events !== undefined || type.includes('json');
  }

  chunk(chunk: Uint8Array, time: number): readonly Message[] {
    this.#first ??= time;
    this.#last = time;
    if (this.#events && !this.#coding) return this.#events.push(chunk, time);
    if (this.#kept) this.#chunks.push(Buffer.from(chunk));
    return [];
  }

  end(): readonly Message[] {
    const bytes = Buffer.concat(this.#chunks);
    if (bytes.length === 0) return [];
    const plain = this.#coding ? (DECODERS[this.#coding]?.(bytes) ?? bytes) : bytes;
    if (this.#events) return this.#events.push(plain, this.#first ?? this.#last);
    return [{ form: 'body', text: plain.toString(), time: this.#last }];
  }
}

/** HTML standard, 9.2.6, as far as these peers use it. */
class Events {
  readonly #decoder = new TextDecoder();
  #pieces: string[] = [];
  #data: string[] = [];
  #name = '';
  #id: string | undefined;

  push(chunk: Uint8Array, time: number): Message[] {
    const text = this.#decoder.decode(chunk, { stream: true });
    // Pieces of a long line are joined once, not each time.
    if (!/[\r\n]/.test(text)) {
      this.#pieces.push(text);
      return [];
    }
    const lines = (this.#pieces.join('') + text).split(/\r\n|\n|\r(?=.)/s);
    this.#pieces = [lines.pop() ?? ''];
    return lines.flatMap((line) => this.#line(line, time));
  }

  #line(line: string, time: number): Message[] {
    if (line === '') {
      const text = this.#data.join('\n');
      const name = this.#name;
      this.#data = [];
      this.#name = '';
      if (text === '' || (name !== '' && name !== 'message')) return [];
      return [{ form: 'sse', text, time, ...(this.#id === undefined ? {} : { eventId: this.#id }) }];
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#name = value;
    if (field === 'id') this.#id = value;
    return [];
  }
}
