// SPDX-License-Identifier: Apache-2.0
/**
 * How fast our decoders are, and JSON.parse on the same messages: a process for each, so that none finds the engine
 * warm from another. Prints one JSON object: bytes of messages a microsecond of processor time (10^6 bytes a second).
 *
 *   decode.ts parse                   JSON.parse alone, of strings
 *   decode.ts text                    from UTF-8 to strings, and JSON.parse
 *   decode.ts http1|http2|sse         from the bytes on the wire to frames
 *   decode.ts http1|http2|sse json    and the frames as JSON-RPC
 */
import { HttpConnection, type Payload } from '../../src/http/connection.ts';
import { parse } from '../../src/mcp/frame-content.ts';
import type { Side } from '../../src/protocols/http.ts';
import { makeCalls, type Protocol, record } from './traffic.ts';

/** Seconds of processor time: before anything counts, and measured. */
const WARM_UP = 1;
const MEASURED = 2;

const STREAM = { id: 1, carrier: 'tcp' } as const;
const MAX_MESSAGE = 64 << 20;

const [what = '', then] = process.argv.slice(2);
const calls = makeCalls();
const texts = calls.flatMap(({ request, response }) => [request, response]);
const bytes = texts.map((text) => Buffer.from(text));
const size = bytes.reduce((sum, { length }) => sum + length, 0);

/** @throws Error if not every message came out. */
async function decoding(protocol: Protocol): Promise<() => void> {
  const pieces = await record(protocol, calls);
  return () => {
    let messages = 0;
    const frame = (_: Side, { offset, size, content, http }: Payload) => {
      if (then !== 'json') {
        messages++;
        return;
      }
      const place = { time: 0, stream: STREAM, from: undefined, to: undefined };
      const parsed = parse({ kind: 'frame', ...place, offset, size, content, http });
      // Reading the id has the text scanned, as when it is paired.
      if (parsed?.type === 'messages' && parsed.messages[0]?.id) messages++;
    };
    const nothing = () => {};
    let exchanges = 0;
    const connection = new HttpConnection(
      protocol === 'http2' ? 'http2' : 'http1',
      { frame, step: nothing, unwanted: nothing, foreign: nothing },
      {
        maxMessage: MAX_MESSAGE,
        connection: 1,
        joined: { request: false, response: false },
        streams: {},
        nextExchange: () => ++exchanges,
      },
    );
    const offsets = { request: 0, response: 0 };
    for (const { side, bytes } of pieces) {
      connection.push(side, bytes, offsets[side], true);
      offsets[side] += bytes.length;
    }
    connection.close('request', 'closed');
    connection.close('response', 'closed');
    if (messages !== texts.length) throw new Error(`${messages} messages of ${texts.length}`);
  };
}

async function workOf(): Promise<() => void> {
  switch (what) {
    case 'parse':
      return () => texts.forEach((text) => void JSON.parse(text));
    case 'text':
      return () => bytes.forEach((each) => void JSON.parse(each.toString('utf8')));
    case 'http1':
    case 'http2':
    case 'sse':
      return decoding(what);
    default:
      throw new Error(`decode: what is ${what}?`);
  }
}

/** Microseconds of processor time, all threads: the collector's work counts. */
const used = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

const work = await workOf();
for (const start = used(); used() - start < WARM_UP * 1e6; ) work();
let passes = 0;
const start = used();
while (used() - start < MEASURED * 1e6) {
  work();
  passes++;
}
console.log(
  JSON.stringify({ mb_per_s: (passes * size) / (used() - start), messages: texts.length, bytes: size }),
);
