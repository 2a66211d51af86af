// SPDX-License-Identifier: Apache-2.0
/** The options that `mcpspy` and `mcpspy run` share. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { BACKEND_CHOICES, type BackendChoice } from '../sensor/backend.ts';

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** As typed by the user, checked. */
export interface CaptureOptions {
  readonly pid: readonly number[];
  readonly output: readonly string[];
  readonly buffers: boolean;
  readonly append: boolean;
  /** `--no-clobber` makes it false. */
  readonly clobber: boolean;
  /** Bytes. */
  readonly maxMessage: number;
  readonly allJsonrpc: boolean;
  readonly color: 'auto' | 'always' | 'never';
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly logLevel: (typeof LEVELS)[number];
  /** Bytes, a power of two. */
  readonly ringSize: number;
  readonly backend: BackendChoice;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 };
const RING_MIN = 256 << 10;
const RING_MAX = 1 << 30;
/** Bytes between kernel and monitor, unless told otherwise. */
export const DEFAULT_RING = 32 << 20;
const MESSAGE_MIN = 1 << 10;
/** Longest string V8 can hold, less what the output adds to it. */
const MESSAGE_MAX = 256 << 20;

/** `64M`, `512K`, `1000`: bytes. Units are powers of 1024; a trailing `B` or `iB` is allowed. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMG]?)(?:i?B)?$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toUpperCase() ?? ''];
  if (!match || unit === undefined)
    throw new InvalidArgumentError('a size is a number with K, M or G behind it, such as 64M.');
  return Math.floor(Number(match[1]) * unit);
}

function parseRingSize(text: string): number {
  const size = parseSize(text);
  if (size < RING_MIN || size > RING_MAX)
    throw new InvalidArgumentError('the ring holds between 256K and 1G.');
  return 2 ** Math.ceil(Math.log2(size));
}

function parseMaxMessage(text: string): number {
  const size = parseSize(text);
  if (size < MESSAGE_MIN || size > MESSAGE_MAX)
    throw new InvalidArgumentError('the largest message is between 1K and 256M.');
  return size;
}

function collectPids(text: string, before: readonly number[]): number[] {
  const pids = text.split(',').map(Number);
  if (!pids.every((pid) => Number.isInteger(pid) && pid > 0))
    throw new InvalidArgumentError('a pid is a positive number.');
  return [...before, ...pids];
}

/** Adds the options of a capture to a command. */
export function addCaptureOptions(command: Command): Command {
  const add = (before: readonly string[], value: string) => [...before, value];
  const level = new Option(
    '-l, --log-level <level>',
    `messages to show: ${LEVELS.join(', ')} (the event bus)`,
  );
  return command
    .option('--pid <pid>', 'watch this process and its descendants (repeatable)', collectPids, [])
    .option(
      '-o, --output <file>',
      'write JSON Lines to FILE, or to stdout with -',
      (file, files: string[]) => add(files, file),
      [],
    )
    .option('-b, --buffers', 'print the raw message under each line', false)
    .addOption(new Option('--append', 'add to the output file').default(false).conflicts('clobber'))
    .option('--no-clobber', 'refuse to overwrite the output file')
    .option('--max-message <size>', 'largest message kept whole (64M)', parseMaxMessage, 64 << 20)
    .option('--all-jsonrpc', 'show JSON-RPC that is not MCP, too', false)
    .addOption(
      new Option('--color <when>', 'auto, always or never')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option('-q, --quiet', 'no display and no summary', false)
    .option('-v, --verbose', 'the same as --log-level debug', false)
    .addOption(level.choices(LEVELS).default('info'))
    .option('--ring-size <size>', 'room between kernel and monitor (32M)', parseRingSize, DEFAULT_RING)
    .addOption(
      new Option('--backend <name>', 'where the kernel shows the bytes: auto, fentry or tracepoint')
        .choices(BACKEND_CHOICES)
        .default('auto'),
    )
    .configureHelp({ optionDescription: (option) => option.description });
}

/** The options of a subcommand, joined by those that were given before its name. */
export function captureOptions(command: Command): CaptureOptions {
  const options: Record<string, unknown> = command.opts();
  const { parent } = command;
  for (const [name, before] of Object.entries(parent?.opts() ?? {})) {
    if (parent?.getOptionValueSource(name) !== 'cli') continue;
    const own = options[name];
    if (Array.isArray(before) && Array.isArray(own)) options[name] = [...before, ...own];
    else if (command.getOptionValueSource(name) !== 'cli') options[name] = before;
  }
  return options as unknown as CaptureOptions;
}
