// SPDX-License-Identifier: Apache-2.0
/** What a capture holds, and whether that stays what it was. */
import { readdirSync } from 'node:fs';
import { mapsOf } from './maps.ts';
import { type Loss, median, memory } from './measure.ts';

/** The maps that follow processes, streams, and connections inside TLS and from out of scope. */
export const FOLLOWING = ['scope', 'streams', 'tls_objects', 'strangers'] as const;

/** From a third of the run on, resident, of either process. What is lazily collected comes and goes by less. */
const GROWTH_MAX_MIB = 16;
/** More or fewer of both together: those of the processes of the moment may be open. */
const DESCRIPTORS_MAX = 24;
/** A figure is the median of so many samples, since garbage lets each swing. */
const TOGETHER = 5;

export interface Sample {
  /** Since the beginning of the churn. */
  readonly minute: number;
  /** Resident, of monitor and sensor. */
  readonly mebibytes: readonly number[];
  readonly descriptors: readonly number[];
  /** By name of the map. */
  readonly entries: Readonly<Record<string, number>>;
  /** Who is in scope, or never to be. */
  readonly scope: readonly number[];
  /** Of the kernel's memory, for all maps together. */
  readonly mapBytes: number;
}

/** @param both Monitor and sensor. */
export function hold(minute: number, both: readonly number[]): Sample {
  const maps = mapsOf(both[1] ?? 0);
  return {
    minute,
    mebibytes: both.map((pid) => memory(pid, 'Rss') / 1024),
    descriptors: both.map((pid) => readdirSync(`/proc/${pid}/fd`).length),
    entries: Object.fromEntries(FOLLOWING.map((name) => [name, maps.get(name)?.count ?? 0])),
    scope: pidsIn(maps.get('scope')?.keys ?? Buffer.alloc(0)),
    mapBytes: [...maps.values()].reduce((sum, map) => sum + map.memory, 0),
  };
}

export interface Outcome {
  /** The first from before the churn, the last from behind it; at rest. */
  readonly samples: readonly Sample[];
  readonly sent: number;
  /** Captured, of what was sent. */
  readonly messages: number;
  readonly losses: Readonly<Record<string, Loss>>;
  /** Of the capture. */
  readonly exitCode: number | null;
}

/** A sentence for each promise that was not kept. */
export function broken({ samples, sent, messages, losses, exitCode }: Outcome): string[] {
  const faults: string[] = [];
  const lost = Object.values(losses).reduce((sum, { frames }) => sum + frames, 0);
  if (exitCode !== 0) faults.push(`the capture ended with ${exitCode}.`);
  if (messages + lost !== sent)
    faults.push(`${sent} messages were sent, but ${messages} captured and ${lost} told as lost.`);
  for (const [cause, { bytes, records, frames }] of Object.entries(losses))
    faults.push(`${frames} messages, ${bytes} bytes, were lost in ${records} places: ${cause}.`);
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || samples.length < 3) return [...faults, 'there are too few samples.'];
  for (const [index, name] of ['monitor', 'sensor'].entries()) {
    const { from, to } = ends(samples, (sample) => sample.mebibytes[index] ?? Number.NaN);
    if (!(to - from <= GROWTH_MAX_MIB))
      faults.push(
        `the ${name} grew from ${from.toFixed(1)} to ${to.toFixed(1)} MiB behind the first third, by more than ${GROWTH_MAX_MIB}.`,
      );
  }
  const held = ends(samples, ({ descriptors }) => descriptors.reduce((sum, each) => sum + each, 0));
  if (!(Math.abs(held.to - held.from) <= DESCRIPTORS_MAX))
    faults.push(`${held.from} descriptors became ${held.to}, more than ${DESCRIPTORS_MAX} apart.`);
  if (first.mapBytes !== last.mapBytes)
    faults.push(
      `the kernel's maps took ${first.mapBytes} bytes at the beginning and ${last.mapBytes} at the end.`,
    );
  const [before, after] = [first, last].map(({ scope }) => scope.join(', ') || 'none');
  if (!first.scope.length || before !== after)
    faults.push(`in scope were ${before} at the beginning and ${after} at the end.`);
  return faults;
}

/** Medians from a third of the samples on, and at the end. */
function ends(samples: readonly Sample[], value: (sample: Sample) => number): { from: number; to: number } {
  const values = samples.map(value);
  const third = Math.floor(values.length / 3);
  return { from: median(values.slice(third, third + TOGETHER)), to: median(values.slice(-TOGETHER)) };
}

function pidsIn(keys: Buffer): number[] {
  return Array.from({ length: keys.length / 4 }, (_, at) => keys.readUInt32LE(4 * at)).sort((a, b) => a - b);
}
