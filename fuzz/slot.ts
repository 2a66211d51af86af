// SPDX-License-Identifier: Apache-2.0
import type { Trial } from './engine.ts';
import type { Call } from './input.ts';

const KINDS: readonly Call['kind'][] = ['push', 'gap', 'end'];
const HEAD = 16;

/** The trial that is being run, in memory that another thread sees: it has to know what never ends. */
export class Slot {
  readonly memory: SharedArrayBuffer;
  readonly #bytes: Buffer;
  readonly #count: Int32Array;

  constructor(memory = new SharedArrayBuffer(1 << 16)) {
    this.memory = memory;
    this.#bytes = Buffer.from(memory);
    this.#count = new Int32Array(memory, 0, 1);
  }

  /** Trials begun. */
  get count(): number {
    return Atomics.load(this.#count, 0);
  }

  set({ input, cuts }: Trial): void {
    const bytes = this.#bytes;
    bytes.writeUInt32LE(input.flags, 4);
    bytes.writeUInt32LE(cuts, 8);
    bytes.writeUInt32LE(input.calls.length, 12);
    let at = HEAD;
    for (const call of input.calls) {
      bytes[at] = KINDS.indexOf(call.kind);
      bytes[at + 1] = call.side;
      bytes.writeUInt16LE(call.bytes.length, at + 2);
      at += 4 + call.bytes.copy(bytes, at + 4);
    }
    Atomics.add(this.#count, 0, 1);
  }

  get(): Trial {
    const bytes = Buffer.from(this.#bytes);
    const calls: Call[] = [];
    let at = HEAD;
    for (let n = bytes.readUInt32LE(12); n > 0; n--) {
      const length = bytes.readUInt16LE(at + 2);
      calls.push({
        kind: KINDS[bytes[at] ?? 0] ?? 'push',
        side: bytes[at + 1] === 1 ? 1 : 0,
        bytes: bytes.subarray(at + 4, at + 4 + length),
      });
      at += 4 + length;
    }
    return { input: { flags: bytes.readUInt32LE(4), calls }, cuts: bytes.readUInt32LE(8) };
  }
}
