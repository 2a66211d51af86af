// SPDX-License-Identifier: Apache-2.0
/** Ctrl+C stops, drains and flushes; a second one ends at once. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignal = (typeof SIGNALS)[number];

/** What a shell says of a process that this signal ended. */
export function statusOf(signal: string): number {
  return 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

/** Are we in the foreground of a terminal? Its Ctrl+C then reaches everybody who is, the watched command too. */
export function inForeground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // After the name in parentheses: state, parent, process group, session, terminal, its foreground group.
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return group === foreground;
}

/** @returns a function that restores the signals' own meaning. */
export function onStopSignal(stop: (signal: StopSignal) => void): () => void {
  let asked = false;
  const handle = (signal: NodeJS.Signals) => {
    if (asked) process.exit(statusOf(signal));
    asked = true;
    stop(signal as StopSignal);
  };
  for (const signal of SIGNALS) process.on(signal, handle);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handle);
  };
}
