// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Sensor } from '../source/sensor.ts';
import { Capture } from './capture.ts';
import { CliError } from './errors.ts';
import type { CaptureOptions } from './options.ts';
import { inForeground, onStopSignal, statusOf } from './signals.ts';
import { invokingUser } from './user.ts';

/** After a stop signal CMD has so long to end by itself; what it says meanwhile is captured. */
const GRACE_MS = 2000;
/** What the shell answers for a command that is not there, or not to be executed. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
/** Where a shell looks when there is no PATH. */
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

/** Finds CMD as execvp(3) would. */
function resolve(command: string): string {
  const path = (process.env['PATH'] ?? DEFAULT_PATH).split(delimiter);
  const places = command.includes('/') ? [command] : path.map((dir) => join(dir || '.', command));
  let found = false;
  for (const place of places) {
    try {
      if (!statSync(place).isFile()) continue;
      found = true;
      accessSync(place, constants.X_OK);
      return place;
    } catch {
      // The next place on PATH.
    }
  }
  if (found)
    throw new CliError(
      NOT_EXECUTABLE,
      `cannot run "${command}": it is not executable; check its permissions`,
    );
  throw new CliError(
    NOT_FOUND,
    `cannot run "${command}": there is no such command on PATH; name it with its path (sudo may have replaced PATH)`,
  );
}

/**
 * `mcpspy run`: starts CMD in scope and ends with its status once everything it said is written.
 * @param sensor One that was started beforehand.
 */
export async function run(
  command: readonly string[],
  options: CaptureOptions,
  sensor: Sensor | undefined,
): Promise<number> {
  const file = resolve(command[0] ?? '');
  const capture = await Capture.begin(options, sensor, 'stderr', {
    file,
    argv: command,
    user: invokingUser(),
  });
  let code: number | undefined;
  let failure: CliError | undefined;
  capture.sensor.once('ended', (ended) => {
    code = ended.code ?? statusOf(ended.signal ?? '');
    capture.stop();
  });
  capture.sensor.once('notStarted', (reason) => {
    failure = new CliError(reason.code, reason.message);
    capture.stop();
  });
  capture.sensor.run();
  let stoppedBy = '';
  const forget = onStopSignal((signal) => {
    stoppedBy = signal;
    // The terminal tells everybody in its foreground; anybody else told only us.
    if (signal === 'SIGTERM' || !inForeground()) capture.sensor.signal(signal);
    setTimeout(() => capture.stop(), GRACE_MS).unref();
  });
  await capture.over;
  forget();
  await capture.finish();
  if (failure) throw failure;
  if (code !== undefined) return code;
  capture.say('warn', `${command[0]} still runs, unwatched`);
  if (capture.fault) throw capture.fault;
  return statusOf(stoppedBy);
}
