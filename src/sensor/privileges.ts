// SPDX-License-Identifier: Apache-2.0
/** What this process may do, as /proc tells it, and why the kernel may refuse it BPF. */
import { readFileSync } from 'node:fs';

/** Bits in the capability sets of proc(5), from include/uapi/linux/capability.h. */
const NEEDED: Readonly<Record<string, number>> = {
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
};

/** Something that stands in the way, and what removes it. */
export interface Obstacle {
  readonly reason: string;
  readonly fix: string;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** A field of /proc/self/status. */
function status(field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(read('/proc/self/status'))?.[1] ?? '';
}

/** The capabilities we need and do not have. */
export function missingCapabilities(): string[] {
  const held = BigInt(`0x${status('CapEff') || '0'}`);
  return Object.keys(NEEDED).filter((name) => !(held & (1n << BigInt(NEEDED[name] ?? 0))));
}

/** In a user namespace of its own (a rootless container), root is not the machine's root. */
export function inUserNamespace(): boolean {
  const map = read('/proc/self/uid_map').trim();
  return map !== '' && !/^0\s+0\s+4294967295$/.test(map);
}

/** Does the kernel keep its memory from everybody, root included? `bpf_probe_read` is refused then. */
export function lockedDown(): boolean {
  return read('/sys/kernel/security/lockdown').includes('[confidentiality]');
}

/** Is a filter of system calls in force, such as a container's? */
export function underSeccomp(): boolean {
  return status('Seccomp') === '2';
}

/** The likeliest reason why BPF is refused, the most fundamental first; `undefined` when none is in sight. */
export function obstacle(): Obstacle | undefined {
  if (process.geteuid?.() !== 0) return { reason: 'this process is not root', fix: 'run it with sudo' };
  if (inUserNamespace())
    return {
      reason: 'root in here is only root of a user namespace (a rootless container)',
      fix: 'run mcpspy on the host',
    };
  const missing = missingCapabilities();
  if (missing.length)
    return {
      reason: `root in here lacks ${missing.join(', ')}`,
      fix: 'run mcpspy on the host, or start the container with --privileged --pid=host',
    };
  if (lockedDown())
    return {
      reason: 'kernel lockdown is at "confidentiality"',
      fix: 'boot with lockdown=integrity or without Secure Boot',
    };
  if (underSeccomp())
    return {
      reason: "a seccomp filter (a container's?) is in force",
      fix: 'run mcpspy on the host, or start the container with --security-opt seccomp=unconfined',
    };
  return undefined;
}
