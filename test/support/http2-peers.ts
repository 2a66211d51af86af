// SPDX-License-Identifier: Apache-2.0
/** Two peers of HTTP/2 for the tests of its decoder: what they send, frame by frame, and what is said of it. */
import assert from 'node:assert/strict';
import type { HttpSink, MessageEnd, RequestHead, ResponseHead, Side } from '../../src/protocols/http.ts';
import { Http2Connection, type Http2Options } from '../../src/protocols/http2.ts';
import { FLAG, FRAME } from '../../src/protocols/http2-frame-head.ts';

/** A frame with any payload. */
export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(payload as string);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

export type Field = readonly [name: string, value: string];

/** Literals with new names, of at most 126 bytes each: without indexing, or into the dynamic table. */
export function block(fields: readonly Field[], indexing = false): Buffer {
  const string = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
  const all = fields.map(([name, value]) =>
    Buffer.concat([Buffer.from([indexing ? 0x40 : 0]), string(name), string(value)]),
  );
  return Buffer.concat(all);
}

export const END = FLAG.endStream;
export const POST: readonly Field[] = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':authority', 'h:1'],
  [':path', '/mcp'],
];
export const OK: readonly Field[] = [[':status', '200']];
export const NEWEST = Buffer.from([0xbe]);

export const headers = (stream: number, fields: readonly Field[], flags = 0, indexing = false) =>
  frame(FRAME.headers, flags | FLAG.endHeaders, stream, block(fields, indexing));
export const data = (stream: number, text: string, flags = 0) => frame(FRAME.data, flags, stream, text);
export const reset = (stream: number) => frame(FRAME.rstStream, 0, stream, Buffer.alloc(4));
export const settings = frame(FRAME.settings, 0, 0);
export function goAway(last: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(last);
  return frame(FRAME.goAway, 0, 0, payload);
}

const ARROW = { request: '>', response: '<' } as const;

/** Says what was decoded. Bodies in a row are one. */
export class Listener implements HttpSink {
  readonly said: string[] = [];
  readonly heads: (RequestHead | ResponseHead)[] = [];
  readonly offsets: number[] = [];

  #say(text: string, offset: number): void {
    this.said.push(text);
    this.offsets.push(offset);
  }

  request(exchange: number, head: RequestHead, offset: number): void {
    this.heads.push(head);
    this.#say(`${exchange} > ${head.method} ${head.target} ${head.authority}`, offset);
  }

  response(exchange: number, head: ResponseHead, offset: number): void {
    this.heads.push(head);
    this.#say(`${exchange} < ${head.status}`, offset);
  }

  body(exchange: number, side: Side, bytes: Buffer, offset: number): void {
    const label = `${exchange} ${ARROW[side]} body `;
    if (this.said.at(-1)?.startsWith(label)) this.said[this.said.length - 1] += bytes.toString('latin1');
    else this.#say(label + bytes.toString('latin1'), offset);
  }

  lost(exchange: number, side: Side, offset: number, bytes: number): void {
    this.#say(`${exchange} ${ARROW[side]} lost ${bytes}`, offset);
  }

  end(exchange: number, side: Side, how: MessageEnd, offset: number): void {
    this.#say(`${exchange} ${ARROW[side]} ${how}`, offset);
  }

  upgrade(): void {
    assert.fail('HTTP/2 is not left');
  }

  tunnel(): void {
    assert.fail('HTTP/2 is not left');
  }

  tunnelLost(): void {
    assert.fail('HTTP/2 is not left');
  }
}

export class Peers {
  readonly listener = new Listener();
  readonly said = this.listener.said;
  readonly connection: Http2Connection;
  readonly at: Record<Side, number> = { request: 0, response: 0 };

  constructor(options: Partial<Http2Options> = {}) {
    this.connection = new Http2Connection(this.listener, {
      joined: { request: false, response: false },
      ...options,
    });
  }

  /** Each frame in a call of its own. */
  client(...frames: Buffer[]): this {
    return this.#push('request', frames);
  }

  server(...frames: Buffer[]): this {
    return this.#push('response', frames);
  }

  gap(side: Side, bytes: number): this {
    this.connection.gap(side, this.at[side], bytes);
    this.at[side] += bytes;
    return this;
  }

  end(side: Side, how: 'closed' | 'stop'): this {
    this.connection.end(side, how);
    return this;
  }

  /** What was said since the last time. */
  told(): string[] {
    return this.said.splice(0);
  }

  #push(side: Side, frames: Buffer[]): this {
    for (const bytes of frames) {
      this.connection.push(side, bytes, this.at[side], true);
      this.at[side] += bytes.length;
    }
    return this;
  }
}

/** In both directions. */
export const JOINED = { joined: { request: true, response: true } };
