// SPDX-License-Identifier: Apache-2.0
/** A ring too small for the load: what is lost is said exactly, and nothing else is touched. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { childrenOf, status, until } from '../support/command.ts';
import {
  type CaptureResult,
  cannotCapture,
  captureRun,
  type OutputLine,
  ROOT,
  scratch,
} from '../support/mcpspy.ts';
import {
  bytesOf,
  chance,
  digest,
  framesOf,
  INITIALIZE,
  linesOf,
  type Movement,
  Movers,
  request,
} from '../support/mover.ts';
import { patience } from '../support/patience.ts';
import { assertOutput } from '../support/schema.ts';
import { LOAD_SIZE, Tally } from '../support/tally.ts';
import { onOneProcessor, PROCESSORS, Throttled } from '../support/throttled.ts';

/** Of Node and our own code, KiB: what a capture takes that does nothing, and as much again for garbage. */
const OURSELVES_KIB = 128 * 1024;
/** Messages sent when the storm is over: all of these must arrive. */
const AFTER = 50;

interface Accounted {
  readonly captured: number;
  readonly lost: number;
}

/**
 * captured + lost = sent, in frames and in bytes: whatever was captured is a frame that was sent, whole and at its
 * place; gaps lie between, and only the tail of a frame that a gap has cut may be missing beside them.
 */
function assertAccounted(result: CaptureResult, name: string, sent: Buffer): Accounted {
  const starts = new Map<number, Buffer>();
  let length = 0;
  for (const frame of framesOf(sent)) {
    starts.set(length, frame);
    length += frame.length + 1;
  }
  /** End of what is accounted for, and whether it is in the middle of a frame that a gap has cut. */
  let end = 0;
  let cut = false;
  let captured = 0;
  let lost = 0;
  const place = (line: OutputLine) => `${name}: ${line['kind']} at ${line['offset']}, after ${end}`;
  const skipTail = (to: number, what: string) => {
    const next = sent.indexOf(10, end - 1) + 1;
    assert.ok(
      to === end || (cut && to <= next),
      `${what}: bytes ${end} to ${to} are neither captured nor lost`,
    );
  };
  for (const line of linesOf(result, name)) {
    assert.ok(line['offset'] >= end, place(line));
    skipTail(line['offset'], place(line));
    end = line['offset'];
    if (line['kind'] === 'gap') {
      assert.equal(line['cause'], 'ring-full', `${place(line)}: ${JSON.stringify(line)}`);
      assert.equal(typeof line['frames'], 'number', `${place(line)}: the number of its frames is not known`);
      lost += line['frames'];
      end += line['bytes'];
      cut = !starts.has(end);
      continue;
    }
    const frame = starts.get(line['offset']);
    if (line['kind'] === 'invalid' && line['reason'] === 'cut off by a gap') {
      // A character that the gap has cut is shown as one that is invalid.
      const head = Buffer.from(line['raw'].replace(/\ufffd$/, ''));
      if (!frame?.subarray(0, head.length).equals(head))
        assert.fail(`${place(line)}: sent ${digest(frame)}; captured of ${line['size']} ${digest(head)}`);
      end += line['size'];
      continue;
    }
    const got = bytesOf(line);
    if (!frame || !got?.equals(frame))
      assert.fail(`${place(line)}: sent ${digest(frame)}; captured ${digest(got)}`);
    captured++;
    end += frame.length + 1;
    cut = false;
  }
  skipTail(sent.length, `${name}: the end`);
  assert.equal(captured + lost, starts.size, `${name}: ${captured} frames captured and ${lost} lost`);
  return { captured, lost };
}

/** `count` messages as fast as can be, a pause of so many milliseconds, then AFTER more. */
function storm(
  seed: number,
  count: number,
  size: number,
  { pause = 3000, ...more }: Partial<Movement> & { pause?: number } = {},
): Movement {
  const random = chance(seed);
  const parts: Buffer[] = [INITIALIZE];
  const plan: string[] = [`${INITIALIZE.length}`, '200 sleep'];
  const add = (message: Buffer) => {
    parts.push(message);
    plan.push(`${message.length}`);
  };
  for (let id = 0; id < count; id++) add(request(id, 150 + random(size), random));
  // Until all storms are over.
  plan.push(`${patience(pause)} sleep`);
  for (let id = 0; id < AFTER; id++) {
    plan.push('5 sleep');
    add(request(count + id, 150 + random(300), random));
  }
  return { data: Buffer.concat(parts), plan, buffer: 8000, ...more };
}

function assertStorm(result: CaptureResult, movers: Movers, names: readonly string[], some: boolean): void {
  assert.equal(result.code, 0, result.stderr);
  assertOutput(result.lines, result.isPart);
  let lost = 0;
  for (const name of names) {
    const sent = movers.sent(name);
    assert.ok(movers.received(name).equals(sent));
    lost += assertAccounted(result, name, sent).lost;
    const last = linesOf(result, name).slice(-AFTER);
    assert.deepEqual(
      last.map((line) => line['kind']),
      Array(AFTER).fill('message'),
      `${name}: what came after the storm`,
    );
  }
  assert.equal(result.summary['losses']['ring-full']?.frames ?? 0, lost);
  if (some) assert.ok(lost > 0, 'nothing was lost: the load is too small to test anything');
  const bytes = result.gaps.reduce((sum, gap) => sum + gap['bytes'], 0);
  assert.equal(result.summary['losses']['ring-full']?.bytes ?? 0, bytes);
}

test('several streams too fast for a ring of 256K', { skip: cannotCapture }, async () => {
  const movers = new Movers(scratch());
  const storms: Record<string, Movement> = {
    'storm-small': storm(1, 20_000, 300),
    'storm-socket': storm(2, 20_000, 300, { carrier: 'socketpair' }),
    'storm-medium': storm(3, 5000, 10_000),
    'storm-large': storm(4, 300, 300_000, { carrier: 'socketpair' }),
  };
  const result = await captureRun(movers.script(storms, 'together'), {
    options: ['-q', '--ring-size', '256K'],
  });
  assertStorm(result, movers, Object.keys(storms), true);
});

/** The beginning of a script: whoever watches it stands still. */
const STOPPED = `
import os, signal, sys, time
monitor = int(open('/proc/%d/stat' % os.getppid()).read().split(')')[1].split()[1])
os.kill(monitor, signal.SIGSTOP)
`;

/** The load's peers (bench/peers/load.c), compiled into `directory`. */
function compileLoad(directory: string): string {
  const load = join(directory, 'load');
  const gcc = spawnSync('gcc', ['-O2', '-pthread', '-o', load, join(ROOT, 'bench', 'peers', 'load.c')]);
  assert.equal(gcc.status, 0, String(gcc.stderr));
  return load;
}

test('a ring that is full for ten seconds at ten times what can be worked off: what was sent is captured or lost, to the frame and by stream, in bounded memory; then all is captured', {
  skip: cannotCapture || onOneProcessor,
}, async () => {
  const directory = scratch();
  const account = join(directory, 'account');
  // A flood, and a load that is none, each when a line of input says so.
  const [, writers = ''] = PROCESSORS;
  const script = `exec >"$1"; echo ready
read -r go; taskset -c ${writers} "$0" client ${LOAD_SIZE} 0 10 "$0" serve ${LOAD_SIZE}
read -r go; "$0" client ${LOAD_SIZE} 1000 1 "$0" serve ${LOAD_SIZE}`;
  // Small: it is full at once, again and again, and what is told of that crosses what is captured most often.
  const ring = 256;
  const options = ['-q', '--ring-size', `${ring}K`, '--max-message', '1M', '-o', '-'];
  const said = () => (existsSync(account) ? readFileSync(account, 'utf8').split('\n').slice(0, -1) : []);

  const spy = new Tally(['run', ...options, '--', 'sh', '-c', script, compileLoad(directory), account]);
  await until(() => said().length === 1, 'the command');
  const [sensor = 0] = childrenOf(spy.pid);
  const throttled = new Throttled([spy.pid, sensor]);
  spy.child.stdin.write('\n');
  try {
    await until(() => said().length === 2, 'the end of the flood');
  } finally {
    throttled.end();
  }
  await spy.quiet();
  const memory = Number.parseInt(status(spy.pid, 'VmHWM'), 10);
  spy.child.stdin.end('\n');
  const { streams, losses } = await spy.ended();

  const [flood = 0, calm = 0] = said()
    .slice(1)
    .map((line) => JSON.parse(line).messages / 2);
  assert.deepEqual(
    streams.map(({ captured, lost }) => captured + lost),
    [flood, flood, calm, calm],
  );
  assert.deepEqual(
    streams.map(({ end }) => end),
    [flood, flood, calm, calm].map((count) => count * LOAD_SIZE),
  );
  const [first, second, ...after] = streams;
  assert.ok(first && second);
  assert.deepEqual(
    after.map(({ lost }) => lost),
    [0, 0],
  );
  assert.equal(losses['ring-full'].frames, first.lost + second.lost);
  // What was captured is what could be worked off while ten times as much was sent.
  const captured = first.captured + second.captured;
  assert.ok(2 * flood >= 10 * captured, `${2 * flood} sent, ${captured} captured: the load is too small`);
  // From the flood's beginning to its end, of which the rate is about the same throughout.
  for (const { firstGap = 0, lastGapEnd, end } of [first, second])
    assert.ok(
      firstGap < 0.1 * end && lastGapEnd > 0.9 * end,
      `full from ${firstGap} to ${lastGapEnd} of ${end}`,
    );
  // The ring, which is mapped twice, one behind the other; what may be begun; what may wait, and be parked; ourselves.
  const bound = 2 * ring + 8 * 1024 + (32 + 16) * 1024 + OURSELVES_KIB;
  assert.ok(memory <= bound, `${memory} KiB in memory; may be ${bound}`);
});

test('streams that begin and end while the ring is full are told, too, if only how many', {
  skip: cannotCapture,
}, async () => {
  const load = compileLoad(scratch());
  // Who stands still cannot keep up, whatever the machine.
  const script = `
import subprocess
${STOPPED}flood = subprocess.Popen([sys.argv[1], "client", "300", "0", "3", sys.argv[1], "serve", "300"], stdout=subprocess.DEVNULL)
time.sleep(1)
for id in range(100):
    out, into = os.pipe()
    os.write(into, b'{"jsonrpc":"2.0","id":"short %d","method":"tools/list"}\\n' % id)
    os.read(out, 1000)
    os.close(out), os.close(into)
os.kill(monitor, signal.SIGCONT)
flood.wait()
`;
  const result = await captureRun(['python3', '-c', script, load], {
    options: ['-q', '--ring-size', '256K'],
  });
  const short = result.messages.filter(({ id }) => String(id).startsWith('short')).length;
  const { unseen } = result.summary;
  assert.equal(short + unseen.streams, 100);
  assert.ok(unseen.streams > 10, 'too little was lost to test anything');
  assert.ok(
    unseen.bytes >= 55 * unseen.streams && unseen.bytes <= 56 * unseen.streams,
    `${unseen.bytes} bytes`,
  );
});

test('a socket whose conversation begins while the ring is full: what it lost is told to the frame, and all that follows', {
  skip: cannotCapture,
}, async () => {
  const script = `
import socket
${STOPPED}out, into = os.pipe()
for id in range(5000):
    os.write(into, b'{"jsonrpc":"2.0","id":"%d","method":"tools/list"}\\n' % id)
    os.read(out, 1000)
one, other = socket.socketpair()
def say(id, size):
    one.sendall(b'{"jsonrpc":"2.0","id":"%s","method":"tools/call","params":{"name":"%s"}}\\n' % (id.encode(), b'x' * size))
    other.recv(1000000)
for id in range(100): say('big %d' % id, 700 * id)
os.kill(monitor, signal.SIGCONT)
time.sleep(float(sys.argv[1]))
for id in range(50): say('after %d' % id, 10)
`;
  const result = await captureRun(['python3', '-c', script, String(patience(1000) / 1000)], {
    options: ['-q', '--ring-size', '256K'],
  });
  const [last] = result.messages.slice(-1);
  const own = result.lines.filter(({ stream }) => stream === last?.['stream']);
  assert.deepEqual(
    own.map(({ kind, id, frames }) => frames ?? `${kind} ${id}`),
    [100, ...Array.from({ length: 50 }, (_, id) => `message after ${id}`)],
  );
});

/** Of so many pipes the control ring, of 2 MiB, can describe some 9,000. */
const PIPES = `
def say(pipe, id):
    os.write(pipe[1], b'{"jsonrpc":"2.0","id":"%s","method":"tools/list"}\\n' % id.encode())
    os.read(pipe[0], 1000)
for id in range(15000):
    pipe = os.pipe()
    say(pipe, 'before')
    os.close(pipe[0]), os.close(pipe[1])
pipes = [os.pipe() for _ in range(100)]
for pipe in pipes: say(pipe, 'first')
os.kill(monitor, signal.SIGCONT)
time.sleep(float(sys.argv[1]))
for pipe in pipes: say(pipe, 'second')
`;
const PIPES_SECONDS = String(patience(3000) / 1000);
const endsOf = ({ messages }: CaptureResult, id: string) =>
  messages
    .filter((line) => line['id'] === id)
    .map(({ from, to }) => [from?.['comm'], to?.['comm']].join(' to '));

test('more pipes than the control ring can describe: the rest is described among the bytes, nothing is missing', {
  skip: cannotCapture,
}, async () => {
  const result = await captureRun(['python3', '-c', STOPPED + PIPES, PIPES_SECONDS]);
  const before = endsOf(result, 'before');
  assert.deepEqual([before.length, new Set(before)], [15_000, new Set(['python3 to python3'])]);
  assert.deepEqual(endsOf(result, 'first'), Array(100).fill('python3 to python3'));
  assert.deepEqual(endsOf(result, 'second'), Array(100).fill('python3 to python3'));
  assert.deepEqual(result.summary['losses'], {});
});

test('and where there is no room for that either: who reads is told by the next call, and that something was left out', {
  skip: cannotCapture,
}, async () => {
  const full = `
into, out = os.pipe()
for _ in range(800):
    os.write(out, b'x' * 65536)
    os.read(into, 65536)
`;
  const result = await captureRun(['python3', '-c', STOPPED + full + PIPES, PIPES_SECONDS]);
  assert.deepEqual(endsOf(result, 'first'), []);
  const own = result.gaps.filter(({ stream }) =>
    result.messages.some((line) => line['id'] === 'second' && line['stream'] === stream),
  );
  assert.deepEqual(
    own.map(({ cause, frames }) => [cause, frames]),
    Array(100).fill(['ring-full', 1]),
  );
  assert.deepEqual(endsOf(result, 'second'), Array(100).fill('python3 to python3'));
  assert.equal(result.summary['losses']['map-full'].bytes, 0);
  assert.ok(result.summary['losses']['map-full'].records >= 100);
});

test('the monitor stands still for five seconds under load', { skip: cannotCapture }, async () => {
  const movers = new Movers(scratch());
  const storms: Record<string, Movement> = {
    'still-pipe': storm(5, 40_000, 600, { pause: 6500 }),
    'still-socket': storm(6, 40_000, 600, { pause: 6500, carrier: 'socketpair' }),
  };
  // The monitor is the parent of the sensor, which is the parent of the command: the command stops it by name.
  const [shell = 'sh', script = ''] = movers.script(storms, 'together');
  const stop = 'sensor=$(cut -d" " -f4 /proc/$$/stat); monitor=$(cut -d" " -f4 /proc/$sensor/stat)';
  const command = `${stop}; (sleep 0.2; kill -STOP $monitor; sleep 5; kill -CONT $monitor) & exec ${shell} ${script}`;
  const result = await captureRun(['sh', '-c', command], { options: ['-q', '--ring-size', '1M'] });
  assertStorm(result, movers, Object.keys(storms), true);
});

test('a ring that is large enough loses nothing', { skip: cannotCapture }, async () => {
  const movers = new Movers(scratch());
  const storms: Record<string, Movement> = {
    'calm-pipe': storm(7, 20_000, 600),
    'calm-socket': storm(8, 20_000, 600, { carrier: 'socketpair' }),
  };
  const result = await captureRun(movers.script(storms, 'together'), {
    options: ['-q', '--ring-size', '64M'],
  });
  assertStorm(result, movers, Object.keys(storms), false);
  assert.deepEqual(result.summary['losses'], {});
});
