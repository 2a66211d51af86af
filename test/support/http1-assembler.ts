// SPDX-License-Identifier: Apache-2.0
/** What a decoder of HTTP/1 tells, put together, for its tests. */
import assert from 'node:assert/strict';
import type { HttpSink, MessageEnd, RequestHead, ResponseHead, Side } from '../../src/protocols/http.ts';

/** One side of an exchange, as far as it was told. */
export interface Message {
  head: readonly [start: string, fields: readonly (readonly [string | undefined, string])[]] | undefined;
  body: Buffer;
  lost: number;
  how: MessageEnd | undefined;
}

/** Puts messages together, and holds the decoder to what its interface promises. */
export class Assembler implements HttpSink {
  readonly exchanges = new Map<number, Partial<Record<Side, Message>>>();
  /** In order, bodies in a row as one: what does not depend on where the bytes were cut. */
  readonly trace: string[] = [];
  readonly #at: Record<Side, number> = { request: 0, response: 0 };
  #upgraded = false;

  #message(exchange: number, side: Side): Message {
    assert.ok(exchange > 0 && exchange <= this.exchanges.size + 1, 'exchanges are numbered from 1');
    const sides = this.exchanges.get(exchange) ?? {};
    this.exchanges.set(exchange, sides);
    const message = sides[side] ?? { head: undefined, body: Buffer.alloc(0), lost: 0, how: undefined };
    sides[side] = message;
    assert.equal(message.how, undefined, 'nothing follows the end of a message');
    return message;
  }

  #forward(side: Side, offset: number, bytes: number): void {
    assert.ok(offset >= this.#at[side], 'a direction goes forward');
    this.#at[side] = offset + bytes;
  }

  #say(label: string, text: string): void {
    const last = this.trace.at(-1);
    if (last?.startsWith(label)) this.trace[this.trace.length - 1] = last + text;
    else this.trace.push(label + text);
  }

  request(exchange: number, head: RequestHead, offset: number): void {
    assert.ok(!this.#upgraded && !this.exchanges.has(exchange), 'a request begins its exchange');
    this.#forward('request', offset, 1);
    const { method, target, version } = head;
    this.#message(exchange, 'request').head = [`${method} ${target} ${version}`, head.headers.fields];
    this.trace.push(`${exchange} request ${offset} ${method} ${target}`);
  }

  response(exchange: number, head: ResponseHead, offset: number): void {
    this.#forward('response', offset, 0);
    const message = this.#message(exchange, 'response');
    assert.equal(message.head, undefined, 'one response an exchange');
    message.head = [`${head.status} ${head.version}`, head.headers.fields];
    this.trace.push(`${exchange} response ${offset} ${head.status}`);
  }

  body(exchange: number, side: Side, bytes: Buffer, offset: number): void {
    assert.ok(bytes.length > 0);
    this.#forward(side, offset, bytes.length);
    const message = this.#message(exchange, side);
    assert.ok(message.head, 'a body follows a head');
    message.body = Buffer.concat([message.body, bytes]);
    this.#say(`${exchange} ${side} body `, bytes.toString('hex'));
  }

  lost(exchange: number, side: Side, offset: number, bytes: number): void {
    assert.ok(bytes > 0);
    this.#forward(side, offset, bytes);
    const message = this.#message(exchange, side);
    assert.ok(message.head, 'a body follows a head');
    message.lost += bytes;
    this.trace.push(`${exchange} ${side} lost ${offset} ${bytes}`);
  }

  end(exchange: number, side: Side, how: MessageEnd, offset: number): void {
    const message = this.#message(exchange, side);
    assert.ok(message.head || (side === 'response' && how !== 'complete'), 'only a response can end unseen');
    if (message.head) this.#forward(side, offset, 0);
    message.how = how;
    this.trace.push(`${exchange} ${side} ${how}`);
  }

  upgrade(exchange: number, protocol: string): void {
    assert.equal(this.#upgraded, false, 'one upgrade');
    this.#upgraded = true;
    this.#message(exchange, 'response');
    this.trace.push(`${exchange} upgrade ${protocol}`);
  }

  tunnel(side: Side, bytes: Buffer, offset: number): void {
    assert.ok(this.#upgraded && bytes.length > 0);
    this.#forward(side, offset, bytes.length);
    this.#say(`tunnel ${side} `, bytes.toString('hex'));
  }

  tunnelLost(side: Side, offset: number, bytes: number): void {
    assert.ok(this.#upgraded && bytes > 0);
    this.#forward(side, offset, bytes);
    this.trace.push(`tunnel ${side} lost ${offset} ${bytes}`);
  }
}
