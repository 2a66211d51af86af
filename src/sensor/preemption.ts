// SPDX-License-Identifier: Apache-2.0
/**
 * Does the kernel put off its own work in the middle, and with it our programs? Meanwhile it leaves the program out for
 * whoever else has that processor (kernel/bpf/trampoline.c, bpf_prog_get_recursion_context()).
 */
import { readFileSync } from 'node:fs';
import { release, version } from 'node:os';
import { gunzipSync } from 'node:zlib';

/** What the kernel tells of itself; `undefined` where it does not. */
export interface KernelWords {
  /** /sys/kernel/debug/sched/preempt: all modes, the one in use in parentheses. */
  readonly modes?: string | undefined;
  /** `uname -v`. */
  readonly version: string;
  /** /proc/cmdline. */
  readonly commandLine?: string | undefined;
  /** What it was built with. */
  readonly config?: string | undefined;
}

const PREEMPTING = /^(?:full|lazy)$/;

/** As far as is known: one that tells nothing is taken to do so. */
export function preempts(words: KernelWords): boolean {
  const { modes, version, commandLine } = words;
  const used = /\((\w+)\)/.exec(modes ?? '')?.[1];
  if (used) return PREEMPTING.test(used);
  if (!version.includes('PREEMPT')) return false;
  // Only then is it decided at boot.
  if (!version.includes('PREEMPT_DYNAMIC')) return true;
  const chosen = /(?:^|\s)preempt=(\w+)/.exec(commandLine ?? '')?.[1];
  if (chosen) return PREEMPTING.test(chosen);
  return !/^CONFIG_PREEMPT_(?:NONE|VOLUNTARY)=y$/m.test(words.config ?? '');
}

/** Does the running kernel? */
export function preemptsItself(): boolean {
  const text = (path: string) => read(path)?.toString('latin1');
  return preempts({
    modes: text('/sys/kernel/debug/sched/preempt'),
    version: version(),
    commandLine: text('/proc/cmdline'),
    // Only where it is needed: it takes milliseconds.
    get config() {
      const packed = read('/proc/config.gz');
      return packed ? gunzipSync(packed).toString('latin1') : text(`/boot/config-${release()}`);
    },
  });
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
