// SPDX-License-Identifier: Apache-2.0
/** The kernel programs, loaded and attached as well as this kernel allows: the best that it takes. */
import { type BackendChoice, BackendRefused, type HookPlan } from './backend.ts';
import { fentryPlan } from './backend-trial.ts';
import { BpfError } from './libbpf.ts';
import { Programs } from './programs.ts';
import { type UprobeSupport, uprobeSupport } from './uprobes.ts';
import { waitingThreads } from './waiting.ts';

export interface LoadOptions {
  /** Bytes, a power of two, at least one page. */
  readonly ringSize: number;
  readonly wholeMachine: boolean;
  readonly backend: BackendChoice;
  /** Processes that run already and will be watched: what they wait for is not to be missed. */
  readonly running: (() => Iterable<number>) | undefined;
}

export interface Loaded {
  readonly programs: Programs;
  readonly uprobes: UprobeSupport;
  /** Why it is not the fentry back end; `undefined` when it is, or nobody asked for it. */
  readonly refusal: string | undefined;
  /** What goes unseen, because this kernel has no function that shows it. */
  readonly missing: readonly string[];
}

/** One way to load: with which hooks, if any, and with which probes. */
interface Way {
  readonly fentry?: HookPlan | undefined;
  readonly uprobes: UprobeSupport;
}

/** Not chosen by itself: what the programs may miss then would be missing without a word. */
const MAY_BE_PUT_OFF =
  'before Linux 6.15 a program may be put off in the middle and others go unseen; --backend fentry takes it all the same';

/** All ways, the best first. TLS is worth having, but not worth failing for. */
function ways(plan: HookPlan | undefined, uprobes: UprobeSupport, backend: BackendChoice): Way[] {
  const probes: UprobeSupport[] =
    uprobes.kind === 'off' ? [uprobes] : [uprobes, { kind: 'off', sleepable: false }];
  const plans: HookPlan[] = [];
  if (plan && plan.refusal === undefined) {
    if (plan.keepsProcessor) plans.push(plan);
    // Kernels from 6.10 to 6.14 know how, but take it from no program that calls global functions.
    if (backend === 'fentry') plans.push({ ...plan, keepsProcessor: false });
  }
  const fentry = probes.flatMap((some) => plans.map((each) => ({ fentry: each, uprobes: some })));
  return backend === 'fentry' ? fentry : [...fentry, ...probes.map((some) => ({ uprobes: some }))];
}

/** `isChoice`: nobody asked for this back end, so it was tried only as one that cannot be put off. */
function reasonOf(error: unknown, isChoice: boolean): string {
  const message = error instanceof Error ? error.message : String(error);
  return isChoice ? `${message}; ${MAY_BE_PUT_OFF}` : message;
}

/**
 * Loads and attaches.
 * @param prepare Called between the two, when nothing runs yet.
 * @throws BpfError where the kernel refuses; BackendRefused where it is only the back end asked for.
 */
export function load(options: LoadOptions, prepare: (programs: Programs) => void): Loaded {
  const { ringSize, wholeMachine, backend, running } = options;
  const plan = backend === 'tracepoint' ? undefined : fentryPlan();
  let refusal = plan?.refusal;
  if (plan && !refusal && backend === 'auto' && !plan.keepsProcessor) refusal = MAY_BE_PUT_OFF;
  let failure: unknown;
  for (const { fentry, uprobes } of ways(plan, uprobeSupport(), backend)) {
    try {
      const programs = new Programs({
        ringSize,
        wholeMachine,
        uprobes,
        fentry,
        joins: running !== undefined,
      });
      try {
        prepare(programs);
        programs.attach(fentry && running ? waitingThreads(running()) : []);
      } catch (error) {
        programs.close();
        throw error;
      }
      return fentry
        ? { programs, uprobes, refusal: undefined, missing: fentry.missing }
        : { programs, uprobes, refusal, missing: [] };
    } catch (error) {
      failure = error;
      if (fentry) refusal ??= reasonOf(error, backend === 'auto');
    }
  }
  if (backend === 'fentry' && (!failure || failure instanceof BpfError)) throw new BackendRefused(refusal);
  throw failure;
}
