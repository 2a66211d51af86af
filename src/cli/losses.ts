// SPDX-License-Identifier: Apache-2.0
import type { Bus } from '../bus.ts';
import type { Losses } from '../mcp/events.ts';
import type { LossCount } from '../sensor/messages.ts';
import { CAUSES } from '../source/decode.ts';
import type { GapRecord } from '../source/records.ts';
import type { LossCause } from '../streams/frame.ts';

/** Losses that may have no place in a stream: the kernel's own count tells of all of them. */
const WITHOUT_PLACE = new Set<LossCause>(['map-full', 'skipped']);

/** Drops by cause: those located in MCP streams, and those that could belong to any. */
export class LossCounter {
  readonly #byCause = new Map<LossCause, { bytes: number; records: number; frames: number }>();
  /** Bytes that the kernel has told of, by stream, those that are not MCP's included. */
  readonly #told = new Map<LossCause, number>();

  constructor(bus: Bus) {
    bus.on('gap', ({ cause, bytes, frames }) => this.#add(cause, bytes, 1, frames ?? 0));
  }

  /** What the kernel tells of a stream, whatever becomes of it. */
  told({ cause, bytes }: GapRecord): void {
    this.#told.set(cause, (this.#told.get(cause) ?? 0) + bytes);
  }

  /** @param counted By the kernel, from beginning to end. */
  total(counted: readonly LossCount[]): Losses {
    for (const { cause, bytes, records, lines } of counted) {
      const name = CAUSES[cause];
      if (!name) continue;
      if (!WITHOUT_PLACE.has(name)) {
        this.#addUntold(name, bytes);
        continue;
      }
      // Those that have one are counted there, too.
      const gaps = this.#byCause.get(name) ?? { bytes: 0, records: 0, frames: 0 };
      this.#byCause.set(name, {
        bytes: Math.max(gaps.bytes, bytes),
        records: Math.max(gaps.records, records),
        frames: Math.max(gaps.frames, lines),
      });
    }
    return Object.fromEntries(this.#byCause);
  }

  /** Of so many streams at once that the kernel had to forget some, it cannot tell any more what they have lost. */
  #addUntold(cause: LossCause, counted: number): void {
    const untold = counted - (this.#told.get(cause) ?? 0);
    if (untold > 0) this.#add(cause, untold, 1, 0);
  }

  #add(cause: LossCause, bytes: number, records: number, frames: number): void {
    const sum = this.#byCause.get(cause) ?? { bytes: 0, records: 0, frames: 0 };
    this.#byCause.set(cause, {
      bytes: sum.bytes + bytes,
      records: sum.records + records,
      frames: sum.frames + frames,
    });
  }
}
