// SPDX-License-Identifier: Apache-2.0
/** `mcpspy run`: CMD lives as if nobody watched, and its status is ours. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { finish, MESSAGE, mcpspy, TALK } from '../support/command.ts';
import { cannotCapture, SPY, SPY_IN_SHELL, scratch } from '../support/mcpspy.ts';

const directory = scratch();
const kernel = { skip: cannotCapture };
const sh = (script: string) => ['/bin/sh', '-c', script];

test('ends with the status of CMD', kernel, async () => {
  const statuses: readonly (readonly [string, number])[] = [
    ['true', 0],
    ['exit 7', 7],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
    ['kill -INT $$', 130],
  ];
  for (const [script, status] of statuses)
    assert.equal((await mcpspy(['run', '-q', '--', ...sh(script)])).code, status, script);
});

test('CMD keeps its standard streams, byte for byte', kernel, async () => {
  const bytes = join(directory, 'bytes');
  writeFileSync(bytes, Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 256)));
  const copy = join(directory, 'copy');
  const error = join(directory, 'error');
  const script = `${SPY_IN_SHELL} run -q -- sh -c 'tee /dev/stderr' <"${bytes}" >"${copy}" 2>"${error}"`;
  assert.equal((await finish(sh(script))).code, 0);
  assert.ok(readFileSync(bytes).equals(readFileSync(copy)), 'stdout');
  assert.ok(readFileSync(bytes).equals(readFileSync(error)), 'stderr');
});

test('only CMD writes to stdout; the display and the summary are on stderr', kernel, async () => {
  const result = await mcpspy(['run', '--', ...sh(`echo out; printf '%s\\n' '${MESSAGE}' | cat >/dev/null`)]);
  assert.equal(result.stdout, 'out\n');
  assert.match(result.stderr, /REQ.*tools\/list/);
  assert.match(result.stderr, /nothing was lost/);
  assert.doesNotMatch(result.stderr, /\u001b/);
});

/** What a process inherits, as far as a program can tell. */
const WORLD = `nice; ulimit -a; umask; pwd; env | grep -v -e ^_= -e ^SHLVL= | sort
ls -l /proc/self/fd | wc -l; for n in 0 1 2; do grep flags /proc/$$/fdinfo/$n; done
grep -E '^(SigBlk|SigCgt|Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid)' /proc/self/status; cat /proc/self/oom_score_adj`;

test('CMD inherits what it would without us', kernel, async () => {
  const world = join(directory, 'world');
  writeFileSync(world, WORLD);
  const compare = async (before: string) => {
    const run = (prefix: string) =>
      finish(sh(`${before}; ulimit -Sn 1000; ${prefix} /bin/sh "${world}" 2>&1 | cat`));
    assert.equal((await run(`${SPY_IN_SHELL} run -q --`)).stdout, (await run('')).stdout);
  };
  await compare('umask 027; cd /usr');
  await compare('renice -n 7 $$ >/dev/null');
});

test('CMD is started without PATH and without an environment', kernel, async () => {
  const result = await finish(['env', '-i', ...SPY, 'run', '-q', '--', 'id', '-u'], { cwd: '/' });
  assert.deepEqual([result.code, result.stdout, result.stderr], [0, '0\n', '']);
});

test('options before "run" count, too', kernel, async () => {
  const first = join(directory, 'first.jsonl');
  const second = join(directory, 'second.jsonl');
  await mcpspy(['-q', '-o', first, 'run', '-o', second, '--', ...TALK]);
  assert.match(readFileSync(first, 'utf8'), /tools\/list/);
  assert.equal(
    readFileSync(first, 'utf8').split('\n').length,
    readFileSync(second, 'utf8').split('\n').length,
  );
});

test('-- separates: options behind it belong to CMD', kernel, async () => {
  assert.equal(
    (await mcpspy(['run', '-q', '--', 'echo', '-q', '--help', '-o', 'x'])).stdout,
    '-q --help -o x\n',
  );
  assert.equal((await mcpspy(['run', '-q', 'echo', '-q', '--version'])).stdout, '-q --version\n');
});

test('a pid that has ended by the time CMD starts does not end the capture', kernel, async () => {
  // 2: it had ended before it was looked for. How long that takes is the machine's business.
  for (let seconds = 0.2, code: number | null = 2; code === 2; seconds *= 2) {
    const script = `sleep ${seconds} & ${SPY_IN_SHELL} run -q --pid $! -- /bin/sh -c 'sleep 1; exit 9'`;
    ({ code } = await finish(sh(script)));
    assert.ok(code === 9 || (code === 2 && seconds < 10), `${code}`);
  }
});
