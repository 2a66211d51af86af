// SPDX-License-Identifier: Apache-2.0
/**
 * Stock Debian kernels in VMs, with the end-to-end suite inside. Its tests that depend on the kernel most, and those
 * that watch a whole machine, which no other machine than a VM is for (test/kernels/guest).
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { scratch } from '../support/mcpspy.ts';
import type { Arch } from './apt.ts';
import { cached } from './kernels.ts';
import { compilePeers } from './peers.ts';
import { linesOf, runSuite } from './suite.ts';
import { cannotBoot } from './vm.ts';

/** Milliseconds. For a VM that hangs: it takes less than three minutes of two processors. */
const TIMEOUT = 480_000;

const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`;

/** Declares the tests of one architecture: each VM, and in it each test that it has run. */
export function testKernels(arch: Arch): void {
  const peers = scratch();
  const kernels = linesOf(arch).map((line) => ({ line, kernel: cached(arch, line) }));

  before(() => {
    if (kernels.some(({ kernel }) => !cannotBoot(kernel))) compilePeers(arch, peers);
  });

  for (const { line, kernel } of kernels)
    test(`the suite under Debian's kernel ${line} for ${arch}${kernel ? ` (${kernel.release})` : ''}`, {
      skip: cannotBoot(kernel),
    }, async (context) => {
      assert.ok(kernel);
      const boot = async () => {
        const began = performance.now();
        const booted = await runSuite(kernel, peers, TIMEOUT);
        const longest = booted.tests.toSorted((a, b) => b.milliseconds - a.milliseconds).slice(0, 5);
        const each = longest.map(({ name, milliseconds }) => `${seconds(milliseconds)} ${name.slice(0, 60)}`);
        console.log(`${line} for ${arch} took ${seconds(performance.now() - began)}: ${each.join('; ')}`);
        return booted;
      };
      let result = await boot();
      const failed = result.tests.filter(({ failure }) => failure).map(({ name }) => name);
      if (result.fault || failed.length || !result.tests.length) {
        // That emulation stalls where processors are few says nothing of us, nor that probes came late by it, nor that
        // node has crashed before any test (seen twice in a row, and not again).
        const whys = result.tests.flatMap(({ name, failure }) => (failure ? [`${name}: ${failure}`] : []));
        console.log(`${line} is booted once more: ${result.fault ?? (whys.join('\n') || result.output)}`);
        result = await boot();
      }
      const { tests, output, fault } = result;
      for (const { name, skipped, failure } of tests)
        await context.test(`${line} for ${arch}: ${name}`, { skip: skipped ?? false }, () => {
          if (failure) assert.fail(`under ${kernel.release}: ${failure}`);
        });
      assert.equal(fault, undefined, `${fault}\n${output}`);
      assert.ok(
        tests.some(({ skipped }) => !skipped),
        `nothing was tested\n${output}`,
      );
    });
}
