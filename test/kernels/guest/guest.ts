// SPDX-License-Identifier: Apache-2.0
/** What the tests in this folder share. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from '../../support/patience.ts';

/** Resolves when this file is there; emulated processors take their time. */
export async function appeared(file: string): Promise<void> {
  for (let waited = 0; !existsSync(file); waited += 50) {
    assert.ok(waited < patience(60_000), `nobody made ${file}`);
    await sleep(50);
  }
}
