// SPDX-License-Identifier: Apache-2.0
/** The checks of `mcpspy doctor`, in the order in which one thing rests on another. */
import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import type { Backend } from '../sensor/backend.ts';
import type { Programs } from '../sensor/trials.ts';
import { EXIT } from './errors.ts';
import { DEFAULT_RING } from './options.ts';
import { TLS_LIBRARIES } from './tls-libraries.ts';

/** What a check found. `code` is the exit code of a failure. */
export type Finding = (
  | { readonly status: 'ok'; readonly detail: string }
  | { readonly status: 'warn'; readonly detail: string; readonly fix: string }
  | { readonly status: 'fail'; readonly detail: string; readonly fix: string; readonly code: number }
) & { readonly extra?: Extra };

/** More than fits into a line: as lines below it, and as members of its object. Captured text is escaped. */
export interface Extra {
  readonly lines: readonly string[];
  readonly json: object;
}

/** One thing to try. Without what it needs it is not tried. */
export interface Check {
  readonly name: string;
  readonly needs?: readonly string[];
  try(): Finding | Promise<Finding>;
}

const ok = (detail: string): Finding => ({ status: 'ok', detail });
const warn = (detail: string, fix: string): Finding => ({ status: 'warn', detail, fix });
const fail = (code: number, detail: string, fix: string): Finding => ({ status: 'fail', code, detail, fix });

/** PROC_PID_INIT_INO in include/linux/proc_ns.h: the pid namespace of the machine itself. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';
const BTF = '/sys/kernel/btf/vmlinux';
/** All that is mapped, with the maps beside the ring. */
const MEMORY_FACTOR = 4;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function onPath(program: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(':'), '/usr/bin', '/bin'];
  return directories
    .map((directory) => `${directory}/${program}`)
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Is this version, such as `6.1.0-9-amd64` or `v24.15.0`, at least `major.minor`? */
function atLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.replace(/^v/, '').split('.').map(Number.parseFloat);
  return first > major || (first === major && second >= minor);
}

const BASICS: readonly Check[] = [
  {
    name: 'system',
    try: () => {
      const machine = `${os.type()} ${os.release()} on ${os.arch()}`;
      return process.platform === 'linux' && ['x64', 'arm64'].includes(os.arch())
        ? ok(machine)
        : fail(EXIT.kernelLacks, machine, 'use Linux on x86-64 or arm64');
    },
  },
  {
    name: 'node',
    try: () =>
      atLeast(process.version, 24, 15)
        ? ok(`${process.version}, ${process.execPath}`)
        : fail(
            EXIT.captureFailed,
            `${process.version} is too old`,
            'install Node 24.15 or newer: npm install -g node@24',
          ),
  },
  {
    name: 'koffi',
    try: async () => {
      try {
        const { default: koffi } = await import('koffi');
        return ok(`${koffi.version}, calls the C library`);
      } catch (error) {
        const reason = (error as Error).message.split('\n')[0];
        return fail(
          EXIT.captureFailed,
          `cannot be loaded (${reason})`,
          'install mcpspy again, with npm and on this architecture',
        );
      }
    },
  },
  {
    name: 'libbpf',
    needs: ['koffi'],
    try: () =>
      attempt(async () => {
        const { libbpfVersion } = await import('../sensor/trials.ts');
        return `${libbpfVersion()} (1.0 or newer is needed)`;
      }),
  },
  {
    name: 'BPF object',
    needs: ['koffi'],
    try: async () => {
      const { objectPath } = await import('../sensor/programs.ts');
      const path = objectPath();
      return read(path)
        ? ok(path)
        : fail(
            EXIT.captureFailed,
            `${path} is missing`,
            'run "npm run setup" in a checkout, or install mcpspy again',
          );
    },
  },
  {
    name: 'setpriv',
    try: () => {
      const path = onPath('setpriv');
      return path
        ? ok(`${path}, starts the watched command as the user behind sudo`)
        : warn('not found: "sudo mcpspy run" cannot give the command its user back', 'install util-linux');
    },
  },
  {
    name: 'unprivileged account',
    needs: ['koffi'],
    try: async () => {
      const { unprivileged } = await import('./user.ts');
      const { name, uid, listed } = unprivileged();
      return listed
        ? ok(`${name} (uid ${uid}), for the monitor when root itself starts it`)
        : warn(`there is no "${name}": the monitor will run as uid ${uid}`, 'add the account "nobody"');
    },
  },
];

const KERNEL: readonly Check[] = [
  {
    name: 'root',
    try: () =>
      process.geteuid?.() === 0
        ? ok('yes')
        : fail(EXIT.noPrivilege, `no, this is uid ${process.geteuid?.()}`, 'run it with sudo'),
  },
  {
    name: 'capabilities',
    needs: ['root'],
    try: async () => {
      const { inUserNamespace, missingCapabilities } = await import('../sensor/privileges.ts');
      if (inUserNamespace())
        return fail(
          EXIT.noPrivilege,
          'root of a user namespace only (a rootless container)',
          'run mcpspy on the host',
        );
      const missing = missingCapabilities();
      return missing.length
        ? fail(
            EXIT.noPrivilege,
            `${missing.join(', ')} missing`,
            'run mcpspy on the host, or start the container with --privileged --pid=host',
          )
        : ok('all that are needed');
    },
  },
  {
    name: 'seccomp',
    try: async () => {
      const { underSeccomp } = await import('../sensor/privileges.ts');
      return underSeccomp()
        ? ok('a filter is in force; the trials below show what it allows')
        : ok('no filter');
    },
  },
  {
    name: 'lockdown',
    try: async () => {
      const { lockedDown } = await import('../sensor/privileges.ts');
      if (lockedDown())
        return fail(
          EXIT.noPrivilege,
          'at "confidentiality", which hides memory from BPF',
          'boot with lockdown=integrity or without Secure Boot',
        );
      return ok(read('/sys/kernel/security/lockdown') ?? 'none');
    },
  },
  {
    name: 'unprivileged BPF',
    try: () =>
      ok(
        `kernel.unprivileged_bpf_disabled is ${read('/proc/sys/kernel/unprivileged_bpf_disabled') ?? 'not there'}; root does not depend on it`,
      ),
  },
  {
    name: 'pid namespace',
    try: () =>
      readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE
        ? ok("the machine's own")
        : warn(
            "not the machine's own: the kernel reports other pids than are seen here",
            'run mcpspy on the host, or start the container with --pid=host',
          ),
  },
  {
    name: 'memory',
    try: () => {
      const available = Number(/^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1] ?? 0) * 1024;
      const text = `${DEFAULT_RING >> 20} MiB for the ring, ${Math.round(available / 2 ** 20)} MiB available`;
      return available > MEMORY_FACTOR * DEFAULT_RING ? ok(text) : warn(text, 'give a smaller --ring-size');
    },
  },
  {
    name: 'memory lock',
    try: () =>
      atLeast(os.release(), 5, 11)
        ? ok('no limit to raise: this kernel counts BPF memory otherwise')
        : warn(
            'this kernel counts BPF memory as locked memory',
            'allow it to be raised: CAP_SYS_RESOURCE, or ulimit -l unlimited',
          ),
  },
  {
    name: 'BTF',
    try: () =>
      read(BTF) === undefined
        ? fail(EXIT.kernelLacks, `${BTF} is not there`, 'use a kernel built with CONFIG_DEBUG_INFO_BTF')
        : ok(BTF),
  },
  {
    name: '32-bit processes',
    try: () => ok('their system calls are counted as losses, not captured'),
  },
];

let programs: Programs | undefined;

const TRIALS: readonly Check[] = [
  {
    name: 'ring buffer',
    needs: ['root', 'libbpf'],
    try: () =>
      attempt(async () => {
        const { createRing } = await import('../sensor/trials.ts');
        createRing(DEFAULT_RING);
        return 'created';
      }),
  },
  {
    name: 'load',
    needs: ['ring buffer', 'BTF', 'BPF object'],
    try: () =>
      attempt(async () => {
        const { loadPrograms } = await import('../sensor/trials.ts');
        programs = loadPrograms(DEFAULT_RING);
        return 'the verifier accepts all programs';
      }),
  },
  {
    name: 'attach',
    needs: ['load'],
    try: () =>
      attempt(async () => {
        programs?.attach();
        programs?.close();
        return 'to system calls and process events';
      }),
  },
  {
    name: 'back end',
    needs: ['attach'],
    try: () => backendFinding(),
  },
  {
    name: 'io_uring',
    needs: ['back end'],
    try: () =>
      backend === 'fentry'
        ? ok('what it moves on a watched stream is captured')
        : programs?.ioUring
          ? ok('its use on a watched stream is noticed')
          : warn(
              'its tracepoint is not there: bytes that io_uring moves go unnoticed',
              'use a kernel with CONFIG_IO_URING',
            ),
  },
  {
    name: 'TLS',
    needs: ['load'],
    try: () => tlsFinding(),
  },
  {
    name: 'capture',
    needs: ['attach', 'capabilities'],
    try: async () => {
      const { captureTrial } = await import('./trial-capture.ts');
      const trial = await captureTrial();
      const advice = 'please report it, with what "mcpspy doctor --json" says';
      if (!trial.arrived) {
        const why = trial.complaint || `mcpspy run ended with ${trial.code}`;
        const refused = trial.code === EXIT.noPrivilege || trial.code === EXIT.kernelLacks;
        return fail(refused ? trial.code : EXIT.captureFailed, `the message did not arrive: ${why}`, advice);
      }
      if (!trial.losses || Object.keys(trial.losses).length)
        return fail(EXIT.captureFailed, `something was lost: ${JSON.stringify(trial.losses)}`, advice);
      const { uid, capabilities } = trial.monitor ?? { uid: 0, capabilities: '?' };
      return uid !== 0 && capabilities === '0'
        ? ok(
            `a message between two processes arrived whole; the monitor drained the ring as uid ${uid}, without capabilities`,
          )
        : fail(
            EXIT.captureFailed,
            `the monitor kept privileges (uid ${uid}, capabilities ${capabilities})`,
            advice,
          );
    },
  },
];

/** Of the captures that follow. */
let backend: Backend | undefined;

/** Which back end a capture takes, and why not the better one. */
async function backendFinding(): Promise<Finding> {
  try {
    const { tryBackends } = await import('../sensor/trials.ts');
    const found = tryBackends(DEFAULT_RING);
    backend = found.backend;
    const unseen = found.missing.length ? `; not seen on this kernel: ${found.missing.join(', ')}` : '';
    const detail =
      backend === 'fentry'
        ? `fentry, at the kernel's functions for pipes and sockets${unseen}`
        : `tracepoint, at the exit of system calls; fentry is not taken: ${found.refusal}`;
    const finding = found.leavesOut
      ? warn(
          `${detail}; and without tracefs some calls are left out, which is counted`,
          'mount tracefs at /sys/kernel/tracing',
        )
      : ok(detail);
    return { ...finding, extra: { lines: [], json: { backend } } };
  } catch (error) {
    const { explain } = await import('../sensor/explain.ts');
    const { code, reason, fix } = explain(error);
    return fail(code, reason, fix);
  }
}

const NEWER_KERNEL = 'use a kernel from 6.10 on, with CONFIG_UPROBES';

/** Can functions of TLS libraries be probed? Tried on the one in this process. */
async function tlsFinding(): Promise<Finding> {
  const { explain } = await import('../sensor/explain.ts');
  try {
    const { tryTls } = await import('../sensor/trials.ts');
    const { kind, sleepable, refusal, files } = tryTls(DEFAULT_RING);
    if (kind === 'off')
      return fail(EXIT.kernelLacks, 'functions cannot be probed: TLS will not be read', NEWER_KERNEL);
    if (refusal) return fail(EXIT.kernelLacks, `probing ${files[0]} was refused (${refusal})`, NEWER_KERNEL);
    const tried = files.length ? `tried on ${files[0]}` : 'this process has no TLS library to try it on';
    if (kind === 'uprobe') return warn(`by perf uprobes, which are slow to attach; ${tried}`, NEWER_KERNEL);
    return sleepable
      ? ok(`by uprobe.multi; ${tried}`)
      : warn(`by uprobe.multi that may not sleep: pages out of memory are lost; ${tried}`, NEWER_KERNEL);
  } catch (error) {
    const { code, reason, fix } = explain(error);
    return fail(code, reason, fix);
  }
}

/** What `action` tells, or the explanation of what it throws. */
async function attempt(action: () => Promise<string>): Promise<Finding> {
  try {
    return ok(await action());
  } catch (error) {
    const { explain } = await import('../sensor/explain.ts');
    const { code, reason, fix } = explain(error);
    return fail(code, reason, fix);
  }
}

export const CHECKS: readonly Check[] = [...BASICS, ...KERNEL, ...TRIALS, TLS_LIBRARIES];
