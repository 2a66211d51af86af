// SPDX-License-Identifier: Apache-2.0
/**
 * Messages that were told before it was known who had written or read them: a server may read its first message
 * seconds after it was written, and until then the kernel cannot say who that will be.
 */
import type { Endpoint } from '../streams/frame.ts';
import { keepYoungest } from '../youngest.ts';
import type { RpcId } from './events.ts';
import type { StreamControl } from './stream-control.ts';

/** Streams of which messages are remembered; those that were begun with first are forgotten first. */
const STREAMS = 64;
/** Messages remembered of each; the oldest are forgotten first. */
const MESSAGES = 256;

/** A message, and what is known of its ends. */
export interface Told {
  readonly seq: number;
  readonly connection: number;
  readonly stream: number;
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
  readonly method?: string | undefined;
  readonly id?: RpcId | undefined;
}

const NONE: readonly Told[] = [];

export class Unattributed {
  readonly #byStream = new Map<number, Told[]>();
  readonly #control: Pick<StreamControl, 'whoAt'>;

  constructor(control: Pick<StreamControl, 'whoAt'>) {
    this.#control = control;
  }

  add(told: Told): void {
    const others = this.#byStream.get(told.stream);
    if (!others) {
      this.#byStream.set(told.stream, [told]);
      keepYoungest(this.#byStream, STREAMS);
      return;
    }
    others.push(told);
    if (others.length > MESSAGES) others.shift();
  }

  /** Those of which more is known by now, with that; in the order in which they were told of each stream. */
  take(): readonly Told[] {
    // Asked with each message: nothing is made for the answer.
    if (this.#byStream.size === 0) return NONE;
    const found: Told[] = [];
    for (const [stream, all] of this.#byStream) {
      const [oldest] = all;
      if (!oldest || !this.#isMoreKnown(oldest)) continue;
      const now = all.map((told) => this.#asKnown(told));
      found.push(...now);
      const left = now.filter(({ from, to }) => !from || !to);
      if (left.length) this.#byStream.set(stream, left);
      else this.#byStream.delete(stream);
    }
    return found;
  }

  /** Who comes is there for all that waits: one of a stream is asked of, and that often. */
  #isMoreKnown(told: Told): boolean {
    const { from, to } = this.#asKnown(told);
    return from !== told.from || to !== told.to;
  }

  #asKnown(told: Told): Told {
    const { stream, time } = told;
    return {
      ...told,
      from: told.from ?? this.#control.whoAt(stream, 'writer', time),
      to: told.to ?? this.#control.whoAt(stream, 'reader', time),
    };
  }
}
