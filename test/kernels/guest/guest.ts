// SPDX-License-Identifier: Apache-2.0
/** What the tests in this folder share. Most watch the whole machine, so that only one of their own will do. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attached, attach } from '../../support/mcpspy.ts';
import { patience } from '../../support/patience.ts';
import { open, SERVER, type Step, type Truth } from '../../support/truth.ts';

/** Why these tests are not to be run here, or false: the words that vm.ts boots its kernels with are theirs alone. */
export const notInVm: string | false =
  process.getuid?.() === 0 && / mcpspy\.state=\S/.test(readFileSync('/proc/cmdline', 'latin1'))
    ? false
    : 'watches the whole machine; "npm run test:kernels" runs it in a VM';

export const BACKENDS = ['tracepoint', 'fentry'] as const;

/** `mcpspy` without `--pid`. Resolves when it is watching. */
export function watchMachine(backend: (typeof BACKENDS)[number]): Promise<Attached> {
  assert.equal(notInVm, false);
  return attach([], ['--backend', backend]);
}

/**
 * Starts the server called `link`, and introduces client and server to each other when it is there: emulation is so
 * slow that mcpspy would not wait for who reads the first message. `become`: its command from the server's own.
 */
export function openSlowly(
  truth: Truth,
  link: string,
  more: Step = {},
  become = (server: readonly string[]) => server,
): Step[] {
  const ready = join(truth.directory, `${link}.ready`);
  const command = become([...SERVER, '--name', link, '--touch', ready]);
  const [start, ...introduction] = open(link, command, more);
  return [start ?? {}, { gate: ready }, ...introduction];
}

/** Resolves when this file is there; emulated processors take their time. */
export async function appeared(file: string): Promise<void> {
  for (let waited = 0; !existsSync(file); waited += 50) {
    assert.ok(waited < patience(60_000), `nobody made ${file}`);
    await sleep(50);
  }
}
