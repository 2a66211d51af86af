// SPDX-License-Identifier: Apache-2.0
/**
 * In a VM: one capture of the whole machine for many tests, by both back ends at once. To start mcpspy is what takes
 * longest in an emulated machine, and a test that only wants to know what its programs said needs none of its own.
 * What both tell has to be the same.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attached, CaptureOptions, CaptureResult, OutputLine } from './mcpspy.ts';
import { patience } from './patience.ts';
import { byKind, startCommand } from './run.ts';

/** So long it may take until what has been said is told, milliseconds. */
const TOLD_MS = 20_000;

/** What of a line does not depend on who tells it. */
function essence(line: OutputLine): string {
  const { kind, type, raw, text, method, status, bytes, cause, from, to } = line;
  const ends = [from?.pid, from?.argv, to?.pid, to?.argv];
  return JSON.stringify([kind, type, raw ?? text, method, status, bytes, cause, ...ends]);
}

const essences = (lines: readonly OutputLine[]) => lines.map(essence).sort();

type Losses = Record<string, { readonly bytes: number; readonly records: number; readonly frames: number }>;

export class WatchedMachine {
  readonly #captures: readonly Attached[];
  readonly #backends: readonly string[];
  /** What each has lost that only another one could see, by cause. */
  readonly #unseen: Losses[];
  readonly #checks: ((capture: CaptureResult) => void)[] = [];
  #marks = 0;

  /** @param captures Of the whole machine, one a back end; tests get what the first of them tells. */
  constructor(captures: readonly Attached[], backends: readonly string[]) {
    this.#captures = captures;
    this.#backends = backends;
    this.#unseen = captures.map(() => ({}));
  }

  /** What each of the captures writes to. */
  get files(): string[] {
    return this.#captures.map(({ file }) => file);
  }

  /** Runs a command to its end. @returns what was told meanwhile; `code` is the command's own. */
  async run(command: readonly string[], given: CaptureOptions): Promise<CaptureResult> {
    let ended: Pick<CaptureResult, 'code' | 'stdout' | 'stderr'> = { code: null, stdout: '', stderr: '' };
    const told = await this.observe(async () => {
      ended = await runCommand(command, given);
    });
    if (given.seenBy) return { ...this.#toldBy(given.seenBy, told), ...ended };
    const [first, ...others] = told;
    assert.ok(first);
    for (const other of others)
      assert.deepEqual(essences(other.lines), essences(first.lines), 'both back ends tell the same');
    return { ...first, ...ended };
  }

  /** What this one tells; what the others have lost of it is no fault at the end. */
  #toldBy(backend: string, told: readonly CaptureResult[]): CaptureResult {
    const index = this.#backends.indexOf(backend);
    for (const [other, { gaps }] of told.entries())
      if (other !== index) for (const gap of gaps) addLoss(this.#unseen[other] ?? {}, gap);
    return told[index] ?? assert.fail(`${backend} does not watch`);
  }

  /** @returns what each capture has told when all is told that was said meanwhile. */
  async observe(act: () => Promise<unknown>): Promise<CaptureResult[]> {
    const began = this.files.map((file) => statSync(file).size);
    await act();
    const mark = `mark ${++this.#marks}`;
    await runCommand(['sh', '-c', 'printf "%s\\n" "$0" | cat >/dev/null', marking(mark)], {});
    return Promise.all(
      this.files.map(async (file, index) => partOf(await linesUpTo(file, began[index] ?? 0, mark))),
    );
  }

  /** To be asked of each capture when it is over: its summary tells of all. */
  atEnd(check: (capture: CaptureResult) => void): void {
    this.#checks.push(check);
  }

  /**
   * Ends the captures, which have to be as was asked, and to have lost nothing.
   * @param leavesOut The kernel leaves out programs now and then: told, and not told apart from what is lost.
   */
  async stop(leavesOut: boolean): Promise<void> {
    const captures = await Promise.all(this.#captures.map((each) => each.stop()));
    for (const [index, capture] of captures.entries()) {
      assert.equal(capture.summary['unseen'], undefined, 'no stream is lost as a whole');
      const { skipped, ...losses } = capture.summary['losses'];
      if (leavesOut) assert.ok((skipped?.records ?? 0) < 5000, `left out ${skipped?.records} times`);
      const all = leavesOut ? losses : capture.summary['losses'];
      assert.deepEqual(all, this.#unseen[index], capture.stderr);
      assert.equal(capture.code, 0, capture.stderr);
      for (const check of this.#checks) check(capture);
    }
  }
}

function addLoss(losses: Losses, { cause, bytes, frames }: OutputLine): void {
  const sum = losses[cause] ?? { bytes: 0, records: 0, frames: 0 };
  losses[cause] = {
    bytes: sum.bytes + bytes,
    records: sum.records + 1,
    frames: sum.frames + (frames ?? 0),
  };
}

function partOf(lines: readonly OutputLine[]): CaptureResult {
  const nothing = { code: 0, stdout: '', stderr: '', summary: { losses: {} } };
  return { ...nothing, ...byKind(lines), isPart: true };
}

function marking(mark: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id: mark, method: 'tools/list', params: {} });
}

async function runCommand(
  command: readonly string[],
  given: CaptureOptions,
): Promise<Pick<CaptureResult, 'code' | 'stdout' | 'stderr'>> {
  const { child, text } = startCommand(command, given);
  const closed = once(child, 'close');
  const [code] = await once(child, 'exit');
  // Whoever it left behind may hold its output.
  await Promise.race([closed, sleep(1000)]);
  return { code, stdout: text.stdout(), stderr: text.stderr() };
}

/** The lines of `file` from here to where a mark is told. */
async function linesUpTo(file: string, from: number, mark: string): Promise<OutputLine[]> {
  const last = Date.now() + patience(TOLD_MS);
  for (;;) {
    const lines = readFrom(file, from)
      .split('\n')
      .slice(0, -1)
      .map((line): OutputLine => JSON.parse(line));
    const end = lines.findIndex(({ kind, id }) => kind === 'message' && id === mark);
    if (end >= 0) return lines.slice(0, end).map(renumbered);
    assert.ok(Date.now() < last, `${mark} was not told in time`);
    await sleep(100);
  }
}

/** As in a capture of their own. */
function renumbered(line: OutputLine, _: number, lines: readonly OutputLine[]): OutputLine {
  const first = lines.find((each) => 'seq' in each)?.['seq'];
  return 'seq' in line ? { ...line, seq: line['seq'] - first + 1 } : line;
}

function readFrom(file: string, from: number): string {
  const bytes = Buffer.alloc(statSync(file).size - from);
  const descriptor = openSync(file, 'r');
  try {
    const read = readSync(descriptor, bytes, 0, bytes.length, from);
    return bytes.toString('utf8', 0, read);
  } finally {
    closeSync(descriptor);
  }
}
