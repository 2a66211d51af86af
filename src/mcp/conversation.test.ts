// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { StreamConversation } from './conversation.ts';

/** Client to server, and back. */
const THERE = 1;
const BACK = 2;

function conversation() {
  const own = new StreamConversation(1);
  own.streams = own.streams.concat(THERE);
  own.streams = own.streams.concat(BACK);
  const ask = (text: string, stream = THERE, time = 0, method = 'tools/call') =>
    own.ask({ id: { text }, method, target: undefined, time, lane: stream, cancelled: false });
  const answer = (text: string | undefined, stream = BACK, time = 5e6) =>
    own.answer(text === undefined ? undefined : { text }, stream, time, 'ok');
  const cancel = (text: string, stream = THERE) => own.cancel({ text }, stream);
  return { own, ask, answer, cancel };
}

describe('a response', () => {
  test('closes the request of that id from the other side, and knows how long it took', () => {
    const { own, ask, answer } = conversation();
    ask('7', THERE, 2e6, 'tools/list');
    const { exchange, status, durationMs } = answer('7', BACK, 12.5e6);
    assert.equal(exchange?.method, 'tools/list');
    assert.equal(status, 'ok');
    assert.equal(durationMs, 10.5);
    assert.deepEqual([...own.open], []);
  });

  test('may come hours later', () => {
    const { ask, answer } = conversation();
    ask('7');
    assert.equal(answer('7', BACK, 36e14).durationMs, 36e8);
  });

  test('to nothing is an orphan, and so is the second to one request', () => {
    const { ask, answer } = conversation();
    assert.deepEqual(answer('7'), { exchange: undefined, status: 'orphan', durationMs: undefined });
    ask('7');
    answer('7');
    assert.equal(answer('7').status, 'orphan');
    assert.equal(answer(undefined).status, 'orphan');
  });

  test('does not answer a request of its own direction', () => {
    const { ask, answer } = conversation();
    ask('7', THERE);
    assert.equal(answer('7', THERE).status, 'orphan');
    assert.equal(answer('7', BACK).status, 'ok');
  });

  test('of one direction leaves the same id of the other open', () => {
    const { own, ask, answer } = conversation();
    ask('1', THERE, 0, 'tools/call');
    ask('1', BACK, 0, 'sampling/createMessage');
    assert.equal(answer('1', THERE).exchange?.method, 'sampling/createMessage');
    assert.equal([...own.open][0]?.method, 'tools/call');
  });

  test('of a text id does not close a request of a number, nor of a neighbour beyond 2^53', () => {
    const { ask, answer } = conversation();
    ask('7');
    assert.equal(answer('"7"').status, 'orphan');
    ask('9007199254740993');
    assert.equal(answer('9007199254740992').status, 'orphan');
    assert.equal(answer('9007199254740993').status, 'ok');
  });

  test('to a cancelled request is late', () => {
    const { ask, cancel, answer } = conversation();
    ask('7');
    assert.ok(cancel('7'));
    const { status, exchange } = answer('7');
    assert.equal(status, 'late');
    assert.equal(exchange?.method, 'tools/call');
  });
});

describe('a cancellation', () => {
  test('counts once, and only for a request of its own direction that is open', () => {
    const { ask, cancel, answer } = conversation();
    assert.ok(!cancel('7'));
    ask('7');
    assert.ok(!cancel('7', BACK));
    assert.ok(cancel('7'));
    assert.ok(!cancel('7'));
    answer('7');
    assert.ok(!cancel('7'));
  });
});

describe('a request', () => {
  test('whose id is still open is noticed, and answers go to the later one', () => {
    const { ask, answer } = conversation();
    assert.equal(ask('7', THERE, 1e6, 'first'), false);
    assert.equal(ask('7', THERE, 2e6, 'second'), true);
    assert.equal(answer('7').exchange?.method, 'second');
  });

  test('is expected to be answered from the other side only', () => {
    const { own, ask } = conversation();
    ask('7');
    assert.ok(own.expects({ text: '7' }, BACK));
    assert.ok(!own.expects({ text: '7' }, THERE));
    assert.ok(!own.expects({ text: '8' }, BACK));
  });

  test('without an answer does not take memory for ever', () => {
    const { own, ask, answer } = conversation();
    for (let id = 0; id < 70_000; id++) ask(String(id));
    assert.equal([...own.open].length, 65_536);
    assert.equal(answer('0').status, 'orphan');
    assert.equal(answer('69999').status, 'ok');
  });
});

describe('whatever is asked, cancelled and answered in any order', () => {
  test('each request is closed once, by the first answer from the other side', () => {
    const step = fc.record({
      what: fc.constantFrom('ask' as const, 'cancel' as const, 'answer' as const),
      id: fc.nat(5).map(String),
      stream: fc.constantFrom(THERE, BACK),
    });
    const property = fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const { own, ask, answer, cancel } = conversation();
      /** Open requests, and whether they were cancelled. */
      const model = new Map<string, boolean>();
      for (const { what, id, stream } of steps) {
        const here = `${stream} ${id}`;
        const there = `${stream === THERE ? BACK : THERE} ${id}`;
        if (what === 'ask') {
          assert.equal(ask(id, stream), model.has(here));
          model.set(here, false);
        } else if (what === 'cancel') {
          assert.equal(cancel(id, stream), model.get(here) === false);
          if (model.has(here)) model.set(here, true);
        } else {
          const cancelled = model.get(there);
          assert.equal(
            answer(id, stream).status,
            cancelled === undefined ? 'orphan' : cancelled ? 'late' : 'ok',
          );
          model.delete(there);
        }
      }
      assert.equal([...own.open].length, model.size);
    });
    fc.assert(property, { numRuns: 200 });
  });
});
