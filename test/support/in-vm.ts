// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/** Why tests that watch the whole machine are not to be run here, or false: the words that vm.ts boots with are theirs alone. */
export const notInVm: string | false =
  process.getuid?.() === 0 && / mcpspy\.state=\S/.test(readFileSync('/proc/cmdline', 'latin1'))
    ? false
    : 'watches the whole machine; "npm run test:kernels" runs it in a VM';
