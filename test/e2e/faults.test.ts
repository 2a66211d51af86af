// SPDX-License-Identifier: Apache-2.0
/** What happens to processes while they talk, and to those who watch them: nothing is lost and nobody mistaken. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  attach,
  type CaptureResult,
  cannotCapture,
  captureRun,
  type OutputLine,
  SPY_IN_SHELL,
  scratch,
} from '../support/mcpspy.ts';
import {
  ask,
  assertFaithful,
  assertPaired,
  call,
  clientCommand,
  converse,
  open,
  PYTHON,
  request,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;
const raws = (lines: readonly OutputLine[]) => lines.map(({ raw }) => raw);

/** A pair that waits for a line on its input, then exchanges so many calls over pipes. */
const PAIR = `
import json, subprocess, sys
answer = "import sys\\nfor line in sys.stdin:\\n  print(line.replace('\\"method\\": \\"tools/call\\", \\"params\\": {}', '\\"result\\": {}'), end='', flush=True)"
server = subprocess.Popen([sys.executable, "-c", answer], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sys.stdin.readline()
for id in range(int(sys.argv[1])):
    server.stdin.write((json.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {}}) + "\\n").encode())
    server.stdin.flush()
    server.stdout.readline()
`;

function pairLines(count: number): string[] {
  return Array.from({ length: count }, (_, id) => [
    `{"jsonrpc": "2.0", "id": ${id}, "method": "tools/call", "params": {}}`,
    `{"jsonrpc": "2.0", "id": ${id}, "result": {}}`,
  ]).flat();
}

function assertNothingLost(capture: CaptureResult): void {
  assert.equal(capture.code, 0, capture.stderr);
  assert.deepEqual(capture.gaps, []);
  assert.deepEqual(capture.summary['losses'], {});
}

test('two mcpspy watch the same conversation: each has all of it', { skip }, async () => {
  const pair = spawn(PYTHON, ['-c', PAIR, '300'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const both = [await attach([pair.pid ?? 0]), await attach([pair.pid ?? 0])];
  pair.stdin.end('\n');
  for (const capture of await Promise.all(both.map((each) => each.ended()))) {
    assertNothingLost(capture);
    assert.deepEqual(raws(capture.messages), pairLines(300));
  }
});

test('mcpspy watches mcpspy: both have the conversation once, and what the inner one writes is no message', {
  skip,
}, async () => {
  const inner = join(mkdtempSync(join(tmpdir(), 'mcpspy-test-')), 'inner.jsonl');
  const capture = await captureRun(
    // Its lines go through a pipe that the outer one watches.
    ['sh', '-c', `${SPY_IN_SHELL} run -o - -- "$0" -c "$1" 100 | cat > ${inner}`, PYTHON, PAIR],
    { input: '\n' },
  );
  assertNothingLost(capture);
  assert.deepEqual(raws(capture.messages), pairLines(100));
  const lines: OutputLine[] = readFileSync(inner, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  assert.deepEqual(raws(lines.filter(({ kind }) => kind === 'message')), pairLines(100));
  assert.deepEqual(lines.at(-1)?.['losses'], {});
});

/** Many processes, which `writing` starts, say `count` things through one pipe, `into`: each is told once, and who said it. */
async function assertEachOnce(count: number, writing: string): Promise<void> {
  const script = `
import os
out, into = os.pipe()
if os.fork() == 0:
    os.close(into)
    while os.read(out, 65536): pass
    os._exit(0)
def say(id):
    os.write(into, b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"pid":%d}}\\n' % (id, os.getpid()))
${writing}`;
  const capture = await captureRun([PYTHON, '-c', script]);
  assertNothingLost(capture);
  const ids = capture.messages.map(({ id }) => id).sort((a, b) => a - b);
  assert.deepEqual(ids, [...Array(count).keys()]);
  const others = capture.messages.filter(({ from, params }) => from?.['pid'] !== params['pid']);
  assert.deepEqual(others, []);
}

test('a storm of 2,000 forks, each of which says one thing: all of it, and who said it', { skip }, () =>
  assertEachOnce(
    2000,
    `
for id in range(2000):
    if os.fork() == 0:
        say(id)
        os._exit(0)
    if id % 50 == 49:
        for _ in range(50): os.wait()
`,
  ),
);

test('eight processes that write to one pipe at once: each message once, and who said it', { skip }, () =>
  assertEachOnce(
    16_000,
    `
for writer in range(8):
    if os.fork() == 0:
        # These lose their processor between their bytes and their return.
        if writer % 2: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        for id in range(writer * 2000, writer * 2000 + 2000): say(id)
        os._exit(0)
for _ in range(8): os.wait()
`,
  ),
);

test('processes that take turns to write to one pipe or socket: messages of 100 bytes to 1 MB, each once and whole', {
  skip,
}, async () => {
  const capture = await captureRun([
    PYTHON,
    '-c',
    `
import os, socket
def talk(out, into, piece):
    reader = os.fork()
    if reader == 0:
        os.close(into)
        while os.read(out, piece): pass
        os._exit(0)
    os.close(out)
    for id, size in enumerate([100, 5000, 20000, 60000, 65536, 66000, 200000, 1000000] * 3):
        if os.fork() == 0:
            text = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"text":"' % id
            left = text.ljust(size - 5, b'x') + b'"}}\\n'
            while left: left = left[os.write(into, left):]
            os._exit(0)
        os.wait()
    os.close(into)
    os.waitpid(reader, 0)
talk(*os.pipe(), 65536)
talk(*os.pipe(), 4096)
talk(*(end.detach() for end in socket.socketpair()), 10000)
`,
  ]);
  assertNothingLost(capture);
  const sizes = capture.messages.map(({ raw }) => raw.length + 1);
  assert.deepEqual(
    [sizes.length, new Set(sizes)],
    [72, new Set([99, 4999, 19999, 59999, 65535, 65999, 199999, 999999])],
  );
  assert.deepEqual(capture.invalid, []);
});

test('a process that becomes another in the middle of a message: the message is whole', {
  skip,
}, async () => {
  const message = request(1, 'tools/call', { name: 'half', arguments: { text: 'x'.repeat(5000) } });
  const [first, second] = [message.slice(0, 2500), message.slice(2500)];
  const capture = await captureRun(
    [
      'sh',
      '-c',
      `{ printf %s '${first}'; exec '${PYTHON}' -c 'import os; os.write(1, os.environb[b"REST"])'; } | cat >/dev/null`,
    ],
    { env: { REST: `${second}\n` } },
  );
  assertNothingLost(capture);
  assert.deepEqual(raws(capture.messages), [message]);
});

test('a descriptor that is used again for another pipe is another connection', { skip }, async () => {
  const capture = await captureRun([
    PYTHON,
    '-c',
    `
import os
def reader():
    out, into = os.pipe()
    if os.fork() == 0:
        os.close(into)
        try: os.close(50)
        except OSError: pass
        while os.read(out, 65536): pass
        os._exit(0)
    os.close(out)
    os.dup2(into, 50)
    os.close(into)
for turn in range(20):
    reader()
    os.write(50, b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\\n' % turn)
os.close(50)
`,
  ]);
  assertNothingLost(capture);
  assert.deepEqual(
    capture.messages.map(({ id }) => id),
    [...Array(20).keys()],
  );
  assert.equal(new Set(capture.messages.map(({ connection }) => connection)).size, 20);
  assert.equal(new Set(capture.messages.map(({ to }) => to?.['pid'])).size, 20);
});

test('a conversation under a debugger, stopped at every system call, is complete and in order', {
  skip,
}, async () => {
  const truth = new Truth();
  const steps = [
    ...open('link'),
    ...Array.from({ length: 20 }, (_, id) => ask('link', call(id + 1, 'echo'))).flat(),
    { close: 'link' },
  ];
  const command = ['strace', '-f', '-o', '/dev/null', ...clientCommand(truth, steps)];
  const capture = await captureRun(command, { env: truth.env });
  assertPaired(assertFaithful(capture, truth));
});

test('a server that is stopped in the middle of a call and goes on a second later loses nothing', {
  skip,
}, async () => {
  const pair = spawn(PYTHON, ['-c', PAIR, '2000'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const attached = await attach([pair.pid ?? 0]);
  pair.stdin.end('\n');
  for (let count = 0; count < 5; count++) {
    pair.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 200));
    pair.kill('SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const capture = await attached.ended();
  assertNothingLost(capture);
  assert.deepEqual(raws(capture.messages), pairLines(2000));
});

/** It waits in vfork(), uninterruptible, until its child is gone: at the end of its input. */
const UNINTERRUPTIBLE = `
#include <unistd.h>
static const char before[] = "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":1,\\"method\\":\\"tools/list\\"}\\n";
static const char after[] = "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":2,\\"method\\":\\"tools/list\\"}\\n";
int main(void)
{
	write(1, before, sizeof(before) - 1);
	if (!vfork()) {
		char byte;
		_exit(read(0, &byte, 1));
	}
	write(1, after, sizeof(after) - 1);
	return 0;
}
`;

test('--pid of a process in uninterruptible sleep is watched at once, and heard when it wakes', {
  skip,
}, async () => {
  const program = join(scratch(), 'uninterruptible');
  const gcc = spawnSync('gcc', ['-O1', '-x', 'c', '-o', program, '-'], {
    input: UNINTERRUPTIBLE,
    encoding: 'utf8',
  });
  assert.equal(gcc.status, 0, gcc.stderr);
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.stdout.resume();
  const state = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ')[2];
  for (const end = Date.now() + 2000; state() !== 'D' && Date.now() < end; ) await sleep(5);
  const before = state();
  const attached = await attach([child.pid ?? 0]);
  child.stdin.end();
  const capture = await attached.ended();
  assert.equal(before, 'D');
  assertNothingLost(capture);
  assert.deepEqual(
    capture.messages.map(({ id, from }) => [id, from?.['pid']]),
    [[2, child.pid]],
  );
});

test('a conversation that begins while another is torn down keeps its own ends', { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('first'),
    ...ask('first', call(1, 'echo')),
    ...open('second'),
    { kill: 'first' },
    ...ask('second', call(1, 'echo')),
    { close: 'second' },
  ]);
  assertPaired(assertFaithful(capture, truth));
});
