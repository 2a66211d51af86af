// SPDX-License-Identifier: Apache-2.0
/**
 * What a VM of another architecture runs: a small Debian, and what npm has built for that architecture, all of it
 * unpacked and nothing installed.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Compiler } from '../support/mover.ts';
import { Apt, type Arch } from './apt.ts';
import { CACHE, ROOT } from './kernels.ts';

/** The one that mcpspy is developed on. */
const SUITES = ['bookworm', 'bookworm-security'];

/** With all that they depend on. */
const PACKAGES = [
  ...['base-files', 'busybox-static', 'coreutils', 'dash', 'grep', 'sed', 'util-linux'],
  ...['libbpf1', 'libstdc++6', 'openssl', 'python3'],
  // For what is compiled here and runs there.
  ...['libc6-dev', 'libgcc-12-dev', 'libssl-dev'],
];

/** What the packages' scripts would have made. */
const FILES = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
};

/** By npm's name, and by the compiler's. */
const NAMES = {
  amd64: { npm: 'x64', triple: 'x86_64-linux-gnu' },
  arm64: { npm: 'arm64', triple: 'aarch64-linux-gnu' },
} as const;

/** Where in the tree the packages from npm are. */
export const MODULES = '/opt/node_modules';

/** Is this the architecture of this machine, whose own files will do? */
const isOwn = (arch: Arch) => NAMES[arch].npm === process.arch;

interface Module {
  readonly name: string;
  readonly version: string;
  /** Of the archive, as npm writes it. */
  readonly integrity: string;
}

/** The packages whose content depends on the architecture, as they are locked. */
function modules(arch: Arch): Module[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  return [`node-linux-${NAMES[arch].npm}`, `@koromix/koffi-linux-${NAMES[arch].npm}`].map((name) => ({
    name,
    ...lock.packages[`node_modules/${name}`],
  }));
}

/** What has to be in the tree; it is made anew when this changes. */
const contents = (arch: Arch) =>
  [...PACKAGES, ...modules(arch).map(({ name, version }) => `${name}@${version}`)].join('\n');

const place = (arch: Arch) => join(CACHE, arch, 'root');
const contentsFile = (tree: string) => join(tree, 'opt', 'contents');

/** The root directory for a VM of this architecture, if there is one. */
export function rootOf(arch: Arch): string | undefined {
  if (isOwn(arch)) return '/';
  const file = contentsFile(place(arch));
  return existsSync(file) && readFileSync(file, 'utf8') === contents(arch) ? place(arch) : undefined;
}

/** The command that compiles C for it, if not any compiler does; `rootOf` has to be there. */
export function compilerFor(arch: Arch): Compiler | undefined {
  return isOwn(arch)
    ? undefined
    : ['clang', `--target=${NAMES[arch].triple}`, `--sysroot=${place(arch)}`, '-fuse-ld=lld'];
}

/** Fetches what `rootOf` returns. @throws when a package cannot be had, or is not the one that is locked. */
export async function fetchUserland(arch: Arch): Promise<void> {
  mkdirSync(join(CACHE, arch), { recursive: true });
  const work = mkdtempSync(join(CACHE, 'new-'));
  const apt = new Apt(CACHE, arch, SUITES);
  try {
    const tree = join(work, 'root');
    await apt.update();
    await apt.unpackWithDependencies(PACKAGES, tree);
    for (const [path, text] of Object.entries(FILES)) writeFileSync(join(tree, path), text);
    for (const module of modules(arch)) unpackModule(module, work, join(tree, MODULES, module.name));
    writeFileSync(contentsFile(tree), contents(arch));
    rmSync(place(arch), { recursive: true, force: true });
    renameSync(tree, place(arch));
  } finally {
    apt.close();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Not by `npm install`, which takes nothing that is not for this machine. */
function unpackModule({ name, version, integrity }: Module, work: string, target: string): void {
  const args = ['pack', '--silent', `--pack-destination=${work}`, `${name}@${version}`];
  const archive = join(work, execFileSync('npm', args, { cwd: work, encoding: 'utf8' }).trim());
  const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (found !== integrity) throw new Error(`${name}@${version} is not the one in package-lock.json`);
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', archive, '--strip-components=1', '-C', target]);
}
