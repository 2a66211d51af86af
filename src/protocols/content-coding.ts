// SPDX-License-Identifier: Apache-2.0
/** Content codings of HTTP (RFC 9110, section 8.4.1; RFC 7932 for `br`, RFC 8878 for `zstd`), undone as bytes come. */
import { type Compression, Decompressor } from './decompressor.ts';

/** Why a body cannot be decoded, or not further. */
export type CodingProblem =
  /** A coding that is not known, or more than five at once. */
  | 'unknown'
  /** The bytes are not what the coding says, or end too early. */
  | 'broken'
  /** More than the limits allow: a decompression bomb. */
  | 'too-large'
  /** Bytes are missing, and what follows depends on them. */
  | 'gap';

export interface CodingLimits {
  /** Decoded bytes of one body; `Infinity` for none. */
  readonly maxBytes: number;
  /** Decoded bytes for each byte sent. `Infinity` for none. */
  readonly maxRatio: number;
  /** Up to so many decoded bytes any ratio is allowed: a small body may well be all white space. */
  readonly ratioFloor: number;
}

/** Takes decoded bytes, valid during the call only. Must not throw and must not call the decoder. */
export type EmitDecoded = (bytes: Buffer) => void;

/** Codings stacked on one body. Nobody needs more than one; each costs memory. */
const CODINGS_MAX = 5;

const DEFLATE = 'deflate';

const COMPRESSIONS: Readonly<Record<string, Compression>> = {
  gzip: 'gzip',
  'x-gzip': 'gzip',
  deflate: DEFLATE,
  br: 'br',
  zstd: 'zstd',
};

/** One coding of the stack: what comes out of it goes into the next. */
class Layer {
  readonly #compression: Compression;
  readonly #next: (bytes: Buffer) => boolean;
  #decompressor: Decompressor | undefined;

  constructor(compression: Compression, next: (bytes: Buffer) => boolean) {
    this.#compression = compression;
    this.#next = next;
  }

  write(bytes: Buffer): boolean {
    this.#decompressor ??= new Decompressor(this.#formatOf(bytes));
    return this.#decompressor.write(bytes, this.#next);
  }

  /** Is it whole, as far as it has begun? */
  ended(): boolean {
    return this.#decompressor?.ended() ?? true;
  }

  close(): void {
    this.#decompressor?.close();
  }

  /**
   * Many servers send `deflate` without the zlib format around it. The first byte tells: in the zlib format its
   * lower half is 8 (RFC 1950, section 2.2), which in raw deflate is a stored block with padding that is not 0.
   */
  #formatOf(bytes: Buffer): Compression {
    return this.#compression === DEFLATE && ((bytes[0] ?? 0) & 0x0f) !== 8
      ? 'deflate-raw'
      : this.#compression;
  }
}

/** Undoes the codings of one body. */
export class ContentDecoder {
  readonly #limits: CodingLimits;
  /** In the order in which they are undone: the last one applied first. Empty for `identity`. */
  readonly #layers: Layer[] = [];
  #problem: CodingProblem | undefined;
  #received = 0;
  #decoded = 0;
  #emit: EmitDecoded = () => {};

  /** @param codings What was applied, in this order; `undefined` if that is not known. */
  constructor(codings: readonly Compression[] | undefined, limits: CodingLimits) {
    this.#limits = limits;
    if (!codings) this.#problem = 'unknown';
    let next = (bytes: Buffer): boolean => {
      this.#decoded += bytes.length;
      this.#emit(bytes);
      return true;
    };
    for (const coding of codings ?? []) {
      const layer = new Layer(coding, this.#limited(next));
      next = (bytes) => layer.write(bytes);
      this.#layers.unshift(layer);
    }
  }

  /** Set when decoding is over before its time. From then on nothing is emitted. */
  get problem(): CodingProblem | undefined {
    return this.#problem;
  }

  /** Is the body sent as it is, so that a piece received is the piece emitted? */
  get identity(): boolean {
    return this.#problem === undefined && this.#layers.length === 0;
  }

  /** Bytes emitted. */
  get decoded(): number {
    return this.#decoded;
  }

  /** Takes the next bytes and emits everything that is known with them. */
  push(bytes: Buffer, emit: EmitDecoded): void {
    if (this.#problem || bytes.length === 0) return;
    this.#received += bytes.length;
    const [first] = this.#layers;
    if (!first) {
      this.#decoded += bytes.length;
      emit(bytes);
      return;
    }
    this.#emit = emit;
    if (!first.write(bytes)) this.#stop('broken');
  }

  /** Bytes are missing. What is compressed ends here; `identity` goes on. */
  lost(): void {
    if (this.#layers.length > 0) this.#stop('gap');
  }

  /**
   * The body is complete. Sets `problem` if it is cut short. Releases the memory.
   * A body without a byte is whole in every coding, as that of a response to HEAD is.
   */
  end(): void {
    if (!this.#problem && !this.#layers.every((layer) => layer.ended())) this.#problem = 'broken';
    this.close();
  }

  /** Releases the memory; nothing must come after it. To be called unless `end` is. */
  close(): void {
    for (const layer of this.#layers) layer.close();
  }

  #stop(problem: CodingProblem): void {
    this.#problem ??= problem;
    this.close();
  }

  /** Counts what comes out of one layer, and stops where it is too much. */
  #limited(next: (bytes: Buffer) => boolean): (bytes: Buffer) => boolean {
    const { maxBytes, maxRatio, ratioFloor } = this.#limits;
    let total = 0;
    return (bytes) => {
      const ratio = Math.max(ratioFloor, this.#received * maxRatio);
      const allowed = Math.min(maxBytes, ratio) - total;
      total += bytes.length;
      if (bytes.length <= allowed) return next(bytes);
      this.#problem ??= 'too-large';
      if (allowed > 0) next(bytes.subarray(0, allowed));
      return false;
    };
  }
}

/**
 * The coding of a body whose head does not tell it, as far as that can be seen: gzip and zstd begin as no text does
 * (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1).
 * @param bytes Its first ones, or some from within.
 */
export function codingSeen(bytes: Buffer): 'gzip' | 'zstd' | undefined {
  if (bytes.length < 4) return undefined;
  if (bytes.readUIntBE(0, 3) === 0x1f8b08) return 'gzip';
  return bytes.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : undefined;
}

/**
 * @param codings The value of `Content-Encoding`; `undefined` if there is none.
 * @param limits Of what each of the codings may make of the body. Reached, `problem` is `too-large`.
 */
export function contentDecoder(codings: string | undefined, limits: CodingLimits): ContentDecoder {
  const names = (codings ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity');
  const compressions: Compression[] = [];
  for (const name of names.slice(0, CODINGS_MAX + 1)) {
    const compression = Object.hasOwn(COMPRESSIONS, name) ? COMPRESSIONS[name] : undefined;
    if (compression) compressions.push(compression);
  }
  const known = names.length <= CODINGS_MAX && compressions.length === names.length;
  return new ContentDecoder(known ? compressions : undefined, limits);
}
