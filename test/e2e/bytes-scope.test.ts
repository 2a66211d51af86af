// SPDX-License-Identifier: Apache-2.0
/** What is around a conversation: processes that die, strangers, and bytes that are no messages at all. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cannotCapture, captureRun, ROOT, SPY, scratch } from '../support/mcpspy.ts';
import {
  assertFrames,
  chance,
  framesOf,
  INITIALIZE,
  linesOf,
  Movers,
  perLine,
  request,
} from '../support/mover.ts';
import { assertOutput } from '../support/schema.ts';

for (const carrier of ['pipe', 'socketpair'] as const) {
  for (const after of [10, 4096, 70_000, 300_000]) {
    test(`the writer on a ${carrier} is killed ${after} bytes into a message`, {
      skip: cannotCapture,
    }, async () => {
      const movers = new Movers(scratch());
      const whole = [INITIALIZE, request(1, 500), request(2, 90_000)];
      const data = Buffer.concat([...whole, request(3, 400_000)]);
      const name = `killed-${carrier}-${after}`;
      const plan = [...perLine(Buffer.concat(whole)), `${after}`, '100 sleep', '0 kill'];
      const result = await captureRun(movers.script({ [name]: { carrier, data, plan } }, 'in turn'), {
        options: ['-q'],
      });
      // The shell tells of SIGKILL, and `|| exit 1` is not there for the last command.
      assert.equal(result.code, 128 + 9, result.stderr);
      assertOutput(result.lines, result.isPart);
      const sent = movers.sent(name);
      assert.equal(sent.length, data.length - 400_000 + after);
      const lines = linesOf(result, name);
      const cut = lines.pop();
      assertFrames(lines, framesOf(Buffer.concat(whole)), name);
      const rest = sent.subarray(sent.length - after);
      assert.equal(cut?.['kind'], 'invalid');
      assert.equal(cut['size'], after);
      assert.equal(cut['offset'], sent.length - after);
      assert.match(cut['reason'], /end of the stream|when the capture stopped/);
      // A character that the kill has cut is shown as one that is invalid.
      const head = Buffer.from(cut['raw'].replace(/\ufffd$/, ''));
      assert.ok(head.length > Math.min(after, 4096) - 4 && rest.subarray(0, head.length).equals(head));
    });
  }
}

test('a killed writer is told apart from a capture that stops', { skip: cannotCapture }, async () => {
  const movers = new Movers(scratch());
  const data = Buffer.concat([INITIALIZE, request(1, 500)]);
  const plan = [`${INITIALIZE.length}`, '100', '300 sleep', '0 kill'];
  const result = await captureRun(movers.script({ dies: { data, plan } }, 'in turn'), { options: ['-q'] });
  assert.equal(linesOf(result, 'dies').at(-1)?.['reason'], 'cut off by the end of the stream');
});

test('10,000 strangers live and die beside a conversation', { skip: cannotCapture }, async () => {
  const directory = scratch();
  const movers = new Movers(directory);
  const started = join(directory, 'started');
  const crowd = spawn('python3', [join(ROOT, 'test', 'peers', 'crowd.py'), started], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(crowd, 'exit');
  try {
    while (!existsSync(started)) {
      assert.equal(crowd.exitCode, null);
      await sleep(10);
    }
    const random = chance(3);
    const parts: Buffer[] = [INITIALIZE];
    for (let id = 0; id < 600; id++) parts.push(request(id, 150 + random(1500), random));
    const data = Buffer.concat(parts);
    // Two seconds and more at an easy pace, so that thousands of strangers come and go meanwhile.
    const plan = perLine(data).flatMap((step) => [step, '4 sleep']);
    const alive = movers.script(
      { beside: { data, plan }, 'beside-socket': { carrier: 'socketpair', data, plan } },
      'together',
    );
    const result = await captureRun(alive, { options: ['-q', '--ring-size', '1M'] });
    assert.equal(result.code, 0, result.stderr);
    assertOutput(result.lines, result.isPart);
    assert.deepEqual(result.summary['losses'], {});
    for (const name of ['beside', 'beside-socket'])
      assertFrames(linesOf(result, name), framesOf(movers.sent(name)), name);
    assert.equal(result.lines.length, 2 * 601 + 2, 'nobody else is in the output');
    assert.equal(JSON.stringify(result.lines).includes('stranger'), false);
  } finally {
    crowd.kill();
    await ended;
  }
});

test('10,000 of its own short-lived children do not disturb it either', { skip: cannotCapture }, async () => {
  const movers = new Movers(scratch());
  const data = Buffer.concat([INITIALIZE, ...Array.from({ length: 300 }, (_, id) => request(id, 700))]);
  const plan = perLine(data).flatMap((step) => [step, '5 sleep']);
  const [shell = 'sh', script = ''] = movers.script({ parent: { data, plan } }, 'in turn');
  const forks =
    'import os\nfor n in range(10000): os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)';
  const result = await captureRun(['sh', '-c', `python3 -c '${forks}' & ${shell} ${script}; wait`], {
    options: ['-q'],
  });
  assert.equal(result.code, 0, result.stderr);
  assertOutput(result.lines, result.isPart);
  assert.deepEqual(result.summary['losses'], {});
  assertFrames(linesOf(result, 'parent'), framesOf(movers.sent('parent')), 'parent');
});

// ---- high volume that is none of our business ----------------------------------

/** What is captured of `shell` with a ring so small that whatever goes on being copied overflows it. */
async function flooded(shell: string): Promise<{ lines: string[]; overflow: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
  const file = join(directory, 'out.jsonl');
  const options = ['-q', '-l', 'debug', '-o', file, '--ring-size', '256K'];
  const [spy, ...backEnd] = SPY;
  const child = spawn(spy, [...backEnd, 'run', ...options, '--', 'sh', '-c', shell], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, stderr);
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  rmSync(directory, { recursive: true });
  const counted: { bytes: number }[] = JSON.parse(stderr.match(/^kernel losses (.*)$/m)?.[1] ?? 'null');
  return { lines, overflow: counted.reduce((sum, { bytes }) => sum + bytes, 0) };
}

const FLOODS: Readonly<Record<string, (megabytes: number) => string>> = {
  'zero bytes': (megabytes) => `head -c ${megabytes}M /dev/zero | wc -c`,
  'random bytes': (megabytes) =>
    `python3 -c 'import os\nnoise = os.urandom(1 << 20)\nfor n in range(${megabytes}): os.write(1, noise)' | wc -c`,
  'lines of text': (megabytes) => `yes "a line of text that is no message" | head -c ${megabytes}M | wc -l`,
  'lines of JSON': (megabytes) =>
    `yes '{"level":"info","message":"a structured log"}' | head -c ${megabytes}M | wc -l`,
  'other JSON-RPC': (megabytes) =>
    `yes '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}' | head -c ${megabytes}M | wc -l`,
};

for (const [what, flood] of Object.entries(FLOODS)) {
  test(`a flood of ${what} stays out and is soon copied no more`, { skip: cannotCapture }, async () => {
    const { lines, overflow } = await flooded(flood(3000));
    const output = lines.map((line) => JSON.parse(line));
    assertOutput(output);
    assert.deepEqual(output.slice(1, -1), []);
    assert.deepEqual(output.at(-1)['losses'], {});
    // What nobody wants and is copied all the same finds no room.
    assert.ok(overflow < 300 << 20, `${Math.round(overflow / 2 ** 20)} MiB of it were still to be copied`);
  });
}
