// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { HpackDecoder } from '../../src/protocols/hpack.ts';
import { calls } from '../input.ts';
import { brief, type Target, Trace } from '../target.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

/**
 * A call is a block. The first `flags` blocks are not seen by a second decoder: what it says is what the first one
 * does, or not known. A gap loses a block.
 */
export const hpack: Target = {
  name: 'hpack',
  tokens: [
    '\x82',
    '\x88',
    '\xbe',
    '\xbf',
    '\xc0',
    '\x20',
    '\x3f\xe1\x01',
    '\x3f\xe1\x1f',
    '\x40',
    '\x00',
    '\x10',
    '\x01a',
    '\x84\xff',
    '\xff',
    '\x80',
    '\x0f',
    hex('828684418cf1e3c2e5f23a6ba0ab90f4ff'),
  ],
  steps: { perByte: 400, base: 300 },
  seeds: () => [
    calls(
      1,
      [0, hex('8286844 10f7777772e6578616d706c652e636f6d'.replaceAll(' ', ''))],
      [0, hex('828684be58086e6f2d6361636865')],
      [0, hex('828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565')],
    ),
    calls(
      1,
      [
        0,
        hex(
          '3fe101488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        ),
      ],
      [0, hex('4883640effc1c0bf')],
    ),
  ],
  run({ flags, calls: all }) {
    const trace = new Trace();
    const whole = new HpackDecoder();
    const late = new HpackDecoder(true);
    let lost = false;
    let n = 0;
    for (const { kind, bytes } of all) {
      if (kind !== 'push') {
        whole.lose();
        lost = true;
        continue;
      }
      const said = whole.decode(bytes);
      assert.ok(whole.size <= 1 << 20 && said.fields.length <= 8192);
      if (said.broken) lost = true;
      trace.say(`${said.broken} ${said.cut} ${brief(JSON.stringify(said.fields))}`);
      if (lost || n++ < flags % 4) continue;
      const { fields, broken } = late.decode(bytes);
      assert.equal(broken, false, 'a late joiner takes what is valid');
      for (const [at, [name, value]] of fields.slice(0, said.fields.length).entries()) {
        const [trueName, trueValue] = said.fields[at] ?? [];
        assert.ok(name === undefined || name === trueName, `${name} is ${trueName}`);
        assert.ok(value === trueValue || (name === undefined && value === ''), `${value} is ${trueValue}`);
      }
      assert.ok(late.size <= 1 << 20);
    }
    return trace.toString();
  },
};
