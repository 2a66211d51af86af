// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Connections, type Ends } from './connections.ts';

const CLIENT = 10;
const SERVER = 20;

function ends(stream: number, from: number | undefined, to: number | undefined, pair = 0): Ends {
  return { stream, pair, from, to };
}

function connections() {
  const now = new Map<number, Pick<Ends, 'from' | 'to'>>();
  let last = 0;
  const own = new Connections(
    (stream) => now.get(stream) ?? { from: undefined, to: undefined },
    () => ++last,
  );
  /** Numbers of the connections of these streams, in order. */
  const numbers = (...all: Ends[]) => all.map((each) => own.of(each).connection);
  return { own, now, numbers };
}

describe('two streams are one connection', () => {
  test('when they run between the same two processes in opposite directions', () => {
    const { own, numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, SERVER), ends(2, SERVER, CLIENT)), [1, 1]);
    assert.deepEqual([...own.of(ends(1, CLIENT, SERVER)).streams], [1, 2]);
  });

  test('when they are the two directions of one socket, whoever uses it', () => {
    const { numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, SERVER), ends(2, 30, undefined, 1)), [1, 1]);
  });

  test('when the ends of the first become known only later', () => {
    const { now, numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, undefined)), [1]);
    now.set(1, { from: CLIENT, to: SERVER });
    assert.deepEqual(numbers(ends(2, SERVER, CLIENT)), [1]);
  });

  test('and stay one when other processes take over', () => {
    const { numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, SERVER), ends(2, SERVER, CLIENT)), [1, 1]);
    assert.deepEqual(numbers(ends(1, CLIENT, 21), ends(2, 21, CLIENT)), [1, 1]);
  });
});

describe('two streams are two connections', () => {
  test('when they run in the same direction', () => {
    const { numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, SERVER), ends(2, CLIENT, SERVER)), [1, 2]);
  });

  test('when an end is not known', () => {
    const { numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, undefined), ends(2, undefined, CLIENT)), [1, 2]);
  });

  test('when a third process is involved', () => {
    const { numbers } = connections();
    assert.deepEqual(numbers(ends(1, CLIENT, SERVER), ends(2, SERVER, 30)), [1, 2]);
  });
});

describe('two connections between the same two processes', () => {
  test('take their way back in the order in which they appeared', () => {
    const { numbers } = connections();
    const there = [ends(1, CLIENT, SERVER), ends(2, CLIENT, SERVER)];
    const back = [ends(3, SERVER, CLIENT), ends(4, SERVER, CLIENT)];
    assert.deepEqual(numbers(...there, ...back), [1, 2, 1, 2]);
  });

  test('take the way back that answers them', () => {
    const { own, numbers } = connections();
    numbers(ends(1, CLIENT, SERVER), ends(2, CLIENT, SERVER));
    const second = own.get(2);
    assert.equal(own.of(ends(3, SERVER, CLIENT), (half) => half === second).connection, 2);
    assert.equal(own.of(ends(4, SERVER, CLIENT)).connection, 1);
  });

  test('over sockets are told apart by the socket', () => {
    const { numbers } = connections();
    const there = [ends(1, CLIENT, SERVER), ends(2, CLIENT, SERVER)];
    const back = [ends(3, SERVER, CLIENT, 2), ends(4, SERVER, CLIENT, 1)];
    assert.deepEqual(numbers(...there, ...back), [1, 2, 2, 1]);
  });
});

describe('a pipeline', () => {
  const SINK = 30;

  test('is joined by the answer of the process that was asked', () => {
    const { own } = connections();
    const asking = own.of(ends(1, CLIENT, SERVER));
    const lone = own.of(ends(2, SERVER, SINK));
    const joined = own.joinByAnswer(lone, ends(2, SERVER, SINK), () => true);
    assert.equal(joined, asking);
    assert.equal(own.get(2), asking);
    assert.deepEqual([...own.all], [asking]);
  });

  test('is not joined when nobody was asked that', () => {
    const { own } = connections();
    own.of(ends(1, CLIENT, SERVER));
    const lone = own.of(ends(2, SERVER, SINK));
    assert.equal(
      own.joinByAnswer(lone, ends(2, SERVER, SINK), () => false),
      lone,
    );
  });

  test('is not joined to somebody else’s question, nor to one whose answers come elsewhere', () => {
    const { own } = connections();
    own.of(ends(1, CLIENT, 99));
    own.of(ends(2, CLIENT, SERVER));
    own.of(ends(3, SERVER, CLIENT));
    const lone = own.of(ends(4, SERVER, SINK));
    assert.equal(
      own.joinByAnswer(lone, ends(4, SERVER, SINK), () => true),
      lone,
    );
  });

  test('is joined to a question whose reader became known only later', () => {
    const { own, now } = connections();
    const asking = own.of(ends(1, CLIENT, undefined));
    const lone = own.of(ends(2, SERVER, SINK));
    now.set(1, { from: CLIENT, to: SERVER });
    assert.equal(
      own.joinByAnswer(lone, ends(2, SERVER, SINK), () => true),
      asking,
    );
  });
});

describe('a connection', () => {
  test('is over when the last of its streams has ended', () => {
    const { own } = connections();
    const conversation = own.of(ends(1, CLIENT, SERVER));
    own.of(ends(2, SERVER, CLIENT));
    assert.equal(own.end(1), undefined);
    assert.equal(own.end(2), conversation);
    assert.equal(own.end(2), undefined);
    assert.deepEqual([...own.all], []);
  });

  test('that is over does not wait for its way back any more', () => {
    const { own, numbers } = connections();
    numbers(ends(1, CLIENT, SERVER));
    own.end(1);
    assert.deepEqual(numbers(ends(2, SERVER, CLIENT)), [2]);
  });

  test('begins anew under a new number when its pid and streams are used again', () => {
    const { own, numbers } = connections();
    numbers(ends(1, CLIENT, SERVER), ends(2, SERVER, CLIENT));
    own.end(1);
    own.end(2);
    assert.deepEqual(numbers(ends(3, CLIENT, SERVER), ends(4, SERVER, CLIENT)), [2, 2]);
  });
});
