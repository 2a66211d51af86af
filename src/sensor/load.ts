// SPDX-License-Identifier: Apache-2.0
/** The kernel programs, loaded and attached as well as this kernel allows: the best that it takes. */
import { type BackendChoice, BackendRefused, type HookPlan } from './backend.ts';
import { fentryPlan } from './backend-trial.ts';
import { BpfError } from './libbpf.ts';
import { preemptsItself } from './preemption.ts';
import { Programs } from './programs.ts';
import { type UprobeSupport, uprobeSupport } from './uprobes.ts';
import { threadsOf } from './waiting.ts';

export interface LoadOptions {
  /** Bytes, a power of two, at least one page. */
  readonly ringSize: number;
  readonly wholeMachine: boolean;
  readonly backend: BackendChoice;
  /** Processes that run already and will be watched: what they wait for is not to be missed. */
  readonly running: ((programs: Programs) => Iterable<number>) | undefined;
}

export interface Loaded {
  readonly programs: Programs;
  readonly uprobes: UprobeSupport;
  /** Why it is not the fentry back end; `undefined` when it is, or nobody asked for it. */
  readonly refusal: string | undefined;
  /** Does the kernel leave system calls out now and then, since it preempts itself and cannot let perf call the program? */
  readonly leavesOut: boolean;
  /** What goes unseen, because this kernel has no function that shows it. */
  readonly missing: readonly string[];
}

/** One way to load: with which hooks, if any, or which exit of system calls, and with which probes. */
interface Way {
  readonly fentry?: HookPlan | undefined;
  readonly exitsByPerf: boolean;
  readonly uprobes: UprobeSupport;
}

/** Not chosen by itself: what the programs miss then is counted, but missed. */
const LEFT_OUT =
  'this kernel preempts itself, and then leaves programs at its functions out now and then; --backend fentry takes it all the same';

/** All ways, the best first. TLS is worth having, but not worth failing for. */
function ways(
  plan: HookPlan | undefined,
  uprobes: UprobeSupport,
  preempted: boolean,
  backend: BackendChoice,
): Way[] {
  const probes: UprobeSupport[] =
    uprobes.kind === 'off' ? [uprobes] : [uprobes, { kind: 'off', sleepable: false }];
  const fentry = plan ? probes.map((some) => ({ fentry: plan, exitsByPerf: false, uprobes: some })) : [];
  if (backend === 'fentry') return fentry;
  // Where it does not, what is at its tracepoints keeps the processor by itself, for less.
  const exits = preempted ? [true, false] : [false];
  const tracepoint = probes.flatMap((some) => exits.map((exitsByPerf) => ({ exitsByPerf, uprobes: some })));
  return [...fentry, ...tracepoint];
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
  const preempted = preemptsItself();
  if (plan && !refusal && backend === 'auto' && preempted) refusal = LEFT_OUT;
  let failure: unknown;
  for (const { fentry, uprobes, exitsByPerf } of ways(
    refusal ? undefined : plan,
    uprobeSupport(),
    preempted,
    backend,
  )) {
    try {
      const programs = new Programs({
        ringSize,
        wholeMachine,
        uprobes,
        fentry,
        exitsByPerf,
        joins: running !== undefined,
      });
      try {
        prepare(programs);
        programs.attach(fentry && running ? threadsOf(running(programs)) : []);
      } catch (error) {
        programs.close();
        throw error;
      }
      const leavesOut = preempted && !exitsByPerf;
      return fentry
        ? { programs, uprobes, refusal: undefined, leavesOut, missing: fentry.missing }
        : { programs, uprobes, refusal, leavesOut, missing: [] };
    } catch (error) {
      failure = error;
      if (fentry) refusal ??= error instanceof Error ? error.message : String(error);
    }
  }
  if (backend === 'fentry' && (!failure || failure instanceof BpfError)) throw new BackendRefused(refusal);
  throw failure;
}
