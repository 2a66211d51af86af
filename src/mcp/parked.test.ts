// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LossCause, StreamItem } from '../streams/frame.ts';
import { ALL_PARKED_BYTES, PARKED_BYTES, Parked } from './parked.ts';

function frame(stream: number, time: number, size = 10): StreamItem {
  const content = { type: 'text' as const, text: 'x' };
  const place = {
    stream: { id: stream, carrier: 'pipe' as const },
    offset: 0,
    from: undefined,
    to: undefined,
  };
  return { kind: 'frame', time, size, content, ...place };
}

function gap(stream: number, offset: number, cause: LossCause = 'ring-full'): StreamItem {
  const { time, stream: of, from, to } = { from: undefined, to: undefined, ...frame(stream, 1) };
  return { kind: 'gap', stream: of, from, to, time, offset, bytes: 100, frames: 1, cause };
}

/** A frame that a loss has cut. */
function cut(stream: number, offset: number, head: string, size = 10): StreamItem {
  const content = { type: 'incomplete' as const, head, reason: 'gap' as const };
  return { ...frame(stream, 1, size), offset, content } as StreamItem;
}

describe('what is parked', () => {
  test('is given back once, in time order over all its streams', () => {
    const parked = new Parked();
    for (const item of [frame(1, 10), frame(1, 30), frame(2, 20), frame(3, 5)]) assert.ok(parked.add(item));
    assert.deepEqual(
      parked.take([1, 2]).map(({ time }) => time),
      [10, 20, 30],
    );
    assert.deepEqual(parked.take([1, 2]), []);
    assert.deepEqual(parked.streams(), [3]);
  });

  test('keeps the order of its stream where times are equal', () => {
    const parked = new Parked();
    const items = [frame(1, 10, 1), frame(1, 10, 2), frame(1, 10, 3)];
    for (const item of items) parked.add(item);
    assert.deepEqual(parked.take([1]), items);
  });

  test('is known by its stream until it is dropped', () => {
    const parked = new Parked();
    parked.add(frame(1, 1));
    assert.ok(parked.has(1));
    parked.drop(1);
    assert.ok(!parked.has(1));
    assert.deepEqual(parked.take([1]), []);
  });

  test('may have so many bytes and no more, each stream for itself', () => {
    const parked = new Parked();
    assert.ok(parked.add(frame(1, 1, PARKED_BYTES)));
    assert.ok(parked.add(frame(2, 1, PARKED_BYTES)));
    assert.ok(!parked.add(frame(1, 2, 1)));
  });

  test('may have so many items and no more, however small', () => {
    const parked = new Parked();
    let room = 0;
    while (parked.add(frame(1, room, 0))) room++;
    assert.equal(room, 2048);
  });

  test('has its whole allowance again after it was given back', () => {
    const parked = new Parked();
    parked.add(frame(1, 1, PARKED_BYTES));
    parked.take([1]);
    assert.ok(parked.add(frame(1, 2, PARKED_BYTES)));
  });

  test('is a gap of as much when it had to be forgone', () => {
    const parked = new Parked();
    for (const time of [5, 6, 7]) parked.add(frame(1, time, 100));
    parked.forgo(1);
    parked.add(frame(1, 8));
    const [gap, after] = parked.take([1]);
    assert.ok(gap?.kind === 'gap');
    assert.deepEqual([gap.time, gap.bytes, gap.frames, gap.cause], [7, 300, 3, 'stopped']);
    assert.equal(after?.time, 8);
  });

  test('is a gap that counts a frame which it has cut once', () => {
    const parked = new Parked();
    for (const item of [cut(1, 0, '{"json'), gap(1, 10), frame(1, 2)]) parked.add(item);
    parked.forgo(1);
    const [instead] = parked.take([1]);
    assert.ok(instead?.kind === 'gap');
    assert.deepEqual([instead.bytes, instead.frames, instead.cause], [120, 2, 'stopped']);
  });

  test('is a gap with their cause where there were only losses', () => {
    const parked = new Parked();
    for (const item of [cut(1, 0, '{"json'), gap(1, 10), gap(1, 200)]) parked.add(item);
    parked.forgo(1);
    const [instead] = parked.take([1]);
    assert.ok(instead?.kind === 'gap');
    assert.deepEqual([instead.frames, instead.cause], [2, 'ring-full']);
  });

  test('may have been cut by any number of losses', () => {
    const parked = new Parked();
    for (let count = 0; count < 10_000; count++) {
      assert.ok(parked.add(cut(1, 0, '{"json', PARKED_BYTES)));
      assert.ok(parked.add(gap(1, 0)));
    }
    assert.ok(parked.take([1]).length <= ALL_PARKED_BYTES / 512);
  });

  test('was lost as a whole where it is let go, and nothing but losses from the first byte on was ever known', () => {
    const parked = new Parked();
    const all = [gap(1, 0), gap(1, 100), gap(2, 0), frame(2, 2), gap(3, 50), gap(4, 0), gap(5, 0, 'stopped')];
    for (const item of all) parked.add(item);
    for (const stream of [1, 2, 3, 5, 6]) parked.letGo(stream);
    parked.take([4]);
    assert.deepEqual(parked.unseen(), { streams: 1, bytes: 200 });
    assert.deepEqual(parked.streams(), []);
    for (const item of [cut(9, 0, '{"json'), gap(9, 10), cut(10, 0, 'text'), gap(10, 10)]) parked.add(item);
    for (const stream of [9, 10]) parked.letGo(stream);
    assert.deepEqual(parked.unseen(), { streams: 2, bytes: 300 });
    for (const item of [gap(7, 0), gap(8, 0)]) parked.add(item);
    assert.deepEqual(
      parked.unseen((stream) => stream === 8),
      { streams: 3, bytes: 400 },
    );
  });

  test('takes so much room in all and no more: the stream parked first is forgone first', () => {
    const parked = new Parked();
    const streams = ALL_PARKED_BYTES / PARKED_BYTES + 2;
    for (let stream = 1; stream <= streams; stream++)
      assert.ok(parked.add(frame(stream, stream, PARKED_BYTES)));
    const kinds = Array.from({ length: streams }, (_, index) => parked.take([index + 1])[0]?.kind);
    const forgone = kinds.filter((kind) => kind === 'gap').length;
    assert.ok(forgone >= 2 && forgone <= 4, `${forgone} forgone`);
    assert.ok(kinds.slice(0, forgone).every((kind) => kind === 'gap'));
  });

  test('takes no more room for any number of streams', () => {
    const parked = new Parked();
    for (let stream = 1; stream <= 200_000; stream++) parked.add(frame(stream, stream));
    assert.ok(parked.streams().length <= ALL_PARKED_BYTES / 512);
  });
});
