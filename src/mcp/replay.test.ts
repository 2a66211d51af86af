// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EVENTS_MAX, Replay } from './replay.ts';

describe('an event', () => {
  test('is repeated when another exchange that resumes brings its id and its content', () => {
    const replay = new Replay();
    assert.equal(replay.isRepeated('1', 'a', 10, 10, false), false);
    assert.equal(replay.isRepeated('1', 'a', 11, 10, true), true);
    assert.equal(replay.isRepeated('1', Buffer.from('a'), 12, 10, true), true);
  });

  test('is new with another id, other content, on the same exchange, or where nothing is resumed', () => {
    const replay = new Replay();
    replay.isRepeated('1', 'a', 10, 10, false);
    assert.equal(replay.isRepeated('2', 'a', 11, 10, true), false);
    assert.equal(replay.isRepeated('1', 'b', 11, 10, true), false);
    assert.equal(replay.isRepeated('1', 'a', 10, 10, true), false);
    assert.equal(replay.isRepeated('1', 'a', 11, 11, false), false);
  });

  test('without an id, or with one that no header could hold, is never repeated', () => {
    const replay = new Replay();
    for (const id of ['', 'x'.repeat(2000)]) {
      replay.isRepeated(id, 'a', 10, 10, false);
      assert.equal(replay.isRepeated(id, 'a', 11, 10, true), false);
    }
  });

  test('tells by its id whose event stream it belongs to', () => {
    const replay = new Replay();
    replay.isRepeated('1', 'a', 10, 10, false);
    replay.note('2', 10);
    assert.equal(replay.originOf('1'), 10);
    assert.equal(replay.originOf('2'), 10);
    assert.equal(replay.originOf('3'), undefined);
  });

  test('is forgotten when so many have come since', () => {
    const replay = new Replay();
    for (let id = 0; id <= EVENTS_MAX; id++) replay.isRepeated(`${id}`, 'a', 10, 10, false);
    assert.equal(replay.originOf('0'), undefined);
    assert.equal(replay.isRepeated(`${EVENTS_MAX}`, 'a', 11, 10, true), true);
    assert.equal(replay.isRepeated('0', 'a', 11, 10, true), false);
  });
});
