// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bus } from '../bus.ts';
import { CAUSES } from '../source/decode.ts';
import { LossCounter } from './losses.ts';

test('what has a place, too, is counted once', () => {
  const bus = new Bus();
  const losses = new LossCounter(bus);
  const end = { from: undefined, to: undefined };
  const seen = { seq: 1, time: 0, transport: 'stdio', connection: 1, stream: 1, offset: 0, ...end } as const;
  bus.emit('gap', { ...seen, kind: 'gap', cause: 'map-full', bytes: 70, frames: undefined });
  const cause = CAUSES.indexOf('map-full');
  const all = { 'map-full': { bytes: 100, records: 2, frames: 0 } };
  assert.deepEqual(losses.total([{ cause, bytes: 100, records: 2, lines: 0 }]), all);
});

test('what has no place in a stream is told by the kernel’s own count, the rest by its gaps', () => {
  const count = (name: (typeof CAUSES)[number], records: number) => ({
    cause: CAUSES.indexOf(name),
    bytes: 0,
    records,
    lines: 0,
  });
  const losses = new LossCounter(new Bus());
  // A program left out, a process that found no room; of a full ring each gap is told by itself.
  assert.deepEqual(losses.total([count('skipped', 3), count('map-full', 2), count('ring-full', 9)]), {
    skipped: { bytes: 0, records: 3, frames: 0 },
    'map-full': { bytes: 0, records: 2, frames: 0 },
  });
});

test('what the kernel has counted, and could tell of no stream any more, is told as well', () => {
  const bus = new Bus();
  const losses = new LossCounter(bus);
  const gap = {
    type: 'gap',
    time: 0,
    offset: 0,
    lines: 0,
    endsLine: false,
    mayArrive: false,
    fromReader: false,
  } as const;
  // One of MCP and one of something else.
  losses.told({ ...gap, stream: 1, bytes: 300, cause: 'ring-full' });
  losses.told({ ...gap, stream: 2, bytes: 500, cause: 'ring-full' });
  losses.told({ ...gap, stream: 2, bytes: 70, cause: 'unreadable' });
  const end = { from: undefined, to: undefined };
  const seen = { seq: 1, time: 0, transport: 'stdio', connection: 1, stream: 1, offset: 0, ...end } as const;
  bus.emit('gap', { ...seen, kind: 'gap', cause: 'ring-full', bytes: 300, frames: 2 });
  const count = (name: (typeof CAUSES)[number], bytes: number) => ({
    cause: CAUSES.indexOf(name),
    bytes,
    records: 9,
    lines: 9,
  });
  assert.deepEqual(losses.total([count('ring-full', 1000), count('unreadable', 70)]), {
    'ring-full': { bytes: 500, records: 2, frames: 2 },
  });
});
