// SPDX-License-Identifier: Apache-2.0
import os from 'node:os';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import { openOutput } from '../outputs/file-writer.ts';
import { CHECKS, type Check, type Finding } from './checks.ts';
import { EXIT, unforeseen } from './errors.ts';
import { VERSION } from './version.ts';

type Result = { readonly name: string } & (
  | Finding
  | { readonly status: 'skip'; readonly detail: string; readonly extra?: undefined }
);

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'gray' } as const;

/** Tries everything, each check on those it rests on. */
async function examine(checks: readonly Check[], tell: (result: Result) => void): Promise<Result[]> {
  const results = new Map<string, Result>();
  for (const check of checks) {
    const broken = check.needs?.find((name) => !works(results.get(name)));
    const result: Result = {
      name: check.name,
      ...(broken === undefined
        ? await attempt(check)
        : { status: 'skip' as const, detail: `needs "${broken}"` }),
    };
    results.set(check.name, result);
    tell(result);
  }
  return [...results.values()];
}

async function attempt(check: Check): Promise<Finding> {
  try {
    return await check.try();
  } catch (error) {
    const { code, message } = unforeseen(error);
    return { status: 'fail', code, detail: message, fix: 'send what "mcpspy doctor --json" says with it' };
  }
}

function works(result: Result | undefined): boolean {
  return result?.status === 'ok' || result?.status === 'warn';
}

function format(result: Result, coloured: boolean): string {
  const status = result.status.padEnd(4);
  const fix = 'fix' in result ? ` — fix: ${result.fix}` : '';
  const shown = coloured ? styleText(COLOURS[result.status], status, { validateStream: false }) : status;
  const more = result.extra?.lines.map((line) => `\n       ${line}`).join('') ?? '';
  return `${shown} ${result.name}: ${result.detail}${fix}${more}`;
}

/** `mcpspy doctor`: can this machine do it? Every check by really trying. */
export async function doctor({ json }: { readonly json: boolean }): Promise<number> {
  const stdout = openOutput('-');
  const coloured = isatty(1) && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  const results = await examine(CHECKS, (result) => {
    if (json) return;
    stdout.write(format(result, coloured));
    stdout.flush();
  });
  // The first failure is the one that the others may follow from.
  const failures = results.filter((result) => result.status === 'fail');
  const code = failures[0]?.code ?? EXIT.ok;
  const ok = failures.length === 0;
  if (json)
    stdout.write(
      JSON.stringify({
        ok,
        exit_code: code,
        mcpspy_version: VERSION,
        kernel: os.release(),
        arch: os.arch(),
        checks: results.map(({ name, status, detail, extra, ...rest }) => ({
          name,
          status,
          detail,
          ...('fix' in rest ? { fix: rest.fix } : {}),
          ...extra?.json,
        })),
      }),
    );
  else
    stdout.write(
      ok
        ? '\nThis machine can.'
        : `\nNot yet: ${failures.length === 1 ? 'one check' : `${failures.length} checks`} failed.`,
    );
  stdout.flush();
  return code;
}
