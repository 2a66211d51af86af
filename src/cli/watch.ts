// SPDX-License-Identifier: Apache-2.0
import type { Sensor } from '../source/sensor.ts';
import { Capture } from './capture.ts';
import { EXIT } from './errors.ts';
import type { CaptureOptions } from './options.ts';
import { onStopSignal } from './signals.ts';

/**
 * `mcpspy`: the whole machine, or the processes named with --pid, until Ctrl+C or
 * until the last of them has ended.
 * @param sensor One that was started beforehand.
 */
export async function watch(options: CaptureOptions, sensor: Sensor | undefined): Promise<number> {
  const capture = await Capture.begin(options, sensor, 'stdout');
  const scope = options.pid.length ? `pid ${options.pid.join(', ')} and descendants` : 'the whole machine';
  capture.say('info', `watching ${scope}; Ctrl+C stops`);
  const forget = onStopSignal(() => capture.stop());
  await capture.over;
  forget();
  await capture.finish();
  if (capture.fault) throw capture.fault;
  return capture.incomplete ? EXIT.captureFailed : EXIT.ok;
}
