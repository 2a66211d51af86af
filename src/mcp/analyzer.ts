// SPDX-License-Identifier: Apache-2.0
/** Frames in, events out: decides what is MCP, pairs questions with answers and tells the bus. */
import type { Bus } from '../bus.ts';
import type { StreamItem, StreamRef } from '../streams/frame.ts';
import type { Repeats, Unseen } from './events.ts';
import { HttpAnalyzer } from './http.ts';
import { Reporter } from './reporter.ts';
import { StdioAnalyzer } from './stdio.ts';
import type { StreamControl } from './stream-control.ts';

export type { StreamControl } from './stream-control.ts';

export interface AnalyzerOptions {
  /** Show JSON-RPC of other protocols too. */
  readonly allJsonRpc: boolean;
  /** The wall clock, nanoseconds since the epoch, at a moment of CLOCK_MONOTONIC. */
  readonly wall: (time: number) => number;
}

export class Analyzer {
  readonly #reporter: Reporter;
  readonly #stdio: StdioAnalyzer;
  readonly #http: HttpAnalyzer;

  constructor(bus: Bus, control: StreamControl, options: AnalyzerOptions) {
    const reporter = new Reporter(bus, control, options.wall);
    this.#reporter = reporter;
    let last = 0;
    const number = () => ++last;
    this.#stdio = new StdioAnalyzer(reporter, control, options.allJsonRpc, number);
    this.#http = new HttpAnalyzer(reporter, control, options.allJsonRpc, number);
  }

  item(item: StreamItem): void {
    switch (item.kind) {
      case 'frame':
        if (!item.http) this.#stdio.frame(item);
        else {
          this.#begin(item.stream);
          this.#http.frame(item, item.http);
        }
        return;
      case 'http':
        this.#begin(item.stream);
        this.#http.step(item);
        return;
      case 'gap':
        if (this.#http.carries(item.stream.id)) this.#http.gap(item);
        else this.#stdio.gap(item);
        return;
      case 'end':
        this.#stdio.ended(item.stream);
        this.#http.ended(item);
    }
  }

  /**
   * Everything that had happened up to `time` has been handed in.
   * @returns whether something waits for a moment to pass: then this is to be called again soon.
   */
  settled(time: number): boolean {
    return this.#reporter.settled(time);
  }

  /** The capture is over: nothing waits any longer. */
  finish(): void {
    this.#reporter.finish();
  }

  /** Streams that were lost as a whole, as far as that is known by now. */
  get unseen(): Unseen {
    return this.#stdio.unseen;
  }

  /** Messages that came again and were not shown again. */
  get repeats(): Repeats {
    return this.#http.repeats;
  }

  /** What was lost of a stream before it showed itself to be HTTP goes with its first exchange. */
  #begin(stream: StreamRef): void {
    if (!this.#http.begin(stream.id)) return;
    for (const item of this.#stdio.surrender(stream))
      if (item.kind === 'gap' && item.cause !== 'stopped') this.#http.gap({ ...item, frames: undefined });
  }
}
