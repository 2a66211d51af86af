// SPDX-License-Identifier: Apache-2.0
/** New inputs from old ones. */
import type { Call, Input } from './input.ts';
import type { Random } from './random.ts';

const CALLS_MAX = 40;
/** Numbers at which decoders change their mind. */
const NUMBERS = [
  0, 1, 2, 7, 8, 9, 63, 64, 125, 126, 127, 128, 255, 256, 4095, 4096, 16383, 16384, 65535, 65536,
];
const NUMBERS_LARGE = [2 ** 20, 2 ** 24 - 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/**
 * @param others What to splice in from.
 * @param maxSize Bytes of the largest input made.
 */
export function mutate(
  input: Input,
  random: Random,
  tokens: readonly (string | Buffer)[],
  others: readonly Input[],
  maxSize: number,
): Input {
  let made = input;
  const times = 1 << random.below(4);
  for (let n = 0; n < times; n++) made = mutateOnce(made, random, tokens, others);
  return bounded(made, maxSize);
}

function bounded(input: Input, maxSize: number): Input {
  let left = maxSize;
  const calls: Call[] = [];
  for (const call of input.calls.slice(0, CALLS_MAX)) {
    calls.push(call.bytes.length > left ? { ...call, bytes: call.bytes.subarray(0, left) } : call);
    left = Math.max(0, left - call.bytes.length);
  }
  return { ...input, calls };
}

function mutateOnce(
  input: Input,
  random: Random,
  tokens: readonly (string | Buffer)[],
  others: readonly Input[],
): Input {
  if (random.once(40)) return { ...input, flags: input.flags ^ (1 << random.below(8)) };
  if (random.once(40)) return { ...input, flags: random.below(1 << 16) };
  if (random.once(4)) return { ...input, calls: mutateCalls([...input.calls], random, others) };
  const index = random.below(Math.max(1, input.calls.length));
  const call = input.calls[index] ?? { kind: 'push', side: 0, bytes: Buffer.alloc(0) };
  const other = random.pick(others.length ? others : [input]);
  const donor = other.calls.length ? random.pick(other.calls).bytes : Buffer.alloc(0);
  const calls = [...input.calls];
  calls[index] = { ...call, bytes: mutateBytes(call.bytes, random, tokens, donor) };
  return { ...input, calls };
}

function mutateCalls(calls: Call[], random: Random, others: readonly Input[]): Call[] {
  const at = random.below(calls.length + 1);
  const call = calls[at];
  const side = random.below(2) as 0 | 1;
  switch (random.below(9)) {
    case 0:
      calls.splice(at, 0, {
        kind: 'gap',
        side: call?.side ?? side,
        bytes: Buffer.alloc(1 + random.below(random.pick([2, 20, 300]))),
      });
      break;
    case 1:
      if (random.once(4)) calls.splice(at, 0, { kind: 'end', side, bytes: Buffer.alloc(random.below(2)) });
      break;
    case 2:
      calls.splice(at, 1);
      break;
    case 3:
      if (call) calls.splice(random.below(calls.length + 1), 0, call);
      break;
    case 4:
      if (call) calls.splice(at, 1, { ...call, side });
      break;
    case 5: {
      // In two.
      const middle = random.below((call?.bytes.length ?? 0) + 1);
      if (call?.kind === 'push')
        calls.splice(
          at,
          1,
          { ...call, bytes: call.bytes.subarray(0, middle) },
          { ...call, bytes: call.bytes.subarray(middle) },
        );
      break;
    }
    case 6: {
      // With the next.
      const next = calls[at + 1];
      if (call?.kind === 'push' && next?.kind === 'push')
        calls.splice(at, 2, { ...call, bytes: Buffer.concat([call.bytes, next.bytes]) });
      break;
    }
    case 7: {
      // A part of it is lost.
      const { length } = call?.bytes ?? [];
      const middle = random.below(length + 1);
      const end = middle + random.below(length - middle + 1);
      if (call?.kind === 'push')
        calls.splice(
          at,
          1,
          { ...call, bytes: call.bytes.subarray(0, middle) },
          { ...call, kind: 'gap', bytes: call.bytes.subarray(middle, end) },
          { ...call, bytes: call.bytes.subarray(end) },
        );
      break;
    }
    default: {
      const other = others.length ? random.pick(others).calls : [];
      const from = random.below(other.length + 1);
      calls.splice(at, 0, ...other.slice(from, from + 1 + random.below(4)));
    }
  }
  return calls;
}

function mutateBytes(
  bytes: Buffer,
  random: Random,
  tokens: readonly (string | Buffer)[],
  donor: Buffer,
): Buffer {
  const { length } = bytes;
  const at = random.below(length + 1);
  const replaced = (from: number, to: number, by: Buffer) =>
    Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(Math.max(from, to))]);
  switch (random.below(11)) {
    case 0: {
      const copy = Buffer.from(bytes);
      if (length) copy[at % length] = (copy[at % length] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
    case 1: {
      const copy = Buffer.from(bytes);
      if (length)
        copy[at % length] = random.pick([
          random.below(256),
          random.pick([0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x20]),
        ]);
      return copy;
    }
    case 2:
      return replaced(at, at, random.bytes(1 + random.below(8)));
    case 3:
      return replaced(at, at + 1 + random.below(random.pick([2, 8, 64])), Buffer.alloc(0));
    case 4: {
      // Once more, here or elsewhere.
      const piece = bytes.subarray(at, at + 1 + random.below(64));
      const place = random.below(length + 1);
      return replaced(place, place, piece);
    }
    case 5:
    case 6: {
      const token = tokens.length ? Buffer.from(random.pick(tokens) as string, 'latin1') : Buffer.alloc(1);
      return replaced(at, random.once(2) ? at : at + token.length, token);
    }
    case 7: {
      const from = random.below(donor.length + 1);
      const piece = donor.subarray(from, from + 1 + random.below(128));
      return replaced(at, random.once(2) ? at : at + piece.length, piece);
    }
    case 8: {
      const number = numberBytes(random);
      return replaced(at, at + number.length, number);
    }
    case 9:
      // A number in digits.
      return replaced(at, at + 1, Buffer.from(`${random.pick([...NUMBERS, ...NUMBERS_LARGE, 2 ** 53, -1])}`));
    default:
      // The same byte many times.
      return replaced(
        at,
        at,
        Buffer.alloc(1 + random.below(random.pick([10, 100, 2000])), bytes[at] ?? random.below(256)),
      );
  }
}

function numberBytes(random: Random): Buffer {
  const width = random.pick([1, 2, 3, 4] as const);
  const value = random.pick([...NUMBERS, ...NUMBERS_LARGE]) % 2 ** (8 * width);
  const bytes = Buffer.alloc(width);
  if (random.once(2)) bytes.writeUIntBE(value, 0, width);
  else bytes.writeUIntLE(value, 0, width);
  return bytes;
}
