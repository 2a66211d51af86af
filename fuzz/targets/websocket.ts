// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { type EmitWebSocket, WebSocketDecoder } from '../../src/protocols/websocket.ts';
import { told } from '../content.ts';
import { calls } from '../input.ts';
import { brief, lent, type Target, Trace } from '../target.ts';

const MAX = 1000;

function frame(first: number, payload: Buffer | string, key?: Buffer): Buffer {
  const bytes = Buffer.from(payload as string, 'latin1');
  const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
  const [head = 0, ...more] = length;
  const masked = key ? bytes.map((byte, at) => byte ^ (key[at & 3] ?? 0)) : bytes;
  return Buffer.concat([
    Buffer.from([first, head | (key ? 0x80 : 0), ...more]),
    key ?? Buffer.alloc(0),
    masked,
  ]);
}

const deflated = (text: string) =>
  zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
const KEY = Buffer.from([1, 2, 3, 4]);

/** Flags: 1 the client's side; 2 permessage-deflate; 4 without context takeover; 8 a small window; 16 stopped. */
export const websocket: Target = {
  name: 'websocket',
  tokens: [
    frame(0x81, 'hi'),
    frame(0x01, 'a'),
    frame(0x80, 'b'),
    frame(0x82, '\xff'),
    frame(0x89, 'ping'),
    frame(0x88, '\x03\xe8bye'),
    frame(0xc1, deflated('{"a":1}')),
    frame(0x81, 'hi', KEY),
    '\x81\x7e',
    '\x81\x7f',
    '\x00\x00\xff\xff',
    deflated('x'.repeat(50_000)),
  ],
  steps: { perByte: 60, base: 900 },
  seeds: () => [
    calls(
      0,
      [0, frame(0x81, '{"jsonrpc":"2.0"}')],
      [0, Buffer.concat([frame(0x01, 'ab'), frame(0x89, 'p'), frame(0x80, 'c'), frame(0x88, '\x03\xe8bye')])],
    ),
    calls(1, [0, frame(0x81, `{"a":"${'x'.repeat(1500)}"}`, KEY)], [0, 5], [0, frame(0x81, '{}', KEY)]),
    calls(
      2,
      [0, frame(0xc1, deflated('{"a":1}'))],
      [
        0,
        Buffer.concat([
          frame(0x41, deflated('{"b').subarray(0, 3)),
          frame(0x80, deflated('{"b').subarray(3)),
        ]),
      ],
    ),
    calls(
      6,
      [0, frame(0xc1, deflated('{"a":1}'))],
      [0, frame(0xc1, deflated('x'.repeat(9000)))],
      [0, frame(0xc1, deflated('{"a":1}'))],
    ),
  ],
  run({ flags, calls: all }, cut) {
    const trace = new Trace();
    const decoder = new WebSocketDecoder({
      side: flags & 1 ? 'request' : 'response',
      maxSize: MAX,
      deflate: flags & 2 ? { windowBits: flags & 8 ? 9 : 15, contextTakeover: !(flags & 4) } : undefined,
    });
    let at = 0;
    const emit: EmitWebSocket = (said) => {
      assert.ok(said.offset <= at);
      if (said.type === 'close') trace.say(`${said.offset} close ${said.code} ${brief(said.reason)}`);
      else {
        assert.ok(said.size >= 0 && said.size <= at);
        // Of what is compressed and broken, more or less may have come out.
        const broken = said.content.type === 'incomplete' && (flags & 2) !== 0;
        trace.say(`${said.offset} ${said.size} ${said.opcode} ${broken ? 'broken' : told(said.content)}`);
      }
    };
    for (const { kind, bytes } of all) {
      if (kind === 'gap') {
        decoder.gap(bytes.length, emit);
        at += bytes.length;
      } else if (kind === 'push')
        for (const [n, piece] of (decoder.lost ? [bytes] : cut(bytes)).entries()) {
          const offset = at;
          at += piece.length;
          lent(piece, (copy) => decoder.push(copy, offset, n === 0, emit));
          assert.ok(decoder.held <= 16_384, `${decoder.held} bytes held`);
        }
    }
    decoder.end(flags & 16 ? 'stop' : 'end', emit);
    return trace.toString();
  },
};
