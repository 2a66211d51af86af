// SPDX-License-Identifier: Apache-2.0
/**
 * Stock Debian kernels in VMs, with the end-to-end suite inside. Its tests that depend on the kernel most, and those
 * that watch a whole machine, which no other machine than a VM is for (test/kernels/guest).
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { scratch } from '../support/mcpspy.ts';
import { compile } from '../support/mover.ts';
import { compileTlsCalls } from '../support/tls-calls.ts';
import { cached, LINES, type Line } from './kernels.ts';
import { BACKENDS, runSuite } from './suite.ts';
import { cannotBoot } from './vm.ts';

/** Milliseconds. For a VM that hangs: a kernel takes two minutes of two processors. */
const TIMEOUT = 400_000;
const peers = scratch();
const lines = Object.keys(LINES) as Line[];
const kernels = lines.map((line) => ({ line, kernel: cached('amd64', line) }));
const elsewhere = process.arch === 'x64' ? false : 'the files of this machine are not for x86-64';
const whyNot = (kernel: (typeof kernels)[number]['kernel']) => elsewhere || cannotBoot(kernel);

before(() => {
  if (kernels.every(({ kernel }) => whyNot(kernel))) return;
  compile('mover', peers);
  for (const linkage of ['dynamic', 'static'] as const) compileTlsCalls(peers, linkage);
});

for (const { line, kernel } of kernels)
  for (const backend of BACKENDS)
    test(`the suite under Debian's kernel ${line}${kernel ? ` (${kernel.release})` : ''}, back end ${backend}`, {
      skip: whyNot(kernel),
    }, async (context) => {
      assert.ok(kernel);
      const { tests, output, fault } = await runSuite(kernel, backend, peers, TIMEOUT);
      for (const { name, skipped, failure } of tests)
        await context.test(`${line}: ${name}`, { skip: skipped ?? false }, () => {
          if (failure) assert.fail(`under ${kernel.release}: ${failure}`);
        });
      assert.equal(fault, undefined, `${fault}\n${output}`);
      assert.ok(
        tests.some(({ skipped }) => !skipped),
        `nothing was tested\n${output}`,
      );
    });
