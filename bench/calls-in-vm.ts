// SPDX-License-Identifier: Apache-2.0
/** Run by vm.ts, in the VM: `DIRECTORY ROUNDS`. The loop of calls is in that directory, and the result is left there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { measureCalls } from './calls.ts';

const [directory = '', rounds = ''] = process.argv.slice(2);
const costs = await measureCalls(directory, Number(rounds), ['tracepoint', 'fentry']);
writeFileSync(join(directory, 'calls.json'), JSON.stringify(costs));
process.exit();
