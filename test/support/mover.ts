// SPDX-License-Identifier: Apache-2.0
/** Bytes through channels, call by call (test/peers/mover.c), and the comparison with what was captured. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CaptureOptions,
  type CaptureResult,
  captureRun,
  type OutputLine,
  ROOT,
  scratch,
} from './mcpspy.ts';
import { assertOutput } from './schema.ts';

/** A program of test/peers that was compiled before: in a VM without KVM a compiler takes long. */
export function compiled(name: string): string | undefined {
  const path = join(process.env['MCPSPY_PEERS'] ?? '', name);
  return process.env['MCPSPY_PEERS'] && existsSync(path) ? path : undefined;
}

/** A command that compiles C, and its first arguments. */
export type Compiler = readonly [string, ...string[]];
export const COMPILER: Compiler = ['gcc'];

/** Compiles test/peers/NAME.c into `directory`. @returns the program's path. */
export function compile(name: string, directory: string, [compiler, ...options] = COMPILER): string {
  const ready = compiled(name);
  if (ready) return ready;
  const program = join(directory, name);
  const args = [...options, '-O2', '-Wall', '-o', program, join(ROOT, 'test', 'peers', `${name}.c`)];
  const { status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return program;
}

/** What one mover is to do; the keys are the program's options. */
export interface Movement {
  /** The bytes to send. */
  readonly data?: Buffer;
  /** Steps of the writer and of the reader, `SIZE CALL`. */
  readonly plan?: readonly string[];
  readonly rplan?: readonly string[];
  readonly carrier?: 'pipe' | 'fifo' | 'socketpair' | 'named' | 'seqpacket';
  readonly role?: 'writer' | 'reader';
  readonly path?: string;
  readonly write?: string;
  readonly read?: string;
  readonly each?: number;
  readonly iov?: number;
  readonly buffer?: number;
  readonly nonblock?: 1;
  readonly peek?: 1;
  readonly wait?: string;
}

export class Movers {
  readonly #program: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#program = compile('mover', directory);
  }

  /** The command line of a mover called `name`. */
  command(name: string, movement: Movement): string[] {
    const dir = join(this.#directory, name);
    mkdirSync(dir, { recursive: true });
    const { data, plan, rplan, ...rest } = movement;
    const options: Record<string, unknown> = { name, dir, path: join(dir, 'path'), ...rest };
    const file = (key: string, content: Buffer | string) => {
      writeFileSync(join(dir, key), content);
      options[key] = join(dir, key);
    };
    if (data) file('in', data);
    if (plan) file('plan', plan.join('\n'));
    if (rplan) file('rplan', rplan.join('\n'));
    return [this.#program, ...Object.entries(options).map(([key, value]) => `${key}=${value}`)];
  }

  /** A shell command that runs movers one after the other, or side by side. */
  script(movements: Readonly<Record<string, Movement>>, how: 'in turn' | 'together'): string[] {
    const commands = Object.entries(movements).map(([name, movement]) =>
      this.command(name, movement)
        .map((word) => `'${word}'`)
        .join(' '),
    );
    const script = join(this.#directory, 'script.sh');
    writeFileSync(
      script,
      commands.join(how === 'together' ? ' &\n' : ' || exit 1\n') +
        (how === 'together' ? ' &\nwait\n' : '\n'),
    );
    return ['sh', script];
  }

  /** What the mover's writer says it sent, and its reader that it received. */
  sent(name: string): Buffer {
    return readFileSync(join(this.#directory, name, 'sent'));
  }
  received(name: string): Buffer {
    return readFileSync(join(this.#directory, name, 'received'));
  }
}

/** Everything captured from the mover of this name, in output order; not what turned out later, of who took its time. */
export function linesOf(result: CaptureResult, name: string): OutputLine[] {
  const own = (end: OutputLine | undefined) => end?.['argv']?.includes(`name=${name}`);
  return result.lines.filter((line) => line['kind'] !== 'ends' && (own(line['from']) || own(line['to'])));
}

/** The exact bytes of a captured frame; `undefined` when only a part of it was kept. */
export function bytesOf(line: OutputLine): Buffer | undefined {
  if (line['raw_base64'] !== undefined) return Buffer.from(line['raw_base64'], 'base64');
  const bytes = Buffer.from(line['raw']);
  return line['kind'] === 'invalid' && bytes.length !== line['size'] ? undefined : bytes;
}

/** Cuts bytes into frames as the transport has it: by lines, without their ends; empty lines are none. */
export function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(10, from);
    const end = newline < 0 ? bytes.length : newline;
    const stop = newline >= 0 && bytes[end - 1] === 13 ? end - 1 : end;
    if (stop > from) frames.push(bytes.subarray(from, stop));
    from = end + 1;
  }
  return frames;
}

/** Short enough for a report. */
export function digest(frame: Buffer | undefined): string {
  if (!frame) return 'nothing';
  const text = frame.toString('latin1');
  return `${frame.length} bytes: ${text.length <= 120 ? text : `${text.slice(0, 60)} … ${text.slice(-60)}`}`;
}

/** Is what was captured exactly these frames, in this order, and nothing else? */
export function assertFrames(captured: readonly OutputLine[], sent: readonly Buffer[], what: string): void {
  for (const [index, frame] of sent.entries()) {
    const line = captured[index];
    const got =
      line && (line['kind'] === 'message' || line['kind'] === 'invalid') ? bytesOf(line) : undefined;
    if (got?.equals(frame)) continue;
    const seen = got
      ? digest(got)
      : line
        ? `${line['kind']}: ${JSON.stringify(line).slice(0, 300)}`
        : 'nothing';
    assert.fail(`${what}: frame ${index} of ${sent.length}: sent ${digest(frame)}; captured ${seen}`);
  }
  assert.equal(captured.length, sent.length, `${what}: more was captured than sent`);
}

/** Runs movers one after the other: the capture must be exactly what each of them sent, without any loss. */
export async function assertCaptured(
  movements: Readonly<Record<string, Movement>>,
  options: readonly string[] = [],
  given: Pick<CaptureOptions, 'seenBy'> = {},
) {
  const movers = new Movers(scratch());
  const script = movers.script(movements, 'in turn');
  const result = await captureRun(script, { ...given, options: ['-q', ...options] });
  assert.equal(result.code, 0, result.stderr);
  assertOutput(result.lines, result.isPart);
  assert.deepEqual(result.summary['losses'], {});
  for (const [name, { data }] of Object.entries(movements)) {
    const sent = movers.sent(name);
    assert.ok(data && sent.equals(data), `${name}: not all was sent`);
    assert.ok(movers.received(name).equals(sent), `${name}: the reader received something else`);
    assertFrames(linesOf(result, name), framesOf(sent), name);
  }
  return result;
}

// ---- what to send ---------------------------------------------------------------

/** A seeded source of chance (mulberry32): the same test does the same on every run. */
export function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Says that what follows is MCP. */
export const INITIALIZE = Buffer.from(
  '{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"mover","version":"1"}}}\n',
);

/** Letters of one, two, three and four bytes, and what JSON must escape. */
const LETTERS = ['a', 'Z', '0', ' ', 'ä', 'ß', '日', '本', '€', '😀', '\\n', '\\"', '\\u0041', '\\\\'];

/** Texts to fill messages with, each of some thousand bytes. */
const BLOCKS = Array.from({ length: 16 }, (_, seed) => {
  const random = chance(seed);
  return Buffer.from(Array.from({ length: 4000 }, () => LETTERS[random(LETTERS.length)]).join(''));
});

/** A `tools/call` of exactly `size` bytes with its line end; at least 120. */
export function request(id: number, size: number, random = chance(id)): Buffer {
  const begin = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo","arguments":{"text":"`;
  const end = '"}}}\n';
  const message = Buffer.alloc(size, 'x');
  let at = message.write(begin);
  const stop = size - end.length;
  const block = BLOCKS[random(BLOCKS.length)] ?? Buffer.from('x');
  for (; stop - at >= block.length; at += block.length) block.copy(message, at);
  // The end of a block, up to where a character of it begins.
  let from = block.length - (stop - at);
  while (((block[from] ?? 0) & 0xc0) === 0x80) from++;
  // An escape is not to be cut either: its letters mean nothing without the backslash, and a quote would end the text.
  const rest = block.toString('utf8', from).replace(/^[^ ]*/, '');
  message.write(rest, stop - Buffer.byteLength(rest));
  message.write(end, stop);
  return message;
}

/** A plan with a step for each line. */
export function perLine(data: Buffer): string[] {
  const steps: string[] = [];
  for (let from = 0; from < data.length; ) {
    const end = data.indexOf(10, from) + 1 || data.length;
    steps.push(`${end - from}`);
    from = end;
  }
  return steps;
}
