// SPDX-License-Identifier: Apache-2.0
/**
 * Decompression that is incremental and synchronous: what a piece of input tells is there when the call returns.
 *
 * node:zlib documents no such thing. Its streams work in another thread and answer later, when the bytes of the
 * ring are gone and the frames behind them would have overtaken them; its `…Sync` functions take a whole body,
 * and would have to begin again with every piece, which is quadratic; and `_processChunk`, the synchronous call
 * of old libraries, closes the engine after the first piece. All of them end at `writeSync` of the engine's
 * handle. It is called here, and nowhere else. It is not documented, but mcpspy brings the Node it runs on, and
 * the test beside this file fails where it is different.
 */
import zlib from 'node:zlib';

/** What an engine can undo. `deflate` is RFC 1950 and `deflate-raw` RFC 1951. */
export type Compression = 'gzip' | 'deflate' | 'deflate-raw' | 'br' | 'zstd';

/** Bytes handed out at once. */
const PIECE = 65536;

/** RFC 9659: a window for `zstd` in HTTP has at most 8 MiB. */
const ZSTD_WINDOW_LOG = 23;

const EMPTY = Buffer.alloc(0);

/** The parts of a node:zlib stream that do the work. */
interface Engine extends zlib.InflateRaw {
  readonly _handle: {
    /** Writes into `_writeState` how much room and how much input is left. */
    writeSync(
      flush: number,
      input: Buffer,
      inputFrom: number,
      inputLength: number,
      output: Buffer,
      outputFrom: number,
      outputLength: number,
    ): void;
  } | null;
  readonly _writeState: Uint32Array;
}

interface Method {
  readonly create: (windowBits: number) => unknown;
  /** How to write a piece, and how to ask whether the end has been reached. */
  readonly flush: number;
  readonly finish: number;
}

const { constants } = zlib;

// The engine's own output buffer is not used: the smallest.
const chunkSize = 64;

// Z_BLOCK stops at the end of every block, so that what came before a broken one is not lost with it.
const inflate = { flush: constants.Z_BLOCK, finish: constants.Z_FINISH };

const METHODS: Readonly<Record<Compression, Method>> = {
  gzip: { create: () => zlib.createGunzip({ chunkSize }), ...inflate },
  deflate: { create: () => zlib.createInflate({ chunkSize }), ...inflate },
  'deflate-raw': { create: (windowBits) => zlib.createInflateRaw({ chunkSize, windowBits }), ...inflate },
  br: {
    create: () => zlib.createBrotliDecompress({ chunkSize }),
    flush: constants.BROTLI_OPERATION_FLUSH,
    finish: constants.BROTLI_OPERATION_FINISH,
  },
  zstd: {
    create: () =>
      zlib.createZstdDecompress({
        chunkSize,
        params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
      }),
    flush: constants.ZSTD_e_flush,
    finish: constants.ZSTD_e_end,
  },
};

/** Output buffers that nobody uses now: as many as decompressors have ever been nested. */
const spares: Buffer[] = [];

function ignore(): void {}

/** Undoes one compression. Holds native memory until it is closed, or has found an error. */
export class Decompressor {
  readonly #method: Method;
  readonly #windowBits: number;
  #engine: Engine | undefined;
  #state: 'open' | 'broken' | 'closed' = 'open';
  #unread = 0;

  /** @param windowBits Base 2 logarithm of the window, 8 to 15; used for `deflate-raw` only. */
  constructor(compression: Compression, windowBits = 15) {
    this.#method = METHODS[compression];
    this.#windowBits = windowBits;
  }

  /**
   * Takes the next bytes and hands out what they tell. Several members of gzip and several frames of zstd are one
   * text. What follows the end of the others is ignored.
   * @param bytes Read during the call only.
   * @param take Called with pieces of at most 64 KiB, valid during its call only. When it returns false, the rest
   *   is dropped and the decompressor closed. Must not throw, must not call this decompressor.
   * @returns Whether it can go on. After an error what stood before the broken block, or of `br` and `zstd`
   *   before the last 64 KiB of output, has been handed out.
   */
  write(bytes: Buffer, take: (bytes: Buffer) => boolean): boolean {
    if (this.#state !== 'open') return false;
    if (bytes.length === 0) return true;
    const engine = this.#open();
    const output = spares.pop() ?? Buffer.allocUnsafeSlow(PIECE);
    let left = bytes.length;
    while (this.#state === 'open') {
      engine._handle?.writeSync(this.#method.flush, bytes, bytes.length - left, left, output, 0, PIECE);
      if (this.#failed(engine)) break;
      const [room = PIECE, after = 0] = engine._writeState;
      const consumed = left - after;
      left = after;
      if (room < PIECE && !take(output.subarray(0, PIECE - room))) this.close();
      // With room left, all has been told that the input consumed can tell.
      if (room > 0 && (left === 0 || (consumed === 0 && room === PIECE))) break;
    }
    spares.push(output);
    this.#unread = left;
    return this.#state === 'open';
  }

  /** Bytes of the last piece written that lie behind the end of what was compressed. */
  get unread(): number {
    return this.#unread;
  }

  /** Has the input, which must not be empty, reached its end? To be asked last: what is written after it is broken. */
  ended(): boolean {
    if (this.#state !== 'open' || !this.#engine) return false;
    const output = Buffer.allocUnsafe(1);
    this.#engine._handle?.writeSync(this.#method.finish, EMPTY, 0, 0, output, 0, 1);
    return !this.#failed(this.#engine);
  }

  /** Begins anew, with an empty window. Of inflation only: an engine used again costs less than a new one. */
  reset(): void {
    if (this.#state === 'open') this.#engine?.reset();
    else this.close();
    this.#state = 'open';
  }

  /** Releases the native memory. */
  close(): void {
    this.#engine?.close();
    this.#engine = undefined;
    this.#state = 'closed';
  }

  #open(): Engine {
    if (this.#engine) return this.#engine;
    const engine = this.#method.create(this.#windowBits) as Engine;
    // An error is also told by an event, later; unheard, it would end the process.
    engine.on('error', ignore);
    this.#engine = engine;
    return engine;
  }

  #failed(engine: Engine): boolean {
    if (!engine.errored && engine._handle) return false;
    this.close();
    this.#state = 'broken';
    return true;
  }
}
