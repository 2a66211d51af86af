// SPDX-License-Identifier: Apache-2.0
/** Where lines go: a file that only its owner can read, a FIFO, a device, or standard output. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';

/** One line without its line end; when large, as parts that are written one after the other. */
export type Line = string | readonly (string | Buffer)[];

/** Takes lines. Nothing it does throws; after a failure it takes them and forgets them. */
export interface LineSink {
  /** Nothing more is written: closed, failed, or the reader has gone. */
  readonly closed: boolean;
  /** Descriptor of a regular file of its own. */
  readonly file?: number | undefined;
  /** Queues one line; written when about 1 MiB has come together. Blocks while the reader is slower. */
  write(line: Line): void;
  /** Writes what is queued. */
  flush(): void;
  /** Writes what is queued and closes the file (standard output stays open). */
  close(): void;
}

/** Somebody whose rights are to be had. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  /** By which the system knows the groups of which they are a member, if it does. */
  readonly name?: string | undefined;
}

export interface OutputOptions {
  /** Continue an existing file, on a line of its own. */
  readonly append?: boolean | undefined;
  /** Refuse to touch an existing file. */
  readonly noClobber?: boolean | undefined;
  /** For root only: open with the rights of this user, who is to own the file. */
  readonly owner?: User | undefined;
  /** Called once when writing fails, with one sentence for the user. */
  readonly onFailure?: ((sentence: string) => void) | undefined;
  /** Called once when the reader at the other end has gone (EPIPE). */
  readonly onReaderGone?: (() => void) | undefined;
}

/** An output that cannot be used; `message` is one sentence that says which, why, and what to do. */
export class OutputError extends Error {
  override readonly name = 'OutputError';
}

const BUFFER_BYTES = 1 << 20;
/** Wait before trying again a descriptor that would block, milliseconds. */
const RETRY_MS = 1;

/**
 * Opens `path` for lines, `-` being standard output. An existing file is emptied unless `append` or
 * `noClobber` say otherwise; it must be a regular file of the same owner, and becomes mode 0600.
 * A symbolic link is not followed, except those in `/dev` that name an open descriptor.
 *
 * @throws {OutputError} if it cannot be opened or is not something to write lines to
 */
export function openOutput(path: string, options: OutputOptions = {}): LineSink {
  const inherited = inheritedDescriptor(path);
  if (inherited !== undefined) return new FileSink('standard output', inherited, false, options);
  try {
    return asUser(options.owner, () => openFile(path, options));
  } catch (error) {
    if (error instanceof OutputError) throw error;
    throw new OutputError(`Cannot write to ${path}: ${reasonOf(error)}.`);
  }
}

/** Shells hand over `>(command)` as `/dev/fd/N`: already open, with the rights of the user. */
function inheritedDescriptor(path: string): number | undefined {
  if (path === '-' || path === '/dev/stdout') return 1;
  const number = /^\/(?:dev|proc\/self)\/fd\/(\d{1,6})$/.exec(path)?.[1];
  return number === undefined ? undefined : Number(number);
}

function openFile(path: string, options: OutputOptions): LineSink {
  // libuv adds O_CLOEXEC. O_NONBLOCK: a FIFO without a reader is an error, not a wait without end.
  let flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
  flags |= constants.O_NONBLOCK | constants.O_NOCTTY;
  if (options.noClobber) flags |= constants.O_EXCL;
  if (options.append) flags |= constants.O_APPEND;
  const fd = openSync(path, flags, 0o600);
  try {
    const stats = fstatSync(fd);
    if (!stats.isCharacterDevice()) checkOwner(path, stats);
    if (stats.isFile()) prepareFile(fd, options);
    else if (!stats.isFIFO() && !stats.isCharacterDevice())
      throw new OutputError(`Cannot write to ${path}: it is not a regular file; choose another name.`);
    return new FileSink(path, fd, true, options);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** In a folder that others may write to, a file may be a trap, and so may a FIFO. */
function checkOwner(path: string, stats: Stats): void {
  if (stats.uid !== process.geteuid?.())
    throw new OutputError(`Cannot write to ${path}: it belongs to another user; choose another name.`);
}

function prepareFile(fd: number, options: OutputOptions): void {
  fchmodSync(fd, 0o600);
  if (!options.append) ftruncateSync(fd);
}

/** Its types leave this one out (node's process.md). */
interface Initgroups {
  readonly initgroups?: (user: string, extraGroup: number) => void;
}

/** Runs `action` with the effective ids and the groups of `user`, so that root's rights open nothing for them, and theirs do. */
function asUser<Result>(user: User | undefined, action: () => Result): Result {
  const { getegid, setegid, seteuid, getgroups, setgroups, initgroups } = process as typeof process &
    Initgroups;
  if (user === undefined || process.geteuid?.() !== 0) return action();
  if (!getegid || !setegid || !seteuid || !getgroups || !setgroups || !initgroups) return action();
  const gid = getegid();
  const groups = getgroups();
  // The groups first: without root's effective id they could not be changed any more.
  if (user.name === undefined) setgroups([user.gid]);
  else initgroups(user.name, user.gid);
  setegid(user.gid);
  try {
    seteuid(user.uid);
    return action();
  } finally {
    seteuid(0);
    setegid(gid);
    setgroups(groups);
  }
}

class FileSink implements LineSink {
  closed = false;
  readonly #name: string;
  readonly #fd: number;
  readonly #owned: boolean;
  readonly #options: OutputOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #encoder = new TextEncoder();
  readonly #regular: boolean;
  /** Bytes in the buffer. */
  #used = 0;
  /** Where in the buffer the last whole line ends; 0 when none does. */
  #wholeInBuffer = 0;
  /** Size of the file after the last write; 0 at the start of anything but a file. */
  #size: number;
  /** Where in the file the last whole line ends. */
  #wholeInFile: number;

  constructor(name: string, fd: number, owned: boolean, options: OutputOptions) {
    this.#name = name;
    this.#fd = fd;
    this.#owned = owned;
    this.#options = options;
    const stats = statsOf(fd, name);
    this.#regular = stats.isFile();
    this.#size = this.#regular ? stats.size : 0;
    this.#wholeInFile = this.#size;
    if (owned && this.#size > 0 && !endsWithNewline(fd, this.#size)) this.#endLine();
  }

  get file(): number | undefined {
    return this.#owned && this.#regular ? this.#fd : undefined;
  }

  write(line: Line): void {
    if (this.closed) return;
    if (typeof line === 'string') this.#put(line);
    else for (const part of line) this.#put(part);
    this.#endLine();
    this.#wholeInBuffer = this.#used;
  }

  flush(): void {
    let done = 0;
    while (done < this.#used && !this.closed) {
      try {
        done += writeSync(this.#fd, this.#buffer, done, this.#used - done);
      } catch (error) {
        const code = codeOf(error);
        if (code === 'EAGAIN') pause(RETRY_MS);
        else if (code !== 'EINTR') this.#fail(error, done);
      }
    }
    if (this.#wholeInBuffer > 0) this.#wholeInFile = this.#size + this.#wholeInBuffer;
    this.#size += this.#used;
    this.#used = 0;
    this.#wholeInBuffer = 0;
  }

  close(): void {
    if (!this.closed) this.flush();
    this.#end();
  }

  #endLine(): void {
    if (this.#used === BUFFER_BYTES) this.flush();
    this.#buffer[this.#used++] = 0x0a;
  }

  #put(part: string | Buffer): void {
    if (typeof part === 'string') this.#putText(part);
    else this.#putBytes(part);
  }

  #putBytes(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.closed; ) {
      const copied = bytes.copy(this.#buffer, this.#used, at);
      this.#used += copied;
      at += copied;
      if (this.#used === BUFFER_BYTES) this.flush();
    }
  }

  #putText(text: string): void {
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    if (text.length * 3 > BUFFER_BYTES - this.#used) this.#putLarge(text);
    else this.#used += this.#buffer.write(text, this.#used);
  }

  /** In pieces, none of which ends within a surrogate pair. */
  #putLarge(text: string): void {
    for (let rest = text; rest.length > 0 && !this.closed; ) {
      const { read, written } = this.#encoder.encodeInto(rest, this.#buffer.subarray(this.#used));
      this.#used += written;
      rest = rest.slice(read);
      if (rest.length > 0) this.flush();
    }
  }

  /** `done`: bytes of the buffer that were still written. */
  #fail(error: unknown, done: number): void {
    if (this.#regular) this.#cutHalfLine(done);
    this.#end();
    if (codeOf(error) === 'EPIPE') this.#options.onReaderGone?.();
    else
      this.#options.onFailure?.(
        `Writing to ${this.#name} failed: ${reasonOf(error)}; what follows is not in it.`,
      );
  }

  /** Leaves the file as if the line that did not fit had never begun. */
  #cutHalfLine(done: number): void {
    const newline = done === 0 ? -1 : this.#buffer.lastIndexOf(0x0a, done - 1);
    const whole = newline < 0 ? this.#wholeInFile : this.#size + newline + 1;
    try {
      // If the size is not ours, someone else writes to the file too: leave it to them.
      if (fstatSync(this.#fd).size === this.#size + done) ftruncateSync(this.#fd, whole);
    } catch {
      // The failure itself is reported; a half line is the lesser harm.
    }
  }

  #end(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.#owned) return;
    try {
      closeSync(this.#fd);
    } catch (error) {
      // Network file systems report a full disk only here.
      this.#options.onFailure?.(`Closing ${this.#name} failed: ${reasonOf(error)}; its end may be missing.`);
    }
  }
}

function statsOf(fd: number, name: string): Stats {
  try {
    return fstatSync(fd);
  } catch (error) {
    throw new OutputError(`Cannot write to ${name}: ${reasonOf(error)}.`);
  }
}

function endsWithNewline(fd: number, size: number): boolean {
  // The descriptor itself can only write.
  try {
    const reader = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
    try {
      const last = Buffer.alloc(1);
      return readSync(reader, last, 0, 1, size - 1) === 1 && last[0] === 0x0a;
    } finally {
      closeSync(reader);
    }
  } catch {
    // An empty line too many does less harm than two lines in one.
    return false;
  }
}

const waitCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread: what is to be written cannot be put off without keeping it all in memory. */
function pause(ms: number): void {
  Atomics.wait(waitCell, 0, 0, ms);
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; choose a folder that you may write to',
  EPERM: 'permission denied; choose a folder that you may write to',
  EROFS: 'the file system is read-only; choose another folder',
  ENOENT: 'its folder does not exist; create it first',
  ENOTDIR: 'a part of the path is not a folder; check the name',
  EISDIR: 'it is a folder; add a file name',
  EEXIST: 'it exists already; choose another name, or --append',
  ELOOP: 'it is a symbolic link; name the file itself',
  ENXIO: 'nobody reads the FIFO; start its reader first',
  EBADF: 'the descriptor is not open for writing; check how the command was started',
  ENOSPC: 'no space left on the device; free some, or choose another disk',
  EDQUOT: 'the disk quota is used up; free some space, or choose another disk',
  EFBIG: 'the file may not grow any more; raise the limit (ulimit -f), or choose another file system',
  EIO: 'the device reports an input/output error; check the disk',
};

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  const reason = code === undefined ? undefined : REASONS[code];
  return reason ?? (error instanceof Error ? error.message : String(error));
}
