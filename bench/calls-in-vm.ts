// SPDX-License-Identifier: Apache-2.0
/** Run by vm.ts, in the VM: `DIRECTORY ROUNDS TIMES`. The loop of calls is in that directory, and the result is left there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { preemptsItself } from '../src/sensor/preemption.ts';
import { type CallMeasurement, measureCalls } from './calls.ts';

/** What calls.json holds. */
export interface VmMeasurement extends CallMeasurement {
  /** Then perf calls the program at the exit of system calls, and `auto` never takes fentry. */
  readonly preempts: boolean;
}

const [directory = '', rounds = '', times = ''] = process.argv.slice(2);
const measured = await measureCalls(directory, {
  rounds: Number(rounds),
  times: Number(times),
  backends: ['tracepoint', 'fentry'],
  ownMachine: true,
});
const result: VmMeasurement = { ...measured, preempts: preemptsItself() };
writeFileSync(join(directory, 'calls.json'), JSON.stringify(result));
process.exit();
