// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { SseDecoder, type SseEvent } from '../../src/protocols/sse.ts';
import { told } from '../content.ts';
import { calls } from '../input.ts';
import { brief, lent, type Target, Trace } from '../target.ts';

const MAX = 100;

/** Flags: 1 joined; 2 bytes without a place of their own; 4 the end is the capture's. */
export const sse: Target = {
  name: 'sse',
  tokens: [
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    'data',
    'data:',
    'data: ',
    'event: ',
    'id: ',
    'id:\0',
    'retry: 10',
    ':',
    ' ',
    '\xef\xbb\xbf',
    '\xef\xbb',
    '{"a":1}',
    '\xc3\xa9',
  ],
  steps: { perByte: 80, base: 600 },
  seeds: () => [
    calls(
      0,
      [0, 'event: message\r\nid: 1\r\ndata: {"jsonrpc":"2.0"}\r\n\r\n'],
      [0, ': ping\n\ndata: a\ndata: b\nretry: 5\n\n'],
    ),
    calls(1, [0, 'rest"}\n\ndata: x\n\n'], [0, 4], [0, 'data: y\n\ndata: z\r\r']),
    calls(0, [0, '\xef\xbb\xbfdata\n\nid\ndata:x\n\n'], [0, `data: ${'x'.repeat(150)}\n\n`]),
  ],
  run({ flags, calls: all }, cut) {
    const trace = new Trace();
    const decoder = new SseDecoder({ maxSize: MAX, joined: (flags & 1) !== 0 });
    const step = flags & 2 ? 0 : 1;
    let at = 0;
    const emit = ({ data, name, id, retry, offset, size }: SseEvent) => {
      assert.ok(offset <= at && size >= 0);
      const place = step ? `${offset} ` : '';
      trace.say(`${place}${size} ${brief(name)} ${id && brief(id)} ${retry} ${told(data)}`);
    };
    for (const { kind, bytes } of all) {
      if (kind === 'push')
        for (const piece of cut(bytes)) {
          const offset = at;
          at += piece.length;
          lent(piece, (copy) => decoder.push(copy, offset, emit, step));
          assert.ok(decoder.held <= 32_768, `${decoder.held} bytes held`);
        }
      else if (kind === 'gap') {
        decoder.lost(emit);
        at += bytes.length;
      }
    }
    decoder.end(flags & 4 ? 'stop' : 'end', emit);
    return trace.toString();
  },
};
