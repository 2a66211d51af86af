// SPDX-License-Identifier: Apache-2.0
/**
 * Where the kernel programs get the bytes from: the exit of system calls (`tracepoint`), or the functions behind
 * pipes and sockets (`fentry`). Which functions a kernel has, and whether it lets us in, is found by trying
 * (`backend-trial.ts`).
 */
export type Backend = 'fentry' | 'tracepoint';
export const BACKENDS = ['fentry', 'tracepoint'] as const;
/** What the user may ask for; `auto` is fentry where the kernel allows it. */
export const BACKEND_CHOICES = ['auto', ...BACKENDS] as const;
export type BackendChoice = (typeof BACKEND_CHOICES)[number];

/** The back end that was asked for by name cannot be had; the message says why, in one clause. */
export class BackendRefused extends Error {}

/** Programs of bpf/fentry*.bpf.c and the kernel function that they are for. */
export interface Hook {
  readonly entry?: string;
  readonly exit: string;
  /** The function's names from kernel to kernel, the newest first. */
  readonly names: readonly string[];
  /** What goes unseen where the kernel has no such function; without this the back end needs it. */
  readonly otherwise?: string;
}

const systemCall = (name: string): readonly string[] => [
  `__${process.arch === 'arm64' ? 'arm64' : 'x64'}_sys_${name}`,
];

const moves = (program: string, ...names: string[]): Hook => ({
  entry: `${program}_entry`,
  exit: `${program}_exit`,
  names,
});

const HOOKS: readonly Hook[] = [
  moves('pipe_read', 'anon_pipe_read', 'pipe_read'),
  moves('pipe_write', 'anon_pipe_write', 'pipe_write'),
  moves('unix_send', 'unix_stream_sendmsg'),
  moves('unix_receive', 'unix_stream_recvmsg'),
  moves('seqpacket_send', 'unix_seqpacket_sendmsg'),
  moves('seqpacket_receive', 'unix_seqpacket_recvmsg'),
  moves('tcp_send', 'tcp_sendmsg'),
  moves('tcp_receive', 'tcp_recvmsg'),
  { ...moves('mptcp_send', 'mptcp_sendmsg'), otherwise: 'what is sent by multipath TCP' },
  { ...moves('mptcp_receive', 'mptcp_recvmsg'), otherwise: 'what is received by multipath TCP' },
  moves('splice', 'do_splice'),
  { ...moves('tee', 'do_tee'), otherwise: 'that tee() has moved bytes' },
  {
    ...moves('sendfile', ...systemCall('sendfile64')),
    otherwise: 'that sendfile() has moved bytes',
  },
  { ...moves('vmsplice', ...systemCall('vmsplice')), otherwise: 'that vmsplice() has moved bytes' },
  { exit: 'pipe_born', names: ['create_pipe_files'], otherwise: 'the birth of pipes' },
  { exit: 'fifo_opened', names: ['fifo_open'], otherwise: 'the birth of FIFOs' },
  { exit: 'socketpair_born', names: systemCall('socketpair'), otherwise: 'the birth of socket pairs' },
  { exit: 'accepted', names: ['do_accept'], otherwise: 'the birth of accepted connections' },
  { exit: 'unix_connected', names: ['unix_stream_connect'], otherwise: 'the birth of Unix connections' },
  { exit: 'tcp_connected', names: ['inet_stream_connect'], otherwise: 'the birth of TCP connections' },
  { exit: 'mmap_exit', names: systemCall('mmap'), otherwise: 'TLS libraries that are loaded later' },
  {
    exit: 'write_exit',
    names: systemCall('write'),
    otherwise: 'standard error on terminals, files and devices',
  },
  {
    exit: 'writev_exit',
    names: systemCall('writev'),
    otherwise: 'standard error on terminals, files and devices by writev()',
  },
];

/** All programs of this back end. */
export const FENTRY_PROGRAMS: readonly string[] = HOOKS.flatMap(({ entry, exit }) =>
  entry ? [entry, exit] : [exit],
);

/** A hook of this kernel. */
export interface PlannedHook extends Hook {
  readonly function: string;
}

export interface HookPlan {
  readonly hooks: readonly PlannedHook[];
  /** What goes unseen. */
  readonly missing: readonly string[];
  /** Why this back end cannot be had, in one clause. */
  readonly refusal?: string;
}

/** Chooses the functions of a kernel that `has` these. */
export function planHooks(has: (name: string) => boolean): HookPlan {
  const hooks: PlannedHook[] = [];
  const missing: string[] = [];
  for (const hook of HOOKS) {
    const name = hook.names.find(has);
    if (name !== undefined) hooks.push({ ...hook, function: name });
    else if (hook.otherwise !== undefined) missing.push(hook.otherwise);
    else return refused(`the kernel has no function ${hook.names.join(' or ')}`);
  }
  return { hooks, missing };
}

/** The plan of a kernel that does not have this back end. */
export function refused(refusal: string): HookPlan {
  return { hooks: [], missing: [], refusal };
}
