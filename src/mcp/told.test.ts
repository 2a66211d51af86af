// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { REMEMBERED_MAX, type Sighted, Told } from './told.ts';

const CLIENT = 1;
const SERVER = 2;

const message = (exchange: number, place: number, more: Partial<Sighted> = {}): Sighted => ({
  exchange,
  place,
  losses: 0,
  whole: true,
  remembered: true,
  print: () => `message ${place}`,
  ...more,
});

/** Whether each of these was told by the other end before. */
function copies(told: Told, messages: readonly Sighted[]): boolean[] {
  return messages.map((each) => told.isCopy(each));
}

describe('what two ends tell that count from the same byte', () => {
  const aligned = () => {
    const told = new Told();
    told.align();
    return told;
  };

  test('is told by whichever comes first, and its content is not looked at', () => {
    const print = () => assert.fail('looked at');
    const told = aligned();
    const tell = (end: number, ...places: number[]) =>
      copies(
        told,
        places.map((place) => message(end, place, { print })),
      );
    assert.deepEqual(tell(CLIENT, 0, 10), [false, false]);
    assert.deepEqual(tell(SERVER, 0, 10, 20), [true, true, false]);
    assert.deepEqual(tell(CLIENT, 20, 30), [true, false]);
  });

  test('is told by the other end where one has a gap, or has only a part', () => {
    const told = aligned();
    copies(told, [
      message(CLIENT, 0),
      message(CLIENT, 20, { losses: 1 }),
      message(CLIENT, 30, { losses: 1, whole: false }),
    ]);
    copies(told, [message(CLIENT, 40, { losses: 1 })]);
    assert.deepEqual(
      copies(
        told,
        [0, 10, 20, 30, 40].map((place) => message(SERVER, place)),
      ),
      [true, false, true, false, true],
    );
  });
});

describe('what two ends tell of which one was joined in the middle', () => {
  test('is known by its content, in order: the same twice is two', () => {
    const told = new Told();
    const say = (end: number, place: number, content: string) =>
      told.isCopy(message(end, place, { print: () => content }));
    assert.deepEqual([say(CLIENT, 0, 'a'), say(CLIENT, 5, 'a'), say(CLIENT, 9, 'b')], [false, false, false]);
    assert.deepEqual(
      [say(SERVER, 100, 'a'), say(SERVER, 105, 'a'), say(SERVER, 110, 'a'), say(SERVER, 115, 'b')],
      [true, true, false, true],
    );
  });

  test('is known by its place once eight different messages have agreed how far the ends are apart', () => {
    const told = new Told();
    const tell = (end: number, index: number) =>
      told.isCopy(
        message(end, (end === SERVER ? 1000 : 0) + index * 10, { print: () => `message ${index}` }),
      );
    for (let index = 0; index < 8; index++)
      assert.deepEqual([tell(CLIENT, index), tell(SERVER, index)], [false, true]);
    const ahead = 3 * REMEMBERED_MAX;
    for (let index = 8; index < ahead; index++) assert.equal(tell(SERVER, index), false);
    for (let index = 8; index < ahead; index++) assert.equal(tell(CLIENT, index), true);
    assert.equal(tell(CLIENT, ahead), false);
  });

  test('is not taken for what repeats itself: eight messages that are the same tell nothing', () => {
    const told = new Told();
    const tell = (end: number, place: number, content: string) =>
      told.isCopy(message(end, place, { print: () => content }));
    // The server was joined three messages later.
    for (let index = 0; index < 23; index++) tell(CLIENT, index * 10, 'tick');
    for (let index = 3; index < 23; index++) assert.equal(tell(SERVER, index * 10 - 30, 'tick'), true);
    // Now it is ahead.
    assert.equal(tell(SERVER, 200, 'last'), false);
    assert.equal(tell(CLIENT, 230, 'last'), true);
  });

  test('remembers so many messages and no more', () => {
    const told = new Told();
    for (let place = 0; place <= REMEMBERED_MAX; place++) told.isCopy(message(CLIENT, place));
    assert.ok(!told.hasAlone('message 0'));
    assert.ok(told.hasAlone('message 1'));
  });

  test('remembers nothing where nobody can be at the other end', () => {
    const told = new Told();
    told.isCopy(message(CLIENT, 0, { remembered: false, print: () => assert.fail('looked at') }));
    assert.ok(!told.hasAlone('message 0'));
  });
});
