// SPDX-License-Identifier: Apache-2.0
/**
 * Packages from Debian's archive without touching this machine's own package state: sources, lists, architectures
 * and the record of what is installed are private to a directory that goes away. Proxies and credentials of the
 * machine's apt stay in force.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Architectures by Debian's names. */
export const ARCHITECTURES = ['amd64', 'arm64'] as const;
export type Arch = (typeof ARCHITECTURES)[number];

/** One version of a package. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** As in the control file, alternatives and versions included. */
  readonly depends: string;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Where this machine has Debian's packages from. */
function debianSites(): string[] {
  const filter = ['--format', '$(SITE)', 'Created-By: Packages', 'Origin: Debian'];
  return execFileSync('apt-get', ['indextargets', ...filter], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
}

export class Apt {
  readonly #directory: string;
  readonly #config: string;

  /** Works below `parent`, for packages of `arch`, from these `suites` (`trixie`, `trixie-security`…). */
  constructor(parent: string, arch: Arch, suites: readonly string[]) {
    mkdirSync(parent, { recursive: true });
    this.#directory = mkdtempSync(join(parent, 'apt-'));
    for (const part of ['lists/partial', 'cache/archives/partial'])
      mkdirSync(join(this.#directory, part), { recursive: true });
    writeFileSync(join(this.#directory, 'status'), '');
    const sites = debianSites();
    const source = (suite: string) => {
      const site = sites.find((each) => each.endsWith('-security') === suite.endsWith('-security'));
      if (!site) throw new Error(`apt knows no archive of Debian for ${suite}; run "apt-get update"`);
      return `deb [signed-by=${KEYRING}] ${site} ${suite} main\n`;
    };
    writeFileSync(join(this.#directory, 'sources.list'), suites.map(source).join(''));
    this.#config = join(this.#directory, 'apt.conf');
    writeFileSync(
      this.#config,
      `Dir::State "${this.#directory}";
Dir::State::lists "lists";
Dir::State::status "${this.#directory}/status";
Dir::Cache "${this.#directory}/cache";
Dir::Etc::sourcelist "${this.#directory}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
#clear APT::Architectures;
APT::Architecture "${arch}";
APT::Architectures { "${arch}"; };
APT::Sandbox::User "root";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::Languages "none";
# What the machine would do after an update of its own.
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`,
    );
  }

  /** Fetches the lists. @throws when a source cannot be read. */
  async update(): Promise<void> {
    await this.#run('apt-get', ['-o', 'APT::Update::Error-Mode=any', 'update'], this.#directory);
  }

  /** Every version of a package that the suites have. */
  async versions(name: string): Promise<Package[]> {
    const text = await this.#run('apt-cache', ['show', '-a', name], this.#directory);
    return text
      .split('\n\n')
      .filter((stanza) => stanza.trim())
      .map((stanza) => {
        const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
        return { name, version: field('Version'), depends: field('Depends') };
      });
  }

  /** Fetches these packages (`name` or `name=version`) and unpacks them into `target`. */
  async unpack(packages: readonly string[], target: string): Promise<void> {
    const directory = mkdtempSync(join(this.#directory, 'debs-'));
    await this.#run('apt-get', ['download', ...packages], directory);
    await unpackAll(directory, target);
  }

  /** Fetches these packages with all they depend on, and unpacks them into `target`. */
  async unpackWithDependencies(packages: readonly string[], target: string): Promise<void> {
    const args = ['install', '--yes', '--download-only', '--no-install-recommends', ...packages];
    await this.#run('apt-get', args, this.#directory);
    await unpackAll(join(this.#directory, 'cache', 'archives'), target);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #run(command: string, args: readonly string[], cwd: string): Promise<string> {
    const { stdout } = await run(command, [`-c=${this.#config}`, '-q', ...args], {
      cwd,
      maxBuffer: 1 << 26,
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    });
    return stdout;
  }
}

async function unpackAll(directory: string, target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.deb')))
    await run('dpkg', ['-x', join(directory, file), target]);
}

/** Compares versions as dpkg does. */
export async function isNewer(version: string, than: string): Promise<boolean> {
  try {
    await run('dpkg', ['--compare-versions', version, 'gt', than]);
    return true;
  } catch {
    return false;
  }
}
