// SPDX-License-Identifier: Apache-2.0
/** What a fuzz target is fed: calls, as a decoder would get them, and how to write them down. */

/** One call on a decoder. */
export interface Call {
  /** Bytes come; bytes are lost; no more will come. */
  readonly kind: 'push' | 'gap' | 'end';
  readonly side: 0 | 1;
  /** Of a gap only their number counts. */
  readonly bytes: Buffer;
}

export interface Input {
  /** Choices of the target, a bit each or a number. */
  readonly flags: number;
  readonly calls: readonly Call[];
}

/** All bytes of the calls. */
export function sizeOf(input: Input): number {
  return input.calls.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** One push: the whole input of a target that reads no stream. */
export function whole(bytes: Buffer | string, flags = 0): Input {
  return { flags, calls: [{ kind: 'push', side: 0, bytes: Buffer.from(bytes as string, 'latin1') }] };
}

/** Calls that follow each other, from texts as latin1; a number is a gap of so many bytes. */
export function calls(flags: number, ...all: readonly (readonly [0 | 1, string | Buffer | number])[]): Input {
  return {
    flags,
    calls: all.map(([side, what]) =>
      typeof what === 'number'
        ? { kind: 'gap', side, bytes: Buffer.alloc(what) }
        : { kind: 'push', side, bytes: Buffer.from(what as string, 'latin1') },
    ),
  };
}

/** The bytes of a target that reads no stream. */
export function bytesOf(input: Input): Buffer {
  return Buffer.concat(input.calls.filter(({ kind }) => kind === 'push').map(({ bytes }) => bytes));
}

interface Written {
  readonly target: string;
  /** Why it was kept. */
  readonly found: string;
  /** How the calls were cut; see `cutter`. */
  readonly cuts: number;
  readonly flags: number;
  /** Bytes in base64. */
  readonly calls: readonly (readonly [Call['kind'], 0 | 1, string])[];
}

/** A regression case, as it is kept in a file. */
export interface Case {
  readonly target: string;
  readonly found: string;
  readonly cuts: number;
  readonly input: Input;
}

export function writeCase({ target, found, cuts, input }: Case): string {
  const written: Written = {
    target,
    found,
    cuts,
    flags: input.flags,
    calls: input.calls.map(({ kind, side, bytes }) => [
      kind,
      side,
      kind === 'gap' ? `${bytes.length}` : bytes.toString('base64'),
    ]),
  };
  return `${JSON.stringify(written, undefined, 2)}\n`;
}

export function readCase(text: string): Case {
  const { target, found, cuts, flags, calls } = JSON.parse(text) as Written;
  const input: Input = {
    flags,
    calls: calls.map(([kind, side, data]) => ({
      kind,
      side,
      bytes: kind === 'gap' ? Buffer.alloc(Number(data)) : Buffer.from(data, 'base64'),
    })),
  };
  return { target, found, cuts, input };
}
