// SPDX-License-Identifier: Apache-2.0
/** Does this kernel let us have the fentry back end, and by which of its functions? Tried, not read from a version. */
import { type HookPlan, planHooks, refused } from './backend.ts';
import { kernelFunction } from './kernel-types.ts';
import { BpfError, check, libbpf } from './libbpf.ts';

/** BPF_PROG_TYPE_TRACING and BPF_TRACE_FENTRY in include/uapi/linux/bpf.h. */
const TRACING = 26;
const TRACE_FENTRY = 24;
/** `r0 = 0; exit`. */
const EMPTY_PROGRAM = Buffer.from('b700000000000000' + '9500000000000000', 'hex');

/** Puts a program that does nothing at the entry of a function, and takes it out again. @throws BpfError. */
function tryTrampoline(id: number): void {
  const bpf = libbpf();
  // struct bpf_prog_load_opts of libbpf 1.0, up to attach_btf_id.
  const options = Buffer.alloc(40);
  options.writeBigUInt64LE(BigInt(options.length), 0);
  options.writeUInt32LE(TRACE_FENTRY, 12);
  options.writeUInt32LE(id, 32);
  const count = EMPTY_PROGRAM.length / 8;
  const program = check(
    'loading a program for a kernel function',
    bpf.loadProgram(TRACING, 'mcpspy_trial', 'GPL', EMPTY_PROGRAM, count, options),
  );
  try {
    const link = check('attaching to a kernel function', bpf.openTracepoint(null, program));
    bpf.closeFd(link);
  } finally {
    bpf.closeFd(program);
  }
}

/** Which hooks this kernel has for the fentry back end, or why it has none. */
export function fentryPlan(): HookPlan {
  try {
    const plan = planHooks((name) => kernelFunction(name) > 0);
    const [first] = plan.hooks;
    if (first) tryTrampoline(kernelFunction(first.function));
    return plan;
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    return refused(error.message);
  }
}
