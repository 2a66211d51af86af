// SPDX-License-Identifier: Apache-2.0
/** A capture of the load (bench/peers/load.c), line by line: there are more than fit into memory. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type OutputLine, SPY } from './mcpspy.ts';
import { patience } from './patience.ts';

/** Bytes of each message, with its line end. */
export const LOAD_SIZE = 300;
/** Of the first message; they are numbered. */
const FIRST_ID = 1_000_000_000;
const TEXTS = {
  request: [',"method":"tools/call","params":{"name":"echo","arguments":{"text":"', '"}}}'],
  response: [',"result":{"content":[{"type":"text","text":"', '"}]}}'],
} as const;
/** So long nothing may come until all has come, milliseconds. */
const QUIET_MS = 2000;

/** The message at this place of a stream. */
function messageAt(type: keyof typeof TEXTS, offset: number): string {
  const [before, behind] = TEXTS[type];
  const head = `{"jsonrpc":"2.0","id":${FIRST_ID + offset / LOAD_SIZE}${before}`;
  return head.padEnd(LOAD_SIZE - 1 - behind.length, 'x') + behind;
}

/** What is told of one stream: every byte of it is captured or lost, and what is captured is what was sent there. */
export class StreamTally {
  captured = 0;
  lost = 0;
  /** Where in the stream what was told ends. */
  end = 0;
  /** Where in the stream the first gap begins, and where the last one ends: from there to there the ring was full time and again. */
  firstGap: number | undefined;
  lastGapEnd = 0;
  /** Did a gap end in the middle of a message? Its rest is neither captured nor lost. */
  #cut = false;

  take(line: OutputLine): void {
    const { kind, offset, type, raw } = line;
    const what = `${kind} at ${offset}, after ${this.end}`;
    const tail = this.#cut ? (LOAD_SIZE - (this.end % LOAD_SIZE)) % LOAD_SIZE : 0;
    assert.ok(offset === this.end || offset === this.end + tail, what);
    if (kind === 'gap') {
      assert.equal(line['cause'], 'ring-full', what);
      this.lost += line['frames'];
      this.end = offset + line['bytes'];
      this.firstGap ??= offset;
      this.lastGapEnd = this.end;
      this.#cut = this.end % LOAD_SIZE > 0;
    } else if (kind === 'message') {
      assert.equal(offset % LOAD_SIZE, 0, what);
      if (raw !== messageAt(type, offset)) assert.fail(`${what}: ${raw}`);
      this.captured++;
      this.end = offset + LOAD_SIZE;
      this.#cut = false;
    } else {
      assert.equal(line['reason'], 'cut off by a gap', what);
      this.end = offset + line['size'];
    }
  }
}

/** `mcpspy …` with its file on standard output, which is counted as it comes. */
export class Tally {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly pid: number;
  readonly #streams = new Map<number, StreamTally>();
  readonly #counted: Promise<void>;
  #losses: OutputLine = {};
  #lines = 0;

  constructor(args: readonly string[]) {
    const [spy, ...backEnd] = SPY;
    this.child = spawn(spy, [...backEnd, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.pid = this.child.pid ?? 0;
    this.#counted = this.#count();
    // Whoever waits for something else is told when it asks for the end.
    this.#counted.catch(() => {});
  }

  /** Waits until what was said is told. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.#lines; ) {
      before = this.#lines;
      await sleep(patience(QUIET_MS));
    }
  }

  /** @throws what was wrong with a line. */
  async ended(): Promise<{ streams: StreamTally[]; losses: OutputLine }> {
    const [[code]] = await Promise.all([once(this.child, 'exit'), this.#counted]);
    assert.equal(code, 0);
    return { streams: [...this.#streams.values()], losses: this.#losses };
  }

  async #count(): Promise<void> {
    for await (const text of createInterface({ input: this.child.stdout })) {
      this.#lines++;
      const line: OutputLine = JSON.parse(text);
      const { kind, stream } = line;
      if (kind === 'summary') this.#losses = line['losses'];
      if (kind !== 'message' && kind !== 'gap' && kind !== 'invalid') continue;
      const tally = this.#streams.get(stream) ?? new StreamTally();
      this.#streams.set(stream, tally);
      tally.take(line);
    }
  }
}
