// SPDX-License-Identifier: Apache-2.0
/** Which addresses are this machine's own, so that a process of ours may be at the other end. */
import { networkInterfaces } from 'node:os';

/** Interfaces come and go; looking costs about 100 microseconds. */
const REFRESH_MS = 5000;

export class LocalAddresses {
  #known = new Set<string>();
  #until = 0;

  /** Loopback, or an address of an interface in our own network namespace. */
  has(ip: string): boolean {
    if (ip.startsWith('127.') || ip === '::1') return true;
    const now = performance.now();
    if (now > this.#until) {
      this.#until = now + REFRESH_MS;
      this.#known = ownAddresses();
    }
    return this.#known.has(ip);
  }
}

function ownAddresses(): Set<string> {
  try {
    const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    return new Set(all.map(({ address }) => address));
  } catch {
    // A sandbox without netlink (systemd's RestrictAddressFamilies, for one): only loopback is known, then.
    return new Set();
  }
}
