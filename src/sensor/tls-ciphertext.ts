// SPDX-License-Identifier: Apache-2.0
/** The probes that show which socket carries a TLS connection: in place only while one of them is not known. */
import type { Attachment } from './uprobes.ts';

/** They stay no longer than this after the last connection whose socket was not known, milliseconds. */
const LINGER_MAX_MS = 60_000;

/** Of one process. */
export class CiphertextProbes {
  readonly #close: (attachments: readonly Attachment[]) => void;
  /** By identity of the file; puts the probes in. */
  readonly #places = new Map<string, () => Attachment | undefined>();
  readonly #attached = new Map<string, Attachment>();
  readonly #hasOlder: () => boolean;
  /** At first, so that the first connection's first record is seen. */
  #wanted = true;
  #timer: NodeJS.Timeout | undefined;
  #ending: NodeJS.Immediate | undefined;
  #lingerMs: number | undefined;

  /**
   * @param lingerMs How long they stay after the last connection whose socket was not known; absent: for good.
   * @param hasOlder Is a socket open that was there before the probes? Its first use is not announced by a
   * handshake, and comes at any time: so long they stay.
   */
  constructor(
    close: (attachments: readonly Attachment[]) => void,
    lingerMs: number | undefined,
    hasOlder: () => boolean,
  ) {
    this.#close = close;
    this.#lingerMs = lingerMs;
    this.#hasOlder = hasOlder;
  }

  /** A file that ciphertext passes. */
  add(identity: string, attach: () => Attachment | undefined): void {
    this.#places.set(identity, attach);
    if (this.#wanted) this.#attach();
  }

  /** A connection is used. `known`: so is its socket. */
  used(known: boolean): void {
    if (this.#lingerMs === undefined) return;
    if (!known && !this.#wanted) {
      // Too late for the record that is being written: next time they are to be there.
      this.#lingerMs = Math.min(2 * this.#lingerMs, LINGER_MAX_MS);
      this.#wanted = true;
      this.#attach();
    }
    if (!known || !this.#timer) this.#wait(this.#lingerMs);
  }

  #wait(milliseconds: number): void {
    this.#cancel();
    this.#timer = setTimeout(() => {
      if (this.#hasOlder()) this.#wait(milliseconds);
      // The news that one is used may have come while we were not running: it is read first.
      else this.#ending = setImmediate(() => this.#detach());
    }, milliseconds).unref();
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#ending);
  }

  #attach(): void {
    for (const [identity, attach] of this.#places) {
      const attachment = this.#attached.has(identity) ? undefined : attach();
      if (attachment) this.#attached.set(identity, attachment);
    }
  }

  #detach(): void {
    this.#cancel();
    this.#timer = undefined;
    this.#wanted = false;
    this.#close([...this.#attached.values()]);
    this.#attached.clear();
  }

  /** The process is gone. */
  end(): void {
    this.#places.clear();
    this.#detach();
  }
}
