// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Delayed } from './delayed.ts';

/** All that waits, which waits no longer. */
function rest(delayed: Delayed<{ readonly time: number }>): number[] {
  const times: number[] = [];
  for (let next = delayed.take(); next; next = delayed.take()) times.push(next.time);
  return times;
}

test('what waits is taken in its order, and sorted by time when that is asked for', () => {
  const step = fc.oneof(
    fc.record({ push: fc.nat(9) }),
    fc.constant('take' as const),
    fc.constant('sort' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const delayed = new Delayed<{ readonly time: number }>();
      let expected: number[] = [];
      for (const each of steps) {
        if (each === 'take') assert.equal(delayed.take()?.time, expected.shift());
        else if (each === 'sort') {
          delayed.sort();
          expected = expected.toSorted((a, b) => a - b);
        } else {
          delayed.push({ time: each.push });
          expected.push(each.push);
        }
        assert.equal(delayed.first?.time, expected[0]);
        assert.equal(delayed.length, expected.length);
      }
      assert.deepEqual(rest(delayed), expected);
    }),
  );
});
