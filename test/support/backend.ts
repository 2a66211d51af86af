// SPDX-License-Identifier: Apache-2.0
/** Which back end the tests run on: some bytes only one of them can show. */
import { spawnSync } from 'node:child_process';
import { cannotCapture, SPY, WATCHING } from './mcpspy.ts';

function used(): 'fentry' | 'tracepoint' | undefined {
  if (cannotCapture) return undefined;
  // Where several watch, only what all of them see is told.
  if (WATCHING.length > 0) return 'tracepoint';
  const [spy, ...backEnd] = SPY;
  const trial = spawnSync(spy, [...backEnd, 'run', '-q', '-o', '-', '--', 'true'], { encoding: 'utf8' });
  return JSON.parse(trial.stdout.split('\n')[0] ?? '').backend;
}

/** `undefined` where nothing can be captured. */
export const backend = used();
