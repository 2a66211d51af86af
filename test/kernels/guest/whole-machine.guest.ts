// SPDX-License-Identifier: Apache-2.0
/**
 * `mcpspy` without `--pid` or `run`: whoever talks is seen, and who may not watch sees nothing. Both back ends watch at
 * the same time, and have to tell the same: to start one is what takes longest in an emulated machine.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { finish, TALK } from '../../support/command.ts';
import { notInVm } from '../../support/in-vm.ts';
import {
  type CaptureResult,
  MCPSPY,
  type OutputLine,
  scratch,
  WATCHING,
  watchedMachine,
} from '../../support/mcpspy.ts';
import { assertOrderly } from '../../support/truth.ts';
import { Agents, assertSummedUp } from './agents.ts';
import { Containers } from './containers.ts';

/** Speaks JSON-RPC, and not MCP. */
const BYSTANDER = [
  ...['/bin/sh', '-c'],
  `printf '{"jsonrpc":"2.0","id":1,"method":"textDocument/hover"}\\n' | cat >/dev/null`,
];

/** In front of a command. */
const AS_NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];

/** What was told of these processes. */
function among(capture: CaptureResult, pids: ReadonlySet<number>): CaptureResult {
  const isOf = ({ from, to }: OutputLine) => pids.has(from?.pid) || pids.has(to?.pid);
  return { ...capture, lines: capture.lines.filter(isOf), messages: capture.messages.filter(isOf) };
}

describe('the whole machine', { skip: notInVm }, () => {
  const agents = new Agents();
  const containers = new Containers();
  const captures: CaptureResult[] = [];
  const refusals: { code: number | null; stderr: string }[] = [];
  let read = { code: null as number | null, stdout: '' };
  let refusedOutput = '';
  after(() => agents.kill());

  before(async () => {
    refusedOutput = join(scratch(), 'nobody.jsonl');
    const refused = tryToWatch();
    await Promise.all([agents.startEarly(), containers.startEarly()]);
    const machine = await watchedMachine();
    const observed = await machine.observe(async () => {
      agents.goOn();
      containers.goOn();
      spawnSync(BYSTANDER[0] ?? '', BYSTANDER.slice(1));
      await Promise.all([agents.ended(), containers.ended()]);
    });
    captures.push(...observed);
    await refused;
    await tryToRead(machine.files[0] ?? '');
    // By then their accounts are gone.
    const pids = agents.pids();
    machine.atEnd((capture) => assertSummedUp(capture, pids));
  });

  async function tryToWatch(): Promise<void> {
    const output = ['-o', refusedOutput];
    const choices = [output, ['run', ...output, '--', ...TALK], [...output, '--pid', String(process.pid)]];
    const tries = choices.map((args) => finish([...AS_NOBODY, MCPSPY, ...args]));
    refusals.push(...(await Promise.all(tries)));
  }

  async function tryToRead(file: string): Promise<void> {
    // What keeps others out is to be the file's mode.
    chmodSync(dirname(file), 0o755);
    read = await finish([...AS_NOBODY, 'cat', file]);
  }

  for (const [index, backend] of WATCHING.entries()) {
    test(`${backend}: that is what watches, by the capture's own account`, async () => {
      const file = (await watchedMachine()).files[index] ?? '';
      assert.equal(JSON.parse(readFileSync(file, 'utf8').split('\n')[0] ?? '').backend, backend);
    });

    const capture = () => captures[index] ?? assert.fail('there is no capture');

    test(`${backend}: two agents that know nothing of each other, one there before: each message once, both ends attributed`, () =>
      agents.assertIn(among(capture(), agents.pids())));

    test(`${backend}: two containers with the same pids, addresses and paths, one there before: over pipes and inside TLS, by the libssl of each`, () =>
      containers.assertIn(among(capture(), containers.pids())));

    test(`${backend}: nothing is lost, out of order, or told of anybody else`, () => {
      assertOrderly(capture());
      const known = among(capture(), new Set([...agents.pids(), ...containers.pids()]));
      const others = capture().lines.filter((line) => 'seq' in line && !known.lines.includes(line));
      assert.deepEqual(others, []);
    });
  }

  test('a user without privileges watches nothing, and reads nothing of what root watches', () => {
    for (const { code, stderr } of refusals) {
      assert.equal(code, 3, stderr);
      assert.match(stderr, /needs root/);
    }
    assert.equal(refusals.length, 3);
    assert.equal(existsSync(refusedOutput), false);
    assert.deepEqual([read.code, read.stdout], [1, '']);
  });
});
