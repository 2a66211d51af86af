// SPDX-License-Identifier: Apache-2.0
/**
 * Which TLS the processes have in them that run now, by the files whose code they have mapped. It is told what is
 * there, not what is used: no traffic is looked at. Works without privileges, too, for one's own processes.
 */
import { closeSync, readFileSync } from 'node:fs';
import { type MappedFile, type OpenFile, openMapped, parseMaps } from './mapped-files.ts';
import type { ProcessInfo, TlsLibrary } from './messages.ts';
import { readProcess } from './proc.ts';
import { librariesIn, longLook, quickLook } from './tls-files.ts';

/** Milliseconds for all files; what is left then is not known. */
const TIME_MS = 3000;
/** Bytes of one section that are searched. */
const SECTION_MAX = 128 << 20;

export interface TlsOfProcess {
  readonly process: ProcessInfo;
  readonly libraries: readonly TlsLibrary[];
  /** Why there may be others, too. */
  readonly unknown: string | undefined;
}

export interface TlsSurvey {
  /** Those in which there is something to tell. */
  readonly processes: readonly TlsOfProcess[];
  /** Number of processes that were looked at. */
  readonly looked: number;
  /** Number of those that we may not look at. */
  readonly hidden: number;
}

/** What a file holds, and why there may be more in it. */
interface Content {
  readonly libraries: readonly TlsLibrary[];
  readonly unknown?: string | undefined;
}

/** @param timeMs See `TIME_MS`. */
export async function surveyTls(pids: readonly number[], timeMs = TIME_MS): Promise<TlsSurvey> {
  const files = new FileContents(timeMs);
  const processes: TlsOfProcess[] = [];
  let looked = 0;
  let hidden = 0;
  for (const pid of pids) {
    const maps = read(`/proc/${pid}/maps`);
    const process = readProcess(pid);
    if (maps === 'forbidden') hidden++;
    // Gone; or a thread of the kernel's.
    if (typeof maps !== 'object' || !maps.text || !process) continue;
    looked++;
    const contents: Content[] = [];
    for (const mapped of parseMaps(maps.text)) contents.push(await files.of(pid, mapped));
    const libraries = librariesIn(contents);
    const unknown = contents.find((content) => content.unknown !== undefined)?.unknown;
    if (libraries.length || unknown !== undefined) processes.push({ process, libraries, unknown });
  }
  return { processes, looked, hidden };
}

function read(path: string): { text: string } | 'forbidden' | 'gone' {
  try {
    return { text: readFileSync(path, 'latin1') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EACCES' || code === 'EPERM' ? 'forbidden' : 'gone';
  }
}

/** Each file is looked at once, however many processes map it, under whatever name. */
class FileContents {
  readonly #deadline: number;
  /** By device, inode and path as the maps tell them: device and inode alone are not one file on every file system. */
  readonly #mapped = new Map<string, Content>();
  /** By the file's own identity. */
  readonly #files = new Map<string, Content>();

  constructor(timeMs: number) {
    this.#deadline = performance.now() + timeMs;
  }

  async of(pid: number, mapped: MappedFile): Promise<Content> {
    const key = `${mapped.key} ${mapped.path}`;
    const known = this.#mapped.get(key);
    if (known) return known;
    const content = await this.#open(pid, mapped);
    if (content) {
      this.#mapped.set(key, content);
      return content;
    }
    // It may have ended, or become another program, since its maps were read.
    const maps = read(`/proc/${pid}/maps`);
    const still = typeof maps === 'object' && parseMaps(maps.text).some((each) => each.key === mapped.key);
    return { libraries: [], unknown: still ? `${mapped.path} could not be opened` : undefined };
  }

  async #open(pid: number, mapped: MappedFile): Promise<Content | undefined> {
    const open = openMapped(pid, mapped);
    if (!open) return undefined;
    try {
      const content = this.#files.get(open.identity) ?? (await this.#look(open, mapped.path));
      this.#files.set(open.identity, content);
      return content;
    } finally {
      closeSync(open.fd);
    }
  }

  async #look(open: OpenFile, path: string): Promise<Content> {
    const quick = quickLook(open);
    if (quick.more === 'nothing') return quick;
    try {
      const { libraries, more } = await longLook(open, () => this.#pause(), SECTION_MAX);
      return { libraries, unknown: more === 'unknown' ? `${path} is too large to be searched` : undefined };
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
      return { libraries: quick.libraries, unknown: `there was no time to search ${path}` };
    }
  }

  async #pause(): Promise<void> {
    if (performance.now() > this.#deadline) throw new TooLate();
  }
}

class TooLate extends Error {}
