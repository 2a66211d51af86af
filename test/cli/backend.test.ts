// SPDX-License-Identifier: Apache-2.0
/** Which back end a capture has: as asked for, or as the kernel allows, and told in the file, the summary and by doctor. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Ended, finish, TALK } from '../support/command.ts';
import { cannotCapture, MCPSPY, type OutputLine, scratch } from '../support/mcpspy.ts';

const directory = scratch();
const kernel = { skip: cannotCapture };
const BACKENDS = ['fentry', 'tracepoint'];

/** On no back end but what the test says. */
const mcpspy = (args: readonly string[]): Promise<Ended> => finish([MCPSPY, ...args]);

async function capture(...options: string[]) {
  const file = join(directory, 'out.jsonl');
  const { code, stderr } = await mcpspy(['run', ...options, '-o', file, '--', ...TALK]);
  const lines: OutputLine[] = readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return { code, stderr, lines, header: lines[0] ?? {}, summary: lines.at(-1) ?? {} };
}

/** What doctor says of `auto`. */
async function chosen(): Promise<{ backend: string; detail: string }> {
  const { stdout } = await mcpspy(['doctor', '--json']);
  return JSON.parse(stdout).checks.find((check: { name: string }) => check.name === 'back end');
}

test('auto takes the one that doctor names, and the capture says so at both ends', kernel, async () => {
  const { backend, detail } = await chosen();
  assert.ok(BACKENDS.includes(backend), backend);
  assert.ok(detail.startsWith(backend), detail);
  if (backend === 'tracepoint') assert.match(detail, /fentry is not taken: \S/);
  const { header, summary, stderr } = await capture();
  assert.equal(header['backend'], backend);
  assert.equal(summary['backend'], backend);
  assert.match(stderr, new RegExp(`^back end {2}${backend}$`, 'm'));
});

test('tracepoint can be had wherever anything can be captured', kernel, async () => {
  const { code, header, lines } = await capture('--backend', 'tracepoint');
  assert.equal(code, 0);
  assert.equal(header['backend'], 'tracepoint');
  assert.equal(lines.filter(({ kind }) => kind === 'message').length, 1);
});

test('fentry is had, or refused with status 4 and the way out', kernel, async () => {
  const { backend } = await chosen();
  const file = join(directory, 'fentry.jsonl');
  const { code, stderr } = await mcpspy(['run', '-q', '--backend', 'fentry', '-o', file, '--', ...TALK]);
  if (backend === 'fentry') assert.equal(code, 0, stderr);
  else {
    assert.equal(code, 4);
    assert.match(stderr, /fentry back end cannot be had: .*; use --backend tracepoint/);
  }
});
