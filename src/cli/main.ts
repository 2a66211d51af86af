// SPDX-License-Identifier: Apache-2.0
/**
 * The `mcpspy` command: picks the subcommand and turns faults into exit codes. What captures is imported only
 * when it is to capture, so that `doctor` runs, and tells, where koffi does not.
 */
import { Command, CommanderError } from 'commander';
import { openOutput } from '../outputs/file-writer.ts';
import { Sensor } from '../source/sensor.ts';
import { CliError, EXIT, report, unforeseen } from './errors.ts';
import { addCaptureOptions, type CaptureOptions, captureOptions } from './options.ts';
import { VERSION } from './version.ts';

const EXAMPLES = `
Examples:
  sudo mcpspy run -- python agent.py        everything the agent says to its servers
  sudo mcpspy --pid 4242 -o capture.jsonl   a running client or server, into a file too
  sudo mcpspy                               the whole machine
  mcpspy doctor                             can this machine do it?
`;

function build(finish: (code: number) => void): Command {
  const program = new Command('mcpspy')
    .description('Watches the Model Context Protocol from the kernel. Without a command: the whole machine.')
    .version(VERSION, '-V, --version')
    .helpOption('-h, --help')
    .enablePositionalOptions()
    .allowExcessArguments()
    .addHelpText('after', EXAMPLES)
    .configureOutput({ writeOut: writeText, outputError: () => {} })
    .exitOverride();
  addCaptureOptions(program).action(async (options: CaptureOptions, command: Command) => {
    const [unknown] = command.args;
    if (unknown !== undefined)
      throw new CliError(
        EXIT.usage,
        `there is no command "${unknown}"; to start a program and watch it: mcpspy run -- ${unknown}`,
      );
    const sensor = sensorBeforehand();
    const { watch } = await importing(import('./watch.ts'));
    finish(await watch(options, sensor));
  });
  addCaptureOptions(
    program
      .command('run')
      .description('start CMD and watch it and all its descendants')
      .usage('[options] -- CMD...')
      .argument('<cmd...>', 'the command and its arguments')
      .passThroughOptions(),
  ).action(async (cmd: string[], _: CaptureOptions, command: Command) => {
    const sensor = sensorBeforehand();
    const { run } = await importing(import('./run.ts'));
    finish(await run(cmd, captureOptions(command), sensor));
  });
  program
    .command('doctor')
    .description('can this machine do it? every check by really trying')
    .option('--json', 'one JSON object instead of lines', false)
    .action(async (options: { json: boolean }) => {
      const { doctor } = await import('./doctor.ts');
      finish(await doctor(options));
    });
  return program;
}

/** The sensor's process takes as long to come up as our own takes to load the rest. Without root there is none. */
function sensorBeforehand(): Sensor | undefined {
  return process.geteuid?.() === 0 ? new Sensor() : undefined;
}

/** @throws CliError when a library that capturing needs cannot be loaded. */
async function importing<Module>(module: Promise<Module>): Promise<Module> {
  try {
    return await module;
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0];
    throw new CliError(
      EXIT.captureFailed,
      `cannot load all of mcpspy (${reason}); run "mcpspy doctor" to see what is missing`,
    );
  }
}

function writeText(text: string): void {
  const stdout = openOutput('-');
  stdout.write(text.replace(/\n$/, ''));
  stdout.flush();
}

/** Commander's complaint as one sentence. */
function usageError({ message }: CommanderError): CliError {
  const complaint = message
    .replace(/^error: /, '')
    .replace(/ is invalid\. /, ' is invalid: ')
    .replace(/\s+/g, ' ')
    .replace(/\.$/, '');
  return new CliError(EXIT.usage, `${complaint}; run "mcpspy --help" for the options`);
}

function end(error: unknown): never {
  const fault = error instanceof CommanderError ? usageError(error) : unforeseen(error);
  report(fault);
  process.exit(fault.code);
}

process.on('uncaughtException', end);
let code: number = EXIT.ok;
try {
  await build((result) => {
    code = result;
  }).parseAsync();
} catch (error) {
  // Help and version come as errors, too.
  if (!(error instanceof CommanderError && error.exitCode === 0)) end(error);
}
// What is still open by now is only the channel to a sensor that watches its command end.
process.exit(code);
