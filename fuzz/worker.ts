// SPDX-License-Identifier: Apache-2.0
/** The thread that runs one target: its coverage is its own, and what never ends can be ended with it. */
import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { Engine } from './engine.ts';
import { Slot } from './slot.ts';
import type { Target } from './target.ts';

export interface Work {
  readonly target: string;
  readonly executions: number;
  readonly seed: number;
  /** Is what is executed to guide it? Costs more than it brings in a short run. */
  readonly guided: boolean;
  readonly slot: SharedArrayBuffer;
  /** The module that has the target among its `TARGETS`. */
  readonly targets: string;
}

const { target: name, executions, seed, guided, slot: memory, targets } = workerData as Work;
const slot = new Slot(memory);
// Before the decoders are compiled: blocks are counted only in what is compiled afterwards.
const { COVERS } = await import('./covers.ts');
const coverage = guided ? new Coverage(COVERS[name] ?? []) : undefined;
const { TARGETS }: { TARGETS: readonly Target[] } = await import(targets);
const target = TARGETS.find((each) => each.name === name);
if (!target) throw new Error(`there is no target ${name}`);
const engine = new Engine(target, coverage, seed, (trial) => slot.set(trial));
parentPort?.postMessage(await engine.run(executions));
