// SPDX-License-Identifier: Apache-2.0
/** What is wrong before anything is captured: one sentence, one JSON line, the right status. */
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Ended, finish, mcpspy } from '../support/command.ts';
import { MCPSPY, scratch } from '../support/mcpspy.ts';

const directory = scratch();
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
const isRoot = process.getuid?.() === 0 ? false : 'not root';

/** One sentence for a person, one line of JSON for a program, nothing else. */
function complains(result: Ended, code: number, about: RegExp): void {
  const [sentence = '', json = '', ...rest] = result.stderr.split('\n');
  assert.equal(result.code, code, result.stderr);
  assert.match(sentence, /^mcpspy: \S/);
  assert.match(sentence, about);
  assert.deepEqual(JSON.parse(json), { error: { code, message: sentence.replace('mcpspy: ', '') } });
  assert.deepEqual(rest, ['']);
  assert.equal(result.stdout, '');
}

const WRONG: readonly (readonly [readonly string[], RegExp])[] = [
  [['--nonsense'], /unknown option '--nonsense'/],
  [['--colour', 'never'], /Did you mean --color/],
  [['runn'], /no command "runn"/],
  [['run'], /missing required argument 'cmd'/],
  [['run', '--nonsense', '--', 'true'], /unknown option/],
  [['doctor', '--nonsense'], /unknown option/],
  [['--ring-size', 'big'], /a size is a number/],
  [['--ring-size', '1K'], /between 256K and 1G/],
  [['--ring-size', '2G'], /between 256K and 1G/],
  [['--max-message', '0'], /between 1K and 256M/],
  [['--max-message', '-5'], /a size is a number/],
  [['--pid', 'abc'], /a pid is a positive number/],
  [['--pid', '0'], /a pid is a positive number/],
  [['--color', 'blue'], /Allowed choices/],
  [['-l', 'loud'], /Allowed choices/],
  [['--backend', 'kprobe'], /Allowed choices/],
  [['--append', '--no-clobber', '-o', 'x'], /cannot be used with/],
  [['-o'], /argument missing/],
];

for (const [args, about] of WRONG) {
  test(`mcpspy ${args.join(' ')} is a usage error`, async () => complains(await mcpspy(args), 2, about));
}

test('a pid that does not exist is a usage error', { skip: isRoot }, async () => {
  complains(await mcpspy(['--pid', '4194305']), 2, /no process 4194305/);
  const thread = readdirSync('/proc/self/task').find((task) => Number(task) !== process.pid);
  const named = new RegExp(`${thread} is a thread of process ${process.pid}`);
  complains(await mcpspy(['--pid', String(thread)]), 2, named);
});

test('an unprivileged user is told to use sudo, with status 3', { skip: isRoot }, async () => {
  complains(await finish([...NOBODY, MCPSPY, '--pid', '1']), 3, /needs root.*sudo/);
  complains(await finish([...NOBODY, MCPSPY, 'run', '--', 'true']), 3, /needs root.*sudo/);
});

test('a command that is not there is 127, one that cannot be executed 126', async () => {
  const file = join(directory, 'plain');
  writeFileSync(file, 'text\n', { mode: 0o644 });
  complains(await mcpspy(['run', '--', 'no-such-command']), 127, /no-such-command/);
  complains(await mcpspy(['run', '--', join(directory, 'absent')]), 127, /absent/);
  complains(await mcpspy(['run', '--', file]), 126, /not executable/);
});

test('--help and --version go to stdout, with status 0', async () => {
  const version = await mcpspy(['--version']);
  assert.deepEqual([version.code, version.stderr], [0, '']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  assert.equal((await mcpspy(['-V'])).stdout, version.stdout);
  for (const args of [['--help'], ['-h'], ['run', '--help'], ['doctor', '-h']]) {
    const help = await mcpspy(args);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.match(help.stdout, /^Usage: mcpspy/);
  }
});

test('help into a closed pipe ends quietly', async () => {
  const result = await finish(['/bin/sh', '-c', `"${MCPSPY}" --help | true`]);
  assert.equal(result.stderr, '');
});

test('the command works from anywhere, by a link, and whatever PATH and environment are', async () => {
  const link = join(directory, 'mcpspy');
  const relative = join(directory, 'relative');
  symlinkSync(MCPSPY, link);
  symlinkSync('mcpspy', relative);
  const old = join(directory, 'old');
  const oldNode = join(old, 'node');
  await finish(['mkdir', old]);
  writeFileSync(oldNode, '#!/bin/sh\nexit 1\n');
  chmodSync(oldNode, 0o755);
  const cases: readonly (readonly [readonly string[], { cwd?: string; env?: NodeJS.ProcessEnv }])[] = [
    [[MCPSPY], { cwd: '/' }],
    [[link], { cwd: '/tmp' }],
    [[relative], {}],
    [['./relative'], { cwd: directory }],
    [['mcpspy'], { cwd: '/', env: { PATH: `${directory}:/usr/bin:/bin` } }],
    [[MCPSPY], { env: { PATH: '/usr/bin:/bin' } }],
    [[MCPSPY], { env: { PATH: '/nonexistent' } }],
    [[MCPSPY], { env: { PATH: `${old}:${process.env['PATH']}` } }],
    [[MCPSPY], { env: {} }],
    [['env', '-i', MCPSPY], {}],
  ];
  for (const [command, options] of cases) {
    const result = await finish([...command, '--version'], options);
    assert.match(
      result.stdout,
      /^\d+\.\d+\.\d+\n$/,
      `${command} ${JSON.stringify(options)}: ${result.stderr}`,
    );
  }
});
