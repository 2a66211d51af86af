// SPDX-License-Identifier: Apache-2.0
/** What one system call costs in scope and out of scope. */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.ts';
import { background, sleep } from './measure.ts';
import { MCPSPY } from './monitors.ts';
import { factor, spread, type Table } from './table.ts';

const KINDS = {
  getppid: 'getppid',
  lseek: 'lseek',
  zero: 'read(/dev/zero)',
  write: 'write(/dev/null)',
  pipe: 'pipe write + read, 300 B',
} as const;

/** What a capture's start leaves to be done is none of its cost; in an emulated VM it takes seconds. */
const SETTLED_MS = 5000;

const UNWATCHED = 'no monitor';
/** The control: what differs from the one above is noise. */
const UNWATCHED_AGAIN = 'no monitor, again';

/** Nanoseconds a call: by what watches, some measurements each round, by kind of call. */
export type CallCosts = Record<string, Record<string, number>[]>;

export interface CallMeasurement {
  readonly costs: CallCosts;
  /** Milliseconds to the line "watching …", by what is watched. */
  readonly starts: Record<string, number[]>;
}

export interface CallOptions {
  readonly rounds: number;
  /** Measurements in a round of each. */
  readonly times: number;
  /** `undefined`: the one that mcpspy chooses. */
  readonly backends: readonly (string | undefined)[];
  /** Is the whole machine the test's own, so that starting to watch it may be measured, too? */
  readonly ownMachine: boolean;
}

/** In turn, for each back end: nothing, a capture whose scope it is not in, one whose scope it is in, and nothing. */
export async function measureCalls(peers: string, options: CallOptions): Promise<CallMeasurement> {
  const { rounds, times, backends, ownMachine } = options;
  const loop = [join(peers, 'calls'), String(times)];
  const sleeper = spawn('sleep', ['10000']);
  const costs: CallCosts = {};
  const starts: Record<string, number[]> = {};
  const note = async (name: string, command: readonly string[]) => {
    costs[name] = [...(costs[name] ?? []), ...(await results(command))];
  };
  const noteStart = (name: string, ms: number) => {
    starts[name] = [...(starts[name] ?? []), ms];
  };
  // The first is slower where a processor is emulated: its code is translated.
  await results(loop);
  for (let round = 0; round < rounds; round++)
    for (const backend of backends) {
      const [options, name] = backend ? [['--backend', backend], `${backend}, `] : [[], ''];
      await note(UNWATCHED, loop);
      const watching = await background([MCPSPY, ...options, '--pid', String(sleeper.pid)], /watching/);
      noteStart(`${name}one process`, watching.ms);
      await sleep(SETTLED_MS);
      await note(`${name}out of scope`, loop);
      await watching.stop();
      await note(`${name}in scope`, [MCPSPY, 'run', ...options, '-q', '--ring-size', '256M', '--', ...loop]);
      if (ownMachine) {
        const all = await background([MCPSPY, ...options], /watching/);
        noteStart(`${name}whole machine`, all.ms);
        await all.stop();
      }
      await note(UNWATCHED_AGAIN, loop);
    }
  sleeper.kill();
  return { costs, starts };
}

async function results([file = '', ...args]: readonly string[]): Promise<Record<string, number>[]> {
  const { stdout } = await promisify(execFile)(file, args);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

/** @param where Before the name of the call. */
export function addCalls(table: Table, costs: CallCosts, where = ''): void {
  const of = (name: string, kind: string) => (costs[name] ?? []).map((result) => result[kind] ?? 0);
  // The two without a monitor beside each other.
  const names = [...new Set([UNWATCHED, UNWATCHED_AGAIN, ...Object.keys(costs)])];
  for (const [kind, label] of Object.entries(KINDS))
    for (const name of names)
      table.row(
        `${where}${label}`,
        name,
        spread(of(name, kind), 'ns'),
        factor(of(name, kind), of(UNWATCHED, kind)),
      );
}

export async function calls({ rounds, peers, table }: Bench): Promise<void> {
  const options = { rounds, times: 1, backends: [undefined], ownMachine: false };
  addCalls(table, (await measureCalls(peers, options)).costs);
}
