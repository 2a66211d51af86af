// SPDX-License-Identifier: Apache-2.0
/** Stock Debian kernels, unpacked and made ready to boot; nothing is installed. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Apt, type Arch, isNewer, type Package } from './apt.ts';
import { archive } from './cpio.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Where kernels and foreign user lands are kept between runs. */
export const CACHE = process.env['MCPSPY_KERNELS'] ?? join(ROOT, 'node_modules', '.cache', 'mcpspy-kernels');

/** The lines of kernels that are tested: the prefix of the package's version. */
export const LINES = { '6.1': '6.1.', '6.12': '6.12.', newest: '' } as const;
export type Line = keyof typeof LINES;
export const isLine = (text: string): text is Line => Object.hasOwn(LINES, text);

/** The suites in which the lines are found. */
export const SUITES = [
  'bookworm',
  'bookworm-security',
  'trixie',
  'trixie-security',
  'trixie-backports',
  'sid',
];

/** What a VM needs on top of what Debian builds in, with everything those modules depend on. */
const MODULES = [
  'virtio_pci',
  'virtiofs',
  'virtio_console',
  'virtio_rng',
  'overlay',
  'veth',
  'unix_diag',
  'inet_diag',
];

/** A kernel that can be booted. */
export interface Kernel {
  readonly line: Line;
  readonly arch: Arch;
  /** As uname(2) says it. */
  readonly release: string;
  /** The package's version. */
  readonly version: string;
  readonly image: string;
  readonly initramfs: string;
}

const place = (arch: Arch, line: Line) => join(CACHE, arch, line);

/** The kernel that was fetched, if any was. */
export function cached(arch: Arch, line: Line): Kernel | undefined {
  const directory = place(arch, line);
  const about = join(directory, 'kernel.json');
  if (!existsSync(about)) return undefined;
  return {
    line,
    arch,
    ...JSON.parse(readFileSync(about, 'utf8')),
    image: join(directory, 'vmlinuz'),
    initramfs: join(directory, 'initramfs'),
  };
}

/** Fetches the newest kernel of a line; `busybox` is a static one of that architecture. */
export async function fetchKernel(apt: Apt, arch: Arch, line: Line, busybox: string): Promise<Kernel> {
  const newest = await newestOf(await apt.versions(`linux-image-cloud-${arch}`), LINES[line]);
  if (!newest) throw new Error(`Debian has no cloud kernel ${line} for ${arch}`);
  const name = /linux-image-[^ ,]+/.exec(newest.depends)?.[0] ?? '';
  const release = name.slice('linux-image-'.length);
  // Newer packages have the image and the modules in packages of their own.
  const [about] = (await apt.versions(name)).filter(({ version }) => version === newest.version);
  const parts =
    (about?.depends ?? '').match(
      new RegExp(`linux-(binary|modules)-${release.replaceAll(/[.+]/g, '\\$&')}`, 'g'),
    ) ?? [];
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'new-'));
  try {
    const tree = join(work, 'tree');
    await apt.unpack(
      [name, ...parts].map((part) => `${part}=${newest.version}`),
      tree,
    );
    const made = join(work, 'made');
    mkdirSync(made);
    const files = readdirSync(tree, { recursive: true, encoding: 'utf8' });
    const image = files.find((file) => ['vmlinuz', `vmlinuz-${release}`].includes(basename(file)));
    if (!image) throw new Error(`no vmlinuz in ${name} ${newest.version}`);
    renameSync(join(tree, image), join(made, 'vmlinuz'));
    writeFileSync(join(made, 'initramfs'), initramfs(tree, files, busybox));
    writeFileSync(join(made, 'kernel.json'), JSON.stringify({ release, version: newest.version }));
    mkdirSync(join(CACHE, arch), { recursive: true });
    rmSync(place(arch, line), { recursive: true, force: true });
    renameSync(made, place(arch, line));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return cached(arch, line) as Kernel;
}

async function newestOf(versions: readonly Package[], prefix: string): Promise<Package | undefined> {
  let newest: Package | undefined;
  for (const candidate of versions)
    if (
      candidate.version.startsWith(prefix) &&
      (!newest || (await isNewer(candidate.version, newest.version)))
    )
      newest = candidate;
  return newest;
}

// ---- the initial RAM disk ----------------------------------------------------

function initramfs(tree: string, files: readonly string[], busybox: string): Buffer {
  const modules = inOrder(tree, files);
  const directories = ['bin', 'dev', 'proc', 'host', 'new', 'modules'];
  return archive([
    ...directories.map((path) => ({ path, mode: 0o755 })),
    { path: 'bin/busybox', mode: 0o755, content: readFileSync(busybox) },
    { path: 'init', mode: 0o755, content: readFileSync(new URL('init.sh', import.meta.url)) },
    {
      path: 'modules/order',
      mode: 0o644,
      content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')),
    },
    ...modules.map(({ name, content }) => ({ path: `modules/${name}`, mode: 0o644, content })),
  ]);
}

/** MODULES and what they need, in the order in which they have to be loaded. What is built in is not there. */
function inOrder(tree: string, files: readonly string[]): { name: string; content: Buffer }[] {
  const plain = (name: string) => name.replaceAll('-', '_');
  const paths = new Map(
    files.flatMap((file) => {
      const name = /([^/]+)\.ko(\.xz)?$/.exec(file)?.[1];
      return name ? [[plain(name), file] as const] : [];
    }),
  );
  const loaded = new Map<string, Buffer>();
  const visit = (name: string) => {
    const path = paths.get(plain(name));
    if (!path || loaded.has(plain(name))) return;
    const file = join(tree, path);
    const content = path.endsWith('.xz')
      ? execFileSync('busybox', ['xzcat', file], { maxBuffer: 1 << 27 })
      : readFileSync(file);
    for (const needed of /\0depends=([^\0]*)\0/.exec(`\0${content.toString('latin1')}`)?.[1]?.split(',') ??
      [])
      visit(needed);
    loaded.set(plain(name), content);
  };
  for (const name of MODULES) visit(name);
  return [...loaded].map(([name, content]) => ({ name: `${name}.ko`, content }));
}
