// SPDX-License-Identifier: Apache-2.0
/** Half an hour of churn (`npm run soak`) fails when a promise is broken: here is what each one says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { broken, type Outcome, type Sample } from '../../bench/soak-verdict.ts';

function sample(minute: number, changes: Partial<Sample> = {}): Sample {
  return {
    minute,
    mebibytes: [200 + (minute % 3), 80 - (minute % 4)],
    descriptors: [29, 68 + (minute % 5)],
    entries: { scope: 3 },
    scope: [1, 2, 3],
    mapBytes: 75_000_000,
    ...changes,
  };
}

const kept: Outcome = {
  samples: Array.from({ length: 31 }, (_, minute) => sample(minute)),
  sent: 100,
  messages: 100,
  losses: {},
  exitCode: 0,
};

/** With what `change` makes of each sample from minute 20 on. */
const later = (change: (minute: number) => Partial<Sample>): Outcome => ({
  ...kept,
  samples: kept.samples.map((each) => (each.minute < 20 ? each : sample(each.minute, change(each.minute)))),
});

const CASES: readonly (readonly [what: string, outcome: Outcome, said: readonly RegExp[]])[] = [
  ['nothing', kept, []],
  ['a message that nobody told of', { ...kept, messages: 99 }, [/^100 messages were sent, but 99/]],
  [
    'losses that were told',
    { ...kept, messages: 98, losses: { 'ring-full': { bytes: 60, records: 1, frames: 2 } } },
    [/^2 messages, 60 bytes, were lost in 1 places: ring-full/],
  ],
  ['a capture that fails', { ...kept, exitCode: 5 }, [/^the capture ended with 5/]],
  [
    'a monitor that grows',
    later((minute) => ({ mebibytes: [200 + minute, 80] })),
    [/^the monitor grew from 201\.0 to 228\.0/],
  ],
  [
    'a sensor that grows',
    later((minute) => ({ mebibytes: [200, 80 + minute] })),
    [/^the sensor grew from \S+ to 108\.0/],
  ],
  ['descriptors', later((minute) => ({ descriptors: [29, 68 + minute] })), [/^\d+ descriptors became 125/]],
  ['maps', later(() => ({ mapBytes: 75_000_001 })), [/^the kernel's maps took/]],
  [
    'a process that stays in scope',
    later(() => ({ scope: [1, 2, 3, 4] })),
    [/^in scope were 1, 2, 3 at the beginning and 1, 2, 3, 4/],
  ],
  ['a map that could not be read', later(() => ({ scope: [] })), [/^in scope were 1, 2, 3 .* none/]],
  ['no time', { ...kept, samples: kept.samples.slice(0, 2) }, [/^there are too few samples/]],
];

for (const [what, outcome, said] of CASES)
  test(`a soak says of ${what}: ${said.length ? 'a sentence' : 'nothing'}`, () => {
    const faults = broken(outcome);
    assert.equal(faults.length, said.length, faults.join('\n'));
    for (const [index, pattern] of said.entries()) assert.match(faults[index] ?? '', pattern);
  });
