// SPDX-License-Identifier: Apache-2.0
/** Turns a failed call into the sentence a person can act on, and its exit code. */
import { BackendRefused } from './backend.ts';
import { BpfError } from './libbpf.ts';
import { lockedDown, obstacle, underSeccomp } from './privileges.ts';

/** Exit codes of the command contract. */
export const NO_PRIVILEGE = 3;
export const KERNEL_LACKS = 4;
export const CAPTURE_FAILED = 5;

export interface Explanation {
  readonly code: number;
  readonly reason: string;
  readonly fix: string;
}

const REFUSED = new Set(['EPERM', 'EACCES']);

/** What failed and why; what to do about it. */
export function explain(error: unknown): Explanation {
  if (error instanceof BackendRefused)
    return {
      code: KERNEL_LACKS,
      reason: `the fentry back end cannot be had: ${error.message}`,
      fix: 'use --backend tracepoint, or auto, which takes what there is',
    };
  if (!(error instanceof BpfError)) return explainOther(error);
  const { call, code } = error;
  if (call.startsWith('opening') && code === 'ENOENT')
    return {
      code: CAPTURE_FAILED,
      reason: 'the BPF object is missing from this installation',
      fix: 'run "npm run setup" in a checkout, or install mcpspy again',
    };
  // A filter may answer as if the call did not exist; lockdown takes helpers away, so that programs look invalid.
  if (REFUSED.has(code) || (code === 'ENOSYS' && underSeccomp()) || lockedDown()) {
    const found = obstacle();
    return {
      code: NO_PRIVILEGE,
      reason: `${call} was refused (${code})${found ? `: ${found.reason}` : ''}`,
      fix: found?.fix ?? 'run mcpspy as root, outside of any container or sandbox',
    };
  }
  if (code === 'ENOMEM')
    return {
      code: CAPTURE_FAILED,
      reason: `${call} failed: not enough memory`,
      fix: 'give a smaller --ring-size',
    };
  return {
    code: KERNEL_LACKS,
    reason: `${call} failed (${code}): this kernel lacks what mcpspy needs`,
    fix: 'use a kernel from 5.17 on with BTF (CONFIG_DEBUG_INFO_BTF); "mcpspy doctor" tries each feature',
  };
}

function explainOther(error: unknown): Explanation {
  const reason = error instanceof Error ? error.message : String(error);
  if (reason.includes('libbpf'))
    return {
      code: CAPTURE_FAILED,
      reason: 'libbpf.so.1 (libbpf 1.0 or newer) cannot be loaded',
      fix: 'install the package libbpf1 (Debian, Ubuntu) or libbpf (Fedora, Arch, SUSE)',
    };
  return { code: CAPTURE_FAILED, reason, fix: 'run "mcpspy doctor" to see what is missing' };
}
