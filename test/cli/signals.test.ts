// SPDX-License-Identifier: Apache-2.0
/** Ctrl+C, SIGTERM, and the sudden end of one of the three processes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  childrenOf,
  MESSAGE,
  type Running,
  runs,
  start,
  talker,
  until,
  watching,
} from '../support/command.ts';
import { cannotCapture, SPY, SPY_IN_SHELL, scratch } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';

const directory = scratch();
const kernel = { skip: cannotCapture };
const file = join(directory, 'out');
const kinds = () => kindsIn(readFileSync(file, 'utf8'));

/** The kinds of all its lines, the last of which has to be whole like the others. */
function kindsIn(text: string): string[] {
  const lines = text.split('\n');
  assert.equal(lines.pop(), '', 'half a line at the end');
  return lines.map((line) => JSON.parse(line).kind);
}

const TALK = `printf '%s\\n' '${MESSAGE}' | cat >/dev/null`;

/** `mcpspy run` of a script that says "ready" when the signals may come; with the pids of sensor and CMD. */
async function running(
  script: string,
  options: object = {},
): Promise<Running & { sensor: number; command: number }> {
  const spy = start([...SPY, 'run', '-o', file, '--', '/bin/sh', '-c', script], options);
  await until(() => spy.stdout().includes('ready'), 'the command');
  const [sensor = 0] = childrenOf(spy.pid);
  const [command = 0] = childrenOf(sensor);
  return { ...spy, sensor, command };
}

/** What is said of a fault, by mcpspy or by Node. */
const FAULT = /"error"|fault|failed|unexpected|Error/;

/** Writes one message as late as it can, then ends with 9. */
const LAST_WORDS = (signal: string) =>
  `last() { ${TALK}; exit 9; }; trap last ${signal}; echo ready; while :; do sleep 0.05; done`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`run hands ${signal} to CMD, writes its last words, and ends with its status`, kernel, async () => {
    const spy = await running(LAST_WORDS(signal.slice(3)));
    spy.child.kill(signal);
    const result = await spy.ended;
    assert.equal(result.code, 9, result.stderr);
    assert.match(result.stderr, /nothing was lost/);
    assert.deepEqual(kinds(), ['capture', 'message', 'summary']);
    assert.equal(runs(spy.sensor), false);
  });
}

test("a terminal's Ctrl+C reaches CMD once, even when its input is not the terminal", kernel, async () => {
  const script = `trap 'echo interrupted' INT; echo ready; n=0; while [ $n -lt 4 ]; do sleep 0.25; n=$((n + 1)); done`;
  const command = `exec ${SPY_IN_SHELL} run -q -- sh -c "${script.replace(/\$/g, '\\$')}" </dev/null`;
  const terminal = start(['python3', 'test/peers/terminal.py', 'sh', '-c', command]);
  const result = await terminal.ended;
  const all = JSON.stringify(result);
  assert.equal(result.stdout.match(/interrupted/g)?.length, 1, all);
  assert.equal(result.code, 0, all);
});

test('a CMD that ignores Ctrl+C is left alone after two seconds', kernel, async () => {
  const spy = await running(`trap '' INT; ${TALK}; echo ready; exec sleep 30`);
  const since = performance.now();
  spy.child.kill('SIGINT');
  // CMD holds the pipes, so wait for the process only.
  assert.equal(await spy.exited, 130);
  assert.ok(performance.now() - since > 1500);
  assert.match(spy.stderr(), /still runs, unwatched/);
  assert.deepEqual(kinds(), ['capture', 'message', 'summary']);
  await until(() => !runs(spy.sensor), 'the sensor to end');
  assert.ok(runs(spy.command));
  process.kill(spy.command, 'SIGKILL');
  await spy.ended;
});

test('a second Ctrl+C ends at once', kernel, async () => {
  const spy = await running(`trap '' INT; echo ready; exec sleep 30`);
  spy.child.kill('SIGINT');
  setTimeout(() => spy.child.kill('SIGINT'), patience(100));
  assert.equal(await spy.exited, 130);
  // It has not waited for CMD, whose two seconds would have ended with these.
  assert.doesNotMatch(spy.stderr(), /still runs/);
  assert.deepEqual(kinds(), ['capture']);
  process.kill(spy.command, 'SIGKILL');
  await spy.ended;
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends a watch with its summary and status 0; the watched go on`, kernel, async () => {
    const peer = await talker();
    const spy = await watching(peer.pid, ['-o', file]);
    peer.talk();
    await until(() => readFileSync(file, 'utf8').includes('tools/list'), 'the message');
    spy.child.kill(signal);
    const result = await spy.ended;
    assert.equal(result.code, 0);
    assert.match(result.stderr, /nothing was lost/);
    assert.deepEqual(kinds(), ['capture', 'message', 'summary']);
    assert.ok(runs(peer.pid));
    peer.child.kill();
  });
}

test('a watch ends by itself with the last process it watches', kernel, async () => {
  const peer = await talker();
  const spy = await watching(peer.pid);
  peer.child.stdin?.end();
  assert.equal((await spy.ended).code, 0);
});

test('when mcpspy is killed the sensor goes, too, and CMD goes on', kernel, async () => {
  const spy = await running(`${TALK}; echo ready; sleep 1; ${TALK}; echo unharmed`);
  await until(() => readFileSync(file, 'utf8').includes('tools/list'), 'the message');
  spy.child.kill('SIGKILL');
  await until(() => !runs(spy.pid) && !runs(spy.sensor), 'both to end');
  assert.ok(runs(spy.command));
  const { stdout, stderr, signal } = await spy.ended;
  assert.equal(signal, 'SIGKILL');
  assert.match(stdout, /unharmed/);
  // Nobody is left to say anything; the sensor says nothing of its own end.
  assert.doesNotMatch(stderr, FAULT);
  assert.deepEqual(kinds(), ['capture', 'message']);
});

for (const who of ['mcpspy', 'its sensor'] as const)
  test(`when ${who} is killed in a watch, the watched go on`, kernel, async () => {
    const peer = await talker();
    const spy = await watching(peer.pid, ['-o', file]);
    peer.talk();
    await until(() => readFileSync(file, 'utf8').includes('tools/list'), 'the message');
    const [sensor = 0] = childrenOf(spy.pid);
    process.kill(who === 'mcpspy' ? spy.pid : sensor, 'SIGKILL');
    const { code, signal, stderr } = await spy.ended;
    await until(() => !runs(sensor), 'the sensor to end');
    if (who === 'mcpspy') {
      assert.equal(signal, 'SIGKILL');
      assert.doesNotMatch(stderr, FAULT);
      assert.deepEqual(kinds(), ['capture', 'message']);
    } else {
      assert.equal(code, 5);
      assert.equal(stderr.match(/^mcpspy: the sensor has ended unexpectedly/gm)?.length, 1, stderr);
      assert.deepEqual(kinds(), ['capture', 'message', 'summary']);
    }
    // It still does what it is told.
    peer.child.stdin?.end('go\n');
    const { code: own, signal: ownSignal } = await peer.ended;
    assert.deepEqual([own, ownSignal], [0, null]);
  });

/** Messages of a megabyte as fast as they go, for so many seconds: half of all kills meet the monitor in a write. */
const FLOOD = `
import json, os, sys, time
line = (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"x": "y" * 1000000}}) + "\\n").encode()
print("ready", flush=True)
out, into = os.pipe()
if os.fork() == 0:
    os.close(into)
    while os.read(out, 65536): pass
    os._exit(0)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until: os.write(into, line)
`;

const FLOOD_SECONDS = String(patience(1000) / 1000);

for (const who of ['mcpspy', 'its sensor'] as const)
  test(
    `when ${who} is killed while mcpspy writes as fast as it can, the file has whole lines`,
    kernel,
    async () => {
      for (let count = 0; count < (who === 'mcpspy' ? 8 : 4); count++) {
        const output = join(directory, `flood${count}`);
        const spy = start([...SPY, 'run', '-q', '-o', output, '--', 'python3', '-c', FLOOD, FLOOD_SECONDS]);
        await until(() => existsSync(output) && statSync(output).size > 4 << 20, 'many lines');
        await sleep(40 * count);
        const [sensor = 0] = childrenOf(spy.pid);
        process.kill(who === 'mcpspy' ? spy.pid : sensor, 'SIGKILL');
        await until(() => !runs(spy.pid) && !runs(sensor), 'both to end');
        const found = kindsIn(readFileSync(output, 'latin1'));
        rmSync(output);
        assert.equal(found[0], 'capture');
        assert.ok(found.includes('message'));
        assert.equal(found.at(-1) === 'summary', who !== 'mcpspy', `the last is a ${found.at(-1)}`);
        const { code, signal, stderr } = await spy.ended;
        assert.deepEqual([code, signal], who === 'mcpspy' ? [null, 'SIGKILL'] : [5, null], stderr);
      }
    },
  );

test(
  'when the sensor is killed mcpspy says so, with whole lines, a summary and status 5',
  kernel,
  async () => {
    const spy = await running(`${TALK}; echo ready; sleep 1; echo unharmed`);
    await until(() => readFileSync(file, 'utf8').includes('tools/list'), 'the message');
    process.kill(spy.sensor, 'SIGKILL');
    assert.equal(await spy.exited, 5);
    assert.match(spy.stderr(), /the sensor has ended unexpectedly/);
    assert.match(spy.stderr(), /"code":5/);
    assert.deepEqual(kinds(), ['capture', 'message', 'summary']);
    assert.match((await spy.ended).stdout, /unharmed/);
  },
);

test('a sensor killed during a quiet watch is told, too', kernel, async () => {
  const peer = await talker();
  const quiet = join(directory, 'quiet');
  const spy = start([...SPY, '--pid', String(peer.pid), '-q', '-o', quiet]);
  await until(() => existsSync(quiet) && readFileSync(quiet, 'utf8').includes('capture'), 'mcpspy to watch');
  process.kill(childrenOf(spy.pid)[0] ?? 0, 'SIGKILL');
  const result = await spy.ended;
  assert.equal(result.code, 5);
  assert.match(result.stderr, /^mcpspy: the sensor has ended/);
  peer.child.kill();
});

test('standard streams stay as blocking as they were', kernel, async () => {
  const flags = 'for n in 0 1 2; do grep flags /proc/$$/fdinfo/$n; done';
  const script = `trap 'trap "" INT; sleep 0.2; ${flags}; exit 0' INT; echo ready; while :; do sleep 0.05; done`;
  const result = start([
    '/bin/sh',
    '-c',
    `sleep 5 | ${SPY_IN_SHELL} run --color auto -- sh -c '${script.replace(/'/g, `'\\''`)}' 2>&1 | cat`,
  ]);
  await until(() => result.stdout().includes('ready'), 'the command');
  const isSpy = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('main.js');
  process.kill(childrenOf(result.pid).find(isSpy) ?? 0, 'SIGINT');
  await until(() => (result.stdout().match(/flags/g)?.length ?? 0) === 3, 'the flags');
  assert.deepEqual(result.stdout().match(/flags:\s+\d+/g), ['flags:\t00', 'flags:\t01', 'flags:\t01']);
  result.child.kill();
});
