// SPDX-License-Identifier: Apache-2.0
/** A real capture of a child of our own: the whole way from a pipe to JSON Lines. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MESSAGE = '{"jsonrpc":"2.0","id":"mcpspy-doctor","method":"tools/list","params":{}}';
/** Waits until we have looked at the monitor, then sends MESSAGE from one process to another. */
const SCRIPT = 'echo ready >&2; read -r go; printf "%s\\n" "$1" | cat >/dev/null';
const TIMEOUT_MS = 60_000;

export interface TrialCapture {
  /** Did the bytes arrive as they were sent? */
  readonly arrived: boolean;
  /** What the summary says was lost; `undefined` when there was no summary. */
  readonly losses: object | undefined;
  /** The ids and effective capabilities that the monitor had while it watched. */
  readonly monitor: { readonly uid: number; readonly capabilities: string } | undefined;
  readonly code: number | null;
  /** The first line on standard error that is not ours. */
  readonly complaint: string;
}

interface Line {
  readonly kind?: string;
  readonly raw?: string;
  readonly losses?: object;
}

function parse(text: string): Line[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

function identityOf(pid: number): TrialCapture['monitor'] {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
  return { uid: Number(field('Uid')), capabilities: field('CapEff').replace(/^0+(?=.)/, '') };
}

/** Runs `mcpspy run` on a shell that sends one message through a pipe. */
export async function captureTrial(): Promise<TrialCapture> {
  const main = fileURLToPath(
    new URL(`./main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
  );
  const command = [main, 'run', '-q', '-o', '-', '--', '/bin/sh', '-c', SCRIPT, 'sh', MESSAGE];
  const child = spawn(process.execPath, command, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
  let output = '';
  let errors = '';
  let monitor: TrialCapture['monitor'];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
    if (monitor || !errors.includes('ready\n')) return;
    monitor = identityOf(child.pid ?? 0);
    child.stdin.end('go\n');
  });
  // It may be gone before we can answer.
  child.stdin.on('error', () => {});
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const lines = parse(output);
  return {
    arrived: lines.some((line) => line.kind === 'message' && line.raw === MESSAGE),
    losses: lines.find((line) => line.kind === 'summary')?.losses,
    monitor,
    code,
    complaint: errors.replace('ready\n', '').split('\n')[0] ?? '',
  };
}
