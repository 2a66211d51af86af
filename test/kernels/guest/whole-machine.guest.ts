// SPDX-License-Identifier: Apache-2.0
/** `mcpspy` without `--pid` or `run`: whoever talks is seen, and who may not watch sees nothing. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { finish, TALK } from '../../support/command.ts';
import { MCPSPY, scratch } from '../../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertOrderly,
  assertPaired,
  call,
  clientCommand,
  request,
  type Step,
  Truth,
} from '../../support/truth.ts';
import { appeared, notInVm, openSlowly, watchMachine } from './guest.ts';

const skip = notInVm;
const agents = new Set<ChildProcess>();
after(() => {
  for (const agent of agents) agent.kill('SIGKILL');
});

/** A client that follows a script, in a session of its own as if nobody here had started it. */
function startAgent(truth: Truth, steps: readonly Step[]): Promise<unknown> {
  const [file = '', ...args] = clientCommand(truth, steps);
  const agent = spawn(file, args, {
    env: { ...process.env, ...truth.env },
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  agents.add(agent);
  return once(agent, 'exit').then(([code]) => assert.equal(code, 0, 'the agent failed'));
}

const conversation = (link: string): Step[] => [
  ...ask(link, call(1, 'echo', { from: link })),
  ...ask(link, call(2, 'fail')),
  ...ask(link, request(3, 'tools/list')),
  ...ask(link, call(4, 'echo', { text: 'large'.repeat(40_000) })),
  { burst: link, first: 10, count: 20 },
  // Long enough for /proc to be asked who it is.
  { sleep: 0.5 },
  { close: link },
];

test('two agents that know nothing of each other, one there before: each message once, both ends attributed, and no bystander', {
  skip,
}, async () => {
  const [early, late] = [new Truth(), new Truth()];
  const [arrived, gate] = [join(early.directory, 'arrived'), join(early.directory, 'gate')];
  const earlyAgent = startAgent(early, [
    ...openSlowly(early, 'early'),
    { touch: arrived },
    { gate },
    ...conversation('early'),
  ]);
  await appeared(arrived);
  const watching = await watchMachine();
  const moment = Number(process.hrtime.bigint());
  const lateAgent = startAgent(late, [
    ...openSlowly(late, 'late', { via: 'socketpair' }),
    ...conversation('late'),
  ]);
  writeFileSync(gate, '');
  const bystander = [
    '-c',
    `printf '{"jsonrpc":"2.0","id":1,"method":"textDocument/hover"}\\n' | cat >/dev/null`,
  ];
  spawnSync('/bin/sh', bystander);
  await Promise.all([earlyAgent, lateAgent]);
  const capture = await watching.stop();
  assert.equal(capture.code, 0, capture.stderr);
  const sent = [...early.sent().filter(({ time }) => time > moment), ...late.sent()];
  const matches = assertExactly(capture, sent);
  assertPaired(matches);
  assertOrderly(capture);
  assert.deepEqual(
    capture.summary.servers.map(({ client }: { client: { endpoint: unknown } }) => Boolean(client.endpoint)),
    [true, true],
  );
});

test('a user without privileges watches nothing, and reads nothing of what root watches', {
  skip,
}, async () => {
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
  const directory = scratch();
  const output = join(directory, 'root.jsonl');
  const watching = spawn(MCPSPY, ['-q', '-o', output], { stdio: 'ignore' });
  await appeared(output);
  try {
    const tried = join(directory, 'nobody.jsonl');
    for (const args of [
      ['-o', tried],
      ['run', '-o', tried, '--', ...TALK],
      ['--pid', String(process.pid), '-o', tried],
    ]) {
      const { code, stderr } = await finish([...asNobody, MCPSPY, ...args]);
      assert.equal(code, 3, stderr);
      assert.match(stderr, /needs root/);
      assert.equal(existsSync(tried), false);
    }
    await finish(TALK);
    const { code, stdout } = await finish([...asNobody, 'cat', output]);
    assert.deepEqual([code, stdout], [1, '']);
  } finally {
    watching.kill('SIGINT');
    await once(watching, 'exit');
  }
});
