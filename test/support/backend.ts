// SPDX-License-Identifier: Apache-2.0
/** Which back end the tests run on: some bytes only one of them can show. */
import { spawnSync } from 'node:child_process';
import { cannotCapture, MCPSPY, WATCHING } from './mcpspy.ts';

function used(): 'fentry' | 'tracepoint' | undefined {
  if (cannotCapture) return undefined;
  // Where several watch, only what all of them see is told.
  if (WATCHING.length > 0) return 'tracepoint';
  const wanted = process.env['MCPSPY_TEST_BACKEND'];
  const options = wanted ? ['--backend', wanted] : [];
  const trial = spawnSync(MCPSPY, ['run', ...options, '-q', '-o', '-', '--', 'true'], { encoding: 'utf8' });
  return JSON.parse(trial.stdout.split('\n')[0] ?? '').backend;
}

/** `undefined` where nothing can be captured. */
export const backend = used();
