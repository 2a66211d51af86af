// SPDX-License-Identifier: Apache-2.0
/** A target with a fault that is known, by which the fuzzer itself is tested. */
import { bytesOf, type Input, whole } from './input.ts';
import type { Target } from './target.ts';

/** Is this an input that it never ends with? The seed is none. */
export function loopsOn(input: Input): boolean {
  return bytesOf(input).includes('loop');
}

const loops: Target = {
  name: 'loops',
  tokens: ['loop'],
  steps: { perByte: 1, base: 1 },
  seeds: () => [whole('some bytes')],
  run(input) {
    while (loopsOn(input));
    return 'over';
  },
};

export const TARGETS: readonly Target[] = [loops];
