// SPDX-License-Identifier: Apache-2.0
/**
 * All of the end-to-end suite under another kernel, or these files, those of test/cli that are about faults included: `node test/kernels/e2e.ts [--kernel
 * 6.1|6.12|newest] [--arch amd64|arm64] [--backend fentry|tracepoint] [--except PART-OF-NAME]… [FILE…]`. Each file in a VM of its own, with
 * whose end nothing else is lost. Without KVM that takes hours: a test takes half a minute.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { cached, isLine } from './kernels.ts';
import { compilePeers } from './peers.ts';
import { type Backend, runParts, type Selection, watchedTogether } from './suite.ts';
import { cannotBoot } from './vm.ts';

const PATIENCE = { timeout: 7_200_000, testTimeout: 1_200_000, factor: 10 };
const FILES = 'test/e2e';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: 'string', default: '6.12' },
    arch: { type: 'string', default: 'amd64' },
    backend: { type: 'string', default: 'fentry' },
    together: { type: 'boolean', default: false },
    except: { type: 'string', multiple: true, default: [] },
  },
});

async function main(): Promise<boolean> {
  if (!isLine(values.kernel)) throw new Error(`there is no kernel line "${values.kernel}"`);
  const arch = values.arch === 'arm64' ? 'arm64' : 'amd64';
  const kernel = cached(arch, values.kernel);
  const reason = cannotBoot(kernel);
  if (reason || !kernel) throw new Error(`cannot boot ${values.kernel}: ${reason}`);
  const { except } = values;
  const backend: Backend = values.backend === 'tracepoint' ? 'tracepoint' : 'fentry';
  const all = readdirSync(FILES).filter((name) => name.endsWith('.test.ts'));
  const files = positionals.length ? positionals : all.sort().map((name) => join(FILES, name));
  const peers = mkdtempSync(join(tmpdir(), 'mcpspy-peers-'));
  const counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    compilePeers(arch, peers);
    const selections: Selection[] = values.together
      ? [watchedTogether({ files, except })]
      : files.map((file) => ({ files: [file], backend, except }));
    for (const selection of selections) {
      const parts = { alone: [selection], together: [] };
      const { tests, fault } = await runParts(kernel, parts, peers, PATIENCE);
      for (const { name, milliseconds, skipped, failure } of tests) {
        counts[failure ? 'failed' : skipped ? 'skipped' : 'passed']++;
        const word = failure ? 'FAIL' : skipped ? 'SKIP' : 'ok  ';
        console.log(`${word} ${name} (${Math.round(milliseconds / 1000)} s)${failure ? `\n${failure}` : ''}`);
      }
      if (fault) {
        counts.failed++;
        console.log(`FAIL ${selection.files.map((file) => basename(file)).join(', ')}: ${fault}`);
      }
    }
  } finally {
    rmSync(peers, { recursive: true, force: true });
  }
  console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  return counts.failed === 0;
}

main().then(
  (good) => {
    process.exitCode = good ? 0 : 1;
  },
  (error: unknown) => {
    console.error(`e2e: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 2;
  },
);
