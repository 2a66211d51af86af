// SPDX-License-Identifier: Apache-2.0
/** What is shown, and with which colours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finish, MESSAGE, mcpspy, TALK } from '../support/command.ts';
import { cannotCapture, MCPSPY, SPY_IN_SHELL } from '../support/mcpspy.ts';

const kernel = { skip: cannotCapture };
const talk = (...options: string[]) => mcpspy(['run', ...options, '--', ...TALK]);
const ESCAPE = '\u001b[';

/** The same in a pseudo-terminal of 200 columns. */
function inTerminal(options: string, env: NodeJS.ProcessEnv = {}) {
  const script = `${SPY_IN_SHELL} run ${options} -- sh -c 'printf "%s\\n" "$MESSAGE" | cat >/dev/null'`;
  const { NO_COLOR: _, ...own } = process.env;
  return finish(['script', '-qec', script, '/dev/null'], { env: { ...own, TERM: 'xterm', MESSAGE, ...env } });
}

test('colours: for a terminal, on request, never against NO_COLOR', kernel, async () => {
  assert.ok((await inTerminal('')).stdout.includes(ESCAPE));
  assert.ok(!(await inTerminal('--color never')).stdout.includes(ESCAPE));
  assert.ok(!(await inTerminal('', { NO_COLOR: '1' })).stdout.includes(ESCAPE));
  assert.ok((await inTerminal('--color always', { NO_COLOR: '1' })).stdout.includes(ESCAPE));
  assert.ok(!(await inTerminal('', { TERM: 'dumb' })).stdout.includes(ESCAPE));
  assert.ok(!(await talk()).stderr.includes(ESCAPE));
  assert.ok((await talk('--color', 'always')).stderr.includes(ESCAPE));
});

test('no JSON line for a terminal', async () => {
  const { stdout, code } = await finish(['script', '-qec', `"${MCPSPY}" --nonsense`, '/dev/null']);
  assert.deepEqual([code, stdout.trim().split('\n').length], [2, 1]);
});

test('-q shows nothing at all', kernel, async () => {
  assert.deepEqual(await talk('-q'), { code: 0, signal: null, stdout: '', stderr: '' });
});

test('-b shows the raw message', kernel, async () => {
  assert.ok((await talk('-b')).stderr.includes('"jsonrpc"'));
  assert.ok(!(await talk()).stderr.includes('"jsonrpc"'));
});

test('-v and --log-level debug show the bus, event by event', kernel, async () => {
  for (const options of [['-v'], ['-l', 'debug'], ['--log-level', 'debug']]) {
    const { stderr } = await talk(...options);
    for (const event of ['capture', 'message', 'summary'])
      assert.match(stderr, new RegExp(`^bus ${event} \\{`, 'm'));
  }
  assert.doesNotMatch((await talk()).stderr, /^bus /m);
});
