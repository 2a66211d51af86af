// SPDX-License-Identifier: Apache-2.0
/**
 * Descriptors are given out again: whose number one is by now tells who has closed his. That is how the end of a pipe
 * or socket shows that was closed by one process and left by the other without a last read, which would have told.
 */
import type { End, Stream } from './stream.ts';

type Which = 'writer' | 'reader';

const ENDS: readonly Which[] = ['writer', 'reader'];

/** Who uses which descriptor by now. A socket's is two ends: it is written and read. */
export class Descriptors {
  /** By process and descriptor: when its youngest user was first seen, CLOCK_MONOTONIC in nanoseconds. */
  readonly #youngest: Readonly<Record<Which, Map<number, Map<number, number>>>> = {
    writer: new Map(),
    reader: new Map(),
  };

  constructor(...all: readonly Iterable<Stream>[]) {
    for (const streams of all)
      for (const stream of streams) for (const which of ENDS) this.#note(which, usable(stream, which));
  }

  #note(which: Which, end: Used | undefined): void {
    if (!end) return;
    let ofProcess = this.#youngest[which].get(end.pid);
    if (!ofProcess) {
      ofProcess = new Map();
      this.#youngest[which].set(end.pid, ofProcess);
    }
    if (end.since > (ofProcess.get(end.fd) ?? Number.NEGATIVE_INFINITY)) ofProcess.set(end.fd, end.since);
  }

  /** Has the process at this end closed the descriptor by which it was seen? A copy of it may still be open. */
  closed(stream: Stream, which: Which): boolean {
    // Of TCP the kernel tells.
    if (stream.carrier === 'tcp') return false;
    const end = usable(stream, which);
    return end !== undefined && (this.#youngest[which].get(end.pid)?.get(end.fd) ?? 0) > end.since;
  }
}

type Used = End & { readonly pid: number; readonly fd: number };

/** Inside TLS it is a library's object and no descriptor; and what /proc has shown has no time. */
function usable(stream: Stream, which: Which): Used | undefined {
  const end = stream[which];
  const known = stream.carrier !== 'tls' && end.pid !== undefined && end.fd !== undefined && end.fd >= 0;
  return known && !end.presumed ? (end as Used) : undefined;
}
