// SPDX-License-Identifier: Apache-2.0
/** Holds a decoder of HTTP to what its interface promises, whatever its bytes are. */
import assert from 'node:assert/strict';
import type {
  HttpDecoder,
  HttpSink,
  MessageEnd,
  RequestHead,
  ResponseHead,
  Side,
} from '../src/protocols/http.ts';
import type { Input } from './input.ts';
import { brief, type Cutter, lent, Trace } from './target.ts';

export const SIDES: readonly Side[] = ['request', 'response'];

interface Told {
  readonly heads: Set<Side>;
  readonly ends: Set<Side>;
}

class Checked implements HttpSink {
  readonly trace = new Trace();
  readonly #exchanges = new Map<number, Told>();
  /** What each direction said, the lost bytes too. */
  readonly #truth: Readonly<Record<Side, Buffer>>;
  readonly #at: Record<Side, number> = { request: 0, response: 0 };
  #upgraded = false;

  constructor(truth: Readonly<Record<Side, Buffer>>) {
    this.#truth = truth;
  }

  #told(exchange: number): Told {
    const told = this.#exchanges.get(exchange);
    if (told) return told;
    assert.equal(exchange, this.#exchanges.size + 1, 'exchanges are numbered from 1');
    const made = { heads: new Set<Side>(), ends: new Set<Side>() };
    this.#exchanges.set(exchange, made);
    return made;
  }

  #head(exchange: number, side: Side, text: string, headers: RequestHead['headers']): void {
    const { heads, ends } = this.#told(exchange);
    assert.ok(!heads.has(side) && !ends.has(side), 'a message has one head, before its end');
    heads.add(side);
    this.trace.say(`${exchange} ${side} ${text} ${brief(JSON.stringify(headers.fields))}`);
  }

  #goesOn(exchange: number, side: Side, offset: number, bytes: number): void {
    const { heads, ends } = this.#told(exchange);
    assert.ok(heads.has(side) && !ends.has(side), 'a body lies between its head and its end');
    this.#forward(side, offset, bytes);
  }

  #forward(side: Side, offset: number, bytes: number): void {
    assert.ok(offset >= this.#at[side], 'a direction goes forward');
    this.#at[side] = offset + bytes;
    assert.ok(this.#at[side] <= this.#truth[side].length, 'nothing is told before it has come');
  }

  #same(side: Side, bytes: Buffer, offset: number): void {
    assert.ok(bytes.length > 0);
    assert.ok(
      bytes.equals(this.#truth[side].subarray(offset, offset + bytes.length)),
      'the bytes are those sent',
    );
  }

  request(exchange: number, head: RequestHead, offset: number): void {
    const { method, target, authority, version, headers } = head;
    this.#head(exchange, 'request', `@${offset} ${method} ${target} ${authority} ${version}`, headers);
  }

  response(exchange: number, { status, version, headers }: ResponseHead, offset: number): void {
    this.#head(exchange, 'response', `@${offset} ${status} ${version}`, headers);
  }

  body(exchange: number, side: Side, bytes: Buffer, offset: number): void {
    this.#goesOn(exchange, side, offset, bytes.length);
    this.#same(side, bytes, offset);
    this.trace.add(`${exchange} ${side} body `, bytes);
  }

  lost(exchange: number, side: Side, offset: number, bytes: number): void {
    assert.ok(bytes >= 0);
    this.#goesOn(exchange, side, offset, bytes);
    this.trace.say(`${exchange} ${side} lost @${offset} ${bytes}`);
  }

  end(exchange: number, side: Side, how: MessageEnd, offset: number): void {
    const { heads, ends } = this.#told(exchange);
    assert.ok(!ends.has(side), 'a message ends once');
    assert.ok(heads.has(side) || heads.size > 0, 'an exchange begins before it ends');
    assert.ok(offset >= 0 && offset <= this.#truth[side].length);
    ends.add(side);
    this.trace.say(`${exchange} ${side} ${how}`);
  }

  upgrade(exchange: number, protocol: string): void {
    assert.equal(this.#upgraded, false, 'one upgrade');
    this.#upgraded = true;
    // There is no end of a response that opens a tunnel.
    this.#told(exchange).ends.add('response');
    this.trace.say(`${exchange} upgrade ${brief(protocol)}`);
  }

  tunnel(side: Side, bytes: Buffer, offset: number): void {
    assert.ok(this.#upgraded);
    this.#forward(side, offset, bytes.length);
    this.#same(side, bytes, offset);
    this.trace.add(`tunnel ${side} `, bytes);
  }

  tunnelLost(side: Side, offset: number, bytes: number): void {
    assert.ok(this.#upgraded);
    this.#forward(side, offset, bytes);
    this.trace.say(`tunnel ${side} lost @${offset} ${bytes}`);
  }

  over(): void {
    for (const [exchange, { heads, ends }] of this.#exchanges) {
      assert.ok(!heads.has('request') || ends.has('request'), `request ${exchange} ends`);
      assert.ok(ends.has('response') || heads.size === 0, `response ${exchange} ends`);
    }
  }
}

/**
 * Feeds a decoder all calls, ends both directions, and holds it to its promises.
 * @param first Bytes of a call that stay together.
 * @param cutsLost Is it all the same how calls are cut where the decoder has lost its way?
 */
export function playHttp(
  { flags, calls }: Input,
  cut: Cutter,
  make: (sink: HttpSink) => HttpDecoder,
  first: number,
  cutsLost: boolean,
): string {
  const truth = (side: 0 | 1) =>
    Buffer.concat(
      calls.filter((call) => call.kind !== 'end' && call.side === side).map(({ bytes }) => bytes),
    );
  const sink = new Checked({ request: truth(0), response: truth(1) });
  const decoder = make(sink);
  const at: Record<Side, number> = { request: 0, response: 0 };
  const how = flags & 4 ? 'stop' : 'closed';
  for (const { kind, side: number, bytes } of calls) {
    const side = number === 0 ? 'request' : 'response';
    if (kind === 'end') decoder.end(side, how);
    else if (kind === 'gap') {
      decoder.gap(side, at[side], bytes.length);
      at[side] += bytes.length;
    } else {
      const pieces = cutsLost || !decoder.lost(side) ? cut(bytes, first) : [bytes];
      for (const [n, piece] of pieces.entries()) {
        lent(piece, (copy) => decoder.push(side, copy, at[side], n === 0));
        at[side] += piece.length;
      }
    }
  }
  for (const side of SIDES) decoder.end(side, how);
  sink.over();
  return sink.trace.toString();
}
