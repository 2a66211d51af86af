// SPDX-License-Identifier: Apache-2.0
/** One command in a VM with a kernel of our choice: QEMU without KVM, root shared from the host by virtiofs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Kernel } from './kernels.ts';
import { MODULES, rootOf } from './userland.ts';

const REPO = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** The modules that are there in the guest as well as here. */
const OURS = join(REPO, 'node_modules');

const MACHINES = {
  amd64: { qemu: 'qemu-system-x86_64', options: ['-M', 'q35', '-cpu', 'max'], console: 'ttyS0' },
  arm64: {
    qemu: 'qemu-system-aarch64',
    options: ['-M', 'virt', '-cpu', 'max,pauth-impdef=on'],
    console: 'ttyAMA0',
  },
} as const;

/** Debian has had both. */
const DAEMONS = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'];

export interface GuestCommand {
  readonly kernel: Kernel;
  readonly command: readonly string[];
  /** Default: the repository. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until the VM is killed. */
  readonly timeout?: number;
  /** Puts files into the directory that the guest knows as /run/vm. */
  readonly prepare?: (directory: string) => void;
  /** What the command writes, as it comes. */
  readonly output?: (chunk: Buffer) => void;
}

export interface GuestResult {
  /** The command's exit status; `undefined` when the VM ended before it. */
  readonly status: number | undefined;
  /** Then, why, and the last that its kernel said. */
  readonly fault: string | undefined;
  /** What it left in the directory it knew as /run/vm, by name. */
  file(name: string): string | undefined;
  /** Removes that directory. */
  close(): void;
}

/** Why no VM can be started here, or false. */
export function cannotBoot(kernel: Kernel | undefined): string | false {
  if (!kernel) return 'its kernel has not been fetched; run "npm run test:kernels" with the network at hand';
  if (!rootOf(kernel.arch)) return `nothing for ${kernel.arch} has been fetched that could run in it`;
  if (!virtiofsd()) return 'there is no virtiofsd; install qemu-system-common or virtiofsd';
  if (!onPath(MACHINES[kernel.arch].qemu)) return `there is no ${MACHINES[kernel.arch].qemu}`;
  if (process.getuid?.() !== 0) return 'not root, which sharing the root directory with a VM needs';
  return false;
}

const virtiofsd = () => DAEMONS.find((path) => existsSync(path));
const onPath = (name: string) =>
  (process.env['PATH'] ?? '').split(':').some((part) => existsSync(join(part, name)));
const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** What the guest's first process does once its root is in place. */
function startScript({ command, cwd = REPO, env = {} }: GuestCommand, root: string): string {
  const variables = Object.entries({
    PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...env,
  });
  return [
    ...variables.map(([name, value]) => `export ${name}=${quoted(value)}`),
    'port=$(/run/busybox ls -d /dev/vport*)',
    // Where a kernel says whether it preempts itself.
    '/run/busybox mount -t debugfs debugfs /sys/kernel/debug',
    // Node and koffi for its architecture, before ours.
    ...(root === '/' ? [] : [`/run/busybox mount -t overlay -o lowerdir=${MODULES}:${OURS} modules ${OURS}`]),
    `cd ${quoted(cwd)}`,
    `/run/busybox setsid /usr/bin/env ${command.map(quoted).join(' ')} </dev/null >"$port" 2>&1`,
    'echo $? >/run/vm/status.new; /run/busybox mv /run/vm/status.new /run/vm/status',
    '/run/busybox poweroff -f',
    '',
  ].join('\n');
}

/** @throws when the VM cannot be started. */
export async function inGuest(given: GuestCommand): Promise<GuestResult> {
  const { kernel, timeout = 600_000 } = given;
  const root = rootOf(kernel.arch);
  if (!root) throw new Error(`there is no user land for ${kernel.arch}`);
  const machine = MACHINES[kernel.arch];
  const state = mkdtempSync(join(tmpdir(), 'mcpspy-vm-'));
  // Where the guest, which may not write, mounts the repository.
  mkdirSync(join(root, REPO), { recursive: true });
  writeFileSync(join(state, 'start'), startScript(given, root));
  given.prepare?.(state);
  const socket = join(state, 'fs.sock');
  const log = join(state, 'console.log');
  const daemon = spawn(
    virtiofsd() ?? '',
    [`--socket-path=${socket}`, '-o', 'source=/', '-o', 'cache=always', '-o', 'sandbox=chroot'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let said = '';
  daemon.stderr.on('data', (chunk: Buffer) => {
    said += chunk;
  });
  try {
    for (let tries = 0; !existsSync(socket); tries++) {
      if (daemon.exitCode !== null || tries > 500) throw new Error(`virtiofsd did not start: ${said}`);
      await sleep(10);
    }
    const options = [
      ...machine.options,
      ...['-accel', 'tcg,thread=multi', '-smp', '2', '-m', '3072'],
      ...[
        '-object',
        'memory-backend-memfd,id=memory,size=3072M,share=on',
        '-machine',
        'memory-backend=memory',
      ],
      ...['-nodefaults', '-display', 'none', '-no-reboot', '-nic', 'none'],
      ...['-kernel', kernel.image, '-initrd', kernel.initramfs],
      ...['-append', commandLine(root, machine.console, state)],
      ...['-chardev', `socket,id=fs,path=${socket}`, '-device', 'vhost-user-fs-pci,chardev=fs,tag=host'],
      ...['-serial', `file:${log}`],
      ...['-chardev', 'stdio,id=out,signal=off', '-device', 'virtio-serial-pci'],
      ...['-device', 'virtserialport,chardev=out,name=out', '-device', 'virtio-rng-pci'],
    ];
    // An end of file on its standard input would close the guest's port.
    const qemu = spawn(machine.qemu, options, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
    });
    qemu.stdout.on('data', given.output ?? (() => {}));
    qemu.stderr.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    stopWith(qemu, daemon);
    const killed = await ended(qemu);
    const read = (name: string) => {
      const path = join(state, name);
      return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
    };
    const status = read('status');
    const last = (read('console.log') ?? '').split('\n').slice(-25).join('\n');
    const why = killed ? `took longer than ${timeout / 1000} s` : 'ended before its command did';
    return {
      status: status === undefined ? undefined : Number(status),
      fault: status === undefined ? `the VM with ${kernel.release} ${why}\n${said}\n${last}` : undefined,
      file: read,
      close: () => rmSync(state, { recursive: true, force: true }),
    };
  } catch (error) {
    rmSync(state, { recursive: true, force: true });
    throw error;
  } finally {
    daemon.kill('SIGKILL');
  }
}

function commandLine(root: string, console: string, state: string): string {
  return [
    `console=${console}`,
    'loglevel=5 panic=-1 oops=panic random.trust_cpu=on',
    // Emulated processors are busy elsewhere for longer than a watchdog likes. Their time-stamp counter is the
    // host's; to read the HPET takes fourteen times as long.
    'nowatchdog rcupdate.rcu_cpu_stall_suppress=1 tsc=reliable clocksource=tsc',
    `mcpspy.root=${root} mcpspy.repo=${REPO} mcpspy.state=${state}`,
  ].join(' ');
}

/** The VM goes with us, however we end. */
function stopWith(...children: readonly ChildProcess[]): void {
  const stop = () => {
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('exit', stop);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => {
      stop();
      process.exit(128);
    });
}

/** Resolves to whether it had to be killed. */
function ended(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (_, signal) => resolve(signal === 'SIGKILL'));
  });
}
