// SPDX-License-Identifier: Apache-2.0
/** What was found in the files that were looked at: each is looked at once, while it stays what it is. */
import { keepYoungest } from '../youngest.ts';
import type { OpenFile } from './mapped-files.ts';
import type { TlsFile } from './tls-files.ts';

/** Files whose contents are remembered. */
const FILES_KEPT = 4096;

interface Known {
  readonly identity: string;
  readonly content: TlsFile;
}

export class KnownFiles {
  /** By device and inode; the longest unused first. */
  readonly #files = new Map<string, Known>();

  /** `undefined` for a file that has not been looked at, or has changed since. */
  of({ node, identity }: OpenFile): TlsFile | undefined {
    const known = this.#files.get(node);
    return known?.identity === identity ? known.content : undefined;
  }

  /** What the file held when it was last looked at. */
  at(node: string): TlsFile | undefined {
    return this.#files.get(node)?.content;
  }

  remember({ node, identity }: OpenFile, content: TlsFile): void {
    this.#files.delete(node);
    this.#files.set(node, { identity, content });
    keepYoungest(this.#files, FILES_KEPT);
  }
}
