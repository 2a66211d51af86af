// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { LineFramer } from '../../src/protocols/lines.ts';
import { told } from '../content.ts';
import { calls } from '../input.ts';
import { lent, type Target, Trace } from '../target.ts';

const MAX = 200;

/** Flags: 1 joined, 2 a call is a packet, 4 the end is the capture's. What is lost ends a line, does not, or may. */
export const lines: Target = {
  name: 'lines',
  tokens: ['\n', '\r\n', '{', '}', '[', ']', '"', '\\', '{"a":1}', '\xe2\x82\xac', '\xff', ' ', '1', 'null'],
  steps: { perByte: 60, base: 400 },
  seeds: () => [
    calls(0, [0, '{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"jsonrpc":"2.0","id":1,"result":{}}\r\n']),
    calls(1, [0, 'rest"}}\n'], [0, '{"a":"\xe2\x82\xac"}\n'], [0, 3], [0, 'log line\n[1,2]']),
    calls(2, [0, '{"a":'], [0, '"b"}'], [0, 4], [0, '[1]'], [0, `"${'x'.repeat(300)}"\n`]),
  ],
  run({ flags, calls: all }, cut) {
    const trace = new Trace();
    const framer = new LineFramer({ maxSize: MAX, joined: (flags & 1) !== 0 });
    const packets = (flags & 2) !== 0;
    let at = 0;
    let end = 0;
    const emit = ({ offset, size, content }: Parameters<Parameters<LineFramer['push']>[3]>[0]) => {
      assert.ok(offset >= end && offset + size <= at + size, 'lines follow each other');
      end = offset + size;
      trace.say(`${offset} ${size} ${told(content)}`);
    };
    for (const { kind, bytes } of all) {
      if (kind === 'push') {
        const pieces = cut(bytes);
        for (const [n, piece] of pieces.entries()) {
          const offset = at;
          at += piece.length;
          lent(piece, (copy) => framer.push(copy, offset, packets && n === pieces.length - 1, emit));
          assert.ok(framer.held <= MAX + 4098, `${framer.held} bytes held`);
        }
      } else if (kind === 'gap') {
        framer.gap(at, bytes.length, [undefined, true, false][bytes.length % 3], emit);
        at += bytes.length;
      } else if (flags & 8) framer.acceptText();
    }
    framer.end(flags & 4 ? 'stop' : 'end', emit);
    trace.say(`skipped ${framer.takeSkipped()}`);
    assert.equal(framer.held, 0);
    return trace.toString();
  },
};
