// SPDX-License-Identifier: Apache-2.0
/**
 * The files that the monitor writes lines to. A process that is killed in the middle of write(2) leaves a part of a
 * line behind; then whoever outlives it, the sensor, takes that part away.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, readSync } from 'node:fs';

const NEWLINE = 0x0a;
const CHUNK = 65536;

/** The access mode in the flags of open(2). */
const ACCESS_MODE = 3;

export class HalfLines {
  #files: number[] = [];

  /**
   * Takes hold of files by descriptors of a process that writes to them, and lets go of those of before. Those that it
   * may not write to, and those that are no regular files, are passed over: nothing can be changed that it could not have
   * changed itself.
   */
  hold(pid: number, descriptors: readonly number[]): void {
    for (const file of this.#files) closeSync(file);
    this.#files = descriptors.flatMap((fd) => this.#open(pid, fd) ?? []);
  }

  #open(pid: number, fd: number): number | undefined {
    try {
      const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1];
      if (flags === undefined || (Number.parseInt(flags, 8) & ACCESS_MODE) === constants.O_RDONLY)
        return undefined;
      const file = openSync(`/proc/${pid}/fd/${fd}`, constants.O_RDWR | constants.O_NONBLOCK);
      if (fstatSync(file).isFile()) return file;
      closeSync(file);
    } catch {
      // It has closed it meanwhile, or the file system is one that we may not read: then there is nothing to mend.
    }
    return undefined;
  }

  /** Takes the part of a line off the end of each file. Reads backwards, and keeps nothing. */
  cut(): void {
    for (const file of this.#files.splice(0)) {
      try {
        const { size } = fstatSync(file);
        const end = endOfLastLine(file, size);
        if (end < size) ftruncateSync(file, end);
      } catch {
        // A half line is the lesser harm.
      }
      closeSync(file);
    }
  }
}

/** Place of the byte behind the last newline; 0 when there is none. */
function endOfLastLine(file: number, size: number): number {
  const chunk = Buffer.alloc(CHUNK);
  for (let end = size; end > 0; end -= CHUNK) {
    const start = Math.max(0, end - CHUNK);
    const length = readSync(file, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (newline >= 0) return start + newline + 1;
  }
  return 0;
}
