// SPDX-License-Identifier: Apache-2.0
/** Ctrl+C stops, drains and flushes; a second one ends at once. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

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

const sigaction = koffi
  .load('libc.so.6')
  .func('int sigaction(int signal, const void *action, _Out_ void *before)');

/** `struct sigaction` of glibc, with 64 bits: handler, 128 bytes of mask, flags, restorer. */
const ACTION = { size: 152, flags: 136 };
/** sigaction(2): the handler is called once, then the signal has its own meaning again. */
const SA_RESETHAND = 0x80000000;

/** Lets a signal be handled once only. @returns a function that lets it be handled each time, as before. */
function handleOnce(signal: StopSignal): () => void {
  const number = constants.signals[signal];
  const each = Buffer.alloc(ACTION.size);
  if (sigaction(number, null, each) !== 0) return () => {};
  const once = Buffer.from(each);
  once.writeUInt32LE((each.readUInt32LE(ACTION.flags) | SA_RESETHAND) >>> 0, ACTION.flags);
  sigaction(number, once, null);
  return () => sigaction(number, each, null);
}

/**
 * Calls `stop` at the first signal; the second one ends this process at once, also while it waits for whoever reads its
 * output and can call nothing.
 * @returns a function that restores the signals' own meaning.
 */
export function onStopSignal(stop: (signal: StopSignal) => void): () => void {
  let asked = false;
  let handleAll: (() => void)[] = [];
  const handle = (signal: NodeJS.Signals) => {
    // We are awake: from here on we end in good order ourselves.
    for (const again of handleAll.splice(0)) again();
    if (asked) process.exit(statusOf(signal));
    asked = true;
    stop(signal as StopSignal);
  };
  for (const signal of SIGNALS) process.on(signal, handle);
  handleAll = SIGNALS.map(handleOnce);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handle);
  };
}
