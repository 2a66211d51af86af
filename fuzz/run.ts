// SPDX-License-Identifier: Apache-2.0
/** Runs targets, each in a thread of its own, with an eye on whether it still moves. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Finding, Report } from './engine.ts';
import { writeCase } from './input.ts';
import { Slot } from './slot.ts';
import type { Work } from './worker.ts';

/** The longest input takes a few milliseconds; a machine under load may take a thousand times as long. */
const HANG_MS = 20_000;
/** No decoder of these inputs needs a tenth of it. */
const HEAP_MB = 512;
const ALL_TARGETS = new URL('./targets/all.ts', import.meta.url);

/** What is other than usual when the fuzzer itself is tested. */
export interface FuzzOptions {
  /** The module that exports TARGETS. */
  readonly targets?: URL;
  /** For how long nothing may move, milliseconds. */
  readonly hangAfter?: number;
}

/** Runs so many inputs on one target, or until something is found. @param guided By coverage. */
export function fuzz(
  target: string,
  executions: number,
  seed: number,
  guided: boolean,
  { targets = ALL_TARGETS, hangAfter = HANG_MS }: FuzzOptions = {},
): Promise<Report> {
  const slot = new Slot();
  const workerData: Work = { target, executions, seed, guided, slot: slot.memory, targets: targets.href };
  const resourceLimits = { maxOldGenerationSizeMb: HEAP_MB };
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData, resourceLimits });
  return new Promise((resolve, reject) => {
    const found = (what: string) => {
      const finding: Finding = { ...slot.get(), what };
      resolve({ executions: slot.count, corpus: 0, covered: 0, unreached: [], finding });
    };
    let count = -1;
    const watch = setInterval(() => {
      if (slot.count === count && count > 0) {
        found(`does not end within ${hangAfter} ms`);
        worker.terminate();
      }
      count = slot.count;
    }, hangAfter);
    worker.once('message', (report: Report) => {
      // Buffers come as plain arrays.
      const { finding } = report;
      const calls = finding?.input.calls.map((call) => ({ ...call, bytes: Buffer.from(call.bytes) }));
      resolve(
        finding && calls
          ? { ...report, finding: { ...finding, input: { ...finding.input, calls } } }
          : report,
      );
    });
    worker.once('error', (error) => {
      if (slot.count > 0) found(`ends the thread: ${error.message}`);
      else reject(error);
    });
    worker.once('exit', () => clearInterval(watch));
  });
}

/** Where cases are kept. */
export const REGRESSIONS = join(import.meta.dirname, 'regressions');

/** @returns the file. */
export function keep(target: string, { input, cuts, what }: Finding, directory = REGRESSIONS): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${target}-${Date.now().toString(36)}.json`);
  const [found = ''] = what.split('\n');
  writeFileSync(file, writeCase({ target, found, cuts, input }));
  return file;
}
