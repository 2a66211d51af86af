// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpConversation, laneOf } from './http-conversation.ts';

function conversation(exclusive: boolean) {
  const own = new HttpConversation(1, exclusive);
  const ask = (exchange: number, text: string, side: 'request' | 'response' = 'request') =>
    own.ask({
      ...{ id: { text }, method: 'tools/call', target: `${exchange}`, time: 0 },
      ...{ lane: laneOf(exchange, side), cancelled: false },
    });
  const answer = (exchange: number, text: string | undefined, side: 'request' | 'response' = 'response') =>
    own.answer(text === undefined ? undefined : { text }, laneOf(exchange, side), 5e6, 'ok').exchange?.target;
  const cancel = (exchange: number, text: string) => own.cancel({ text }, laneOf(exchange, 'request'));
  return { own, ask, answer, cancel, open: () => [...own.open].map(({ target }) => target) };
}

describe('an answer', () => {
  for (const exclusive of [true, false])
    test(`belongs to its own exchange first, ${exclusive ? 'in' : 'without'} a session`, () => {
      const { ask, answer, open } = conversation(exclusive);
      for (const exchange of [1, 2, 3]) ask(exchange, '7');
      assert.deepEqual(
        [2, 3, 1].map((exchange) => answer(exchange, '7')),
        ['2', '3', '1'],
      );
      assert.deepEqual(open(), []);
    });

  test('on another exchange belongs to the last request of that id, in a session only', () => {
    const session = conversation(true);
    for (const exchange of [1, 2]) session.ask(exchange, '7');
    assert.equal(session.answer(9, '7'), '2');
    assert.equal(session.answer(9, '7'), '1');
    assert.equal(session.answer(9, '7'), undefined);
    const none = conversation(false);
    none.ask(1, '7');
    assert.equal(none.answer(9, '7'), undefined);
  });

  test('of a resumed stream belongs to the exchange that it goes on with, over any number of resumptions', () => {
    const { own, ask, answer } = conversation(false);
    for (const exchange of [1, 2]) ask(exchange, '7');
    own.resume(3, 1);
    own.resume(4, 3);
    assert.equal(answer(4, '7'), '1');
    assert.equal(answer(4, '7'), undefined);
  });

  test('of the client belongs to the only question of that id that there is', () => {
    const { ask, answer } = conversation(false);
    ask(1, '7', 'response');
    ask(2, '7', 'response');
    assert.equal(answer(3, '7', 'request'), undefined);
    assert.equal(answer(2, '7', 'request'), '2');
    assert.equal(answer(3, '7', 'request'), '1');
  });

  test('does not answer a request of its own direction', () => {
    const { ask, answer } = conversation(true);
    ask(1, '7');
    assert.equal(answer(1, '7', 'request'), undefined);
    assert.equal(answer(9, '7', 'request'), undefined);
  });

  test('without an id belongs to the only request of its exchange', () => {
    const { ask, answer } = conversation(true);
    ask(1, '7');
    ask(2, '8');
    ask(2, '9');
    assert.equal(answer(2, undefined), undefined);
    assert.equal(answer(3, undefined), undefined);
    assert.equal(answer(1, undefined), '1');
  });
});

describe('an id that is used again while it is open', () => {
  test('is told of in a session and in one exchange, not without', () => {
    const session = conversation(true);
    assert.deepEqual([session.ask(1, '7'), session.ask(2, '7'), session.ask(2, '7')], [false, true, true]);
    const none = conversation(false);
    assert.deepEqual([none.ask(1, '7'), none.ask(2, '7'), none.ask(2, '7')], [false, false, true]);
    assert.deepEqual(none.open(), ['1', '2']);
  });
});

describe('a cancellation', () => {
  test('takes back the last request of that id in a session, without one only the one that there is', () => {
    const session = conversation(true);
    for (const exchange of [1, 2]) session.ask(exchange, '7');
    assert.ok(session.cancel(9, '7'));
    const none = conversation(false);
    none.ask(1, '7');
    assert.ok(none.cancel(9, '7'));
    assert.ok(!none.cancel(9, '7'));
    none.ask(2, '7');
    assert.ok(!none.cancel(9, '7'));
  });
});

describe('open requests', () => {
  test('that are left are taken away with their lane', () => {
    const { own, ask, open } = conversation(true);
    ask(1, '7');
    ask(1, '8');
    ask(2, '9');
    assert.deepEqual(
      own.leave(laneOf(1, 'request')).map(({ id }) => id.text),
      ['7', '8'],
    );
    assert.deepEqual(own.leave(laneOf(1, 'request')), []);
    assert.deepEqual(open(), ['2']);
  });

  test('are kept in a bounded number, the same id or not', () => {
    const { own, ask, answer } = conversation(true);
    for (let exchange = 0; exchange < 66_000; exchange++)
      ask(exchange, `${exchange % 2 ? exchange : 'same'}`);
    assert.equal([...own.open].length, 65_536);
    assert.equal(answer(65_998, 'same'), '65998');
    assert.equal(answer(1, '1'), undefined);
  });
});
