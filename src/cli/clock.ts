// SPDX-License-Identifier: Apache-2.0
/** The wall clock by the kernel's: CLOCK_MONOTONIC, of which all records are, stands still while the machine sleeps. */
import os from 'node:os';

/** How often it is looked whether the machine has slept, and for how long that has to be, nanoseconds. */
const LOOK_NS = 1e9;
const SLEPT_NS = 1e9;

/** The clocks of this machine, all in nanoseconds. */
export interface Clocks {
  /** CLOCK_MONOTONIC. */
  readonly monotonic: () => number;
  /** CLOCK_BOOTTIME, which goes on while the machine sleeps; to some 10 ms. */
  readonly boot: () => number;
  /** Since the epoch. */
  readonly wall: () => number;
}

export const monotonic = (): number => Number(process.hrtime.bigint());

const OURS: Clocks = { monotonic, boot: () => os.uptime() * 1e9, wall: () => Date.now() * 1e6 };

export class Clock {
  readonly #clocks: Clocks;
  /** Of the wall clock before CLOCK_MONOTONIC. */
  #ahead: number;
  /** How long the machine has slept since it was started. */
  #slept: number;
  #looked: number;

  constructor(clocks: Clocks = OURS) {
    this.#clocks = clocks;
    this.#looked = clocks.monotonic();
    // Finer than the wall clock by itself, of which node tells milliseconds.
    this.#ahead =
      clocks === OURS
        ? (performance.timeOrigin + performance.now()) * 1e6 - monotonic()
        : clocks.wall() - this.#looked;
    this.#slept = clocks.boot() - this.#looked;
  }

  /** Wall clock, nanoseconds since the epoch, at this moment of CLOCK_MONOTONIC. */
  wall(time: number): number {
    return time + this.#ahead;
  }

  /** To be called now and then: has the machine slept? While it is awake, steps of the wall clock change nothing. */
  look(): void {
    const now = this.#clocks.monotonic();
    if (now - this.#looked < LOOK_NS) return;
    this.#looked = now;
    const slept = this.#clocks.boot() - now;
    if (slept - this.#slept < SLEPT_NS) return;
    this.#slept = slept;
    this.#ahead = this.#clocks.wall() - now;
  }
}
