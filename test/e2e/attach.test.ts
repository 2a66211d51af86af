// SPDX-License-Identifier: Apache-2.0
/** `--pid`: processes that were there before the capture. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attached, attach, cannotCapture, scratch } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';
import {
  ask,
  assertExactly,
  assertIsPeer,
  assertOrderly,
  assertPaired,
  call,
  clientCommand,
  INITIALIZE,
  notification,
  open,
  request,
  SERVER,
  type Sent,
  type Step,
  shellWords,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;

/** A conversation that waits at a gate, and everything it started, which is gone after `use`. */
async function withConversation(
  steps: (gate: string, arrived: string) => readonly Step[],
  use: (talk: {
    truth: Truth;
    pid: (who: string) => number;
    open: () => void;
    over: Promise<unknown>;
  }) => Promise<void>,
  command: (truth: Truth, steps: readonly Step[]) => string[] = clientCommand,
): Promise<void> {
  const truth = new Truth();
  const [gate, arrived] = ['gate', 'arrived'].map((name) => join(truth.directory, name)) as [string, string];
  const [file = '', ...args] = command(truth, steps(gate, arrived));
  const client: ChildProcess = spawn(file, args, {
    env: { ...process.env, ...truth.env },
    stdio: 'inherit',
    detached: true,
  });
  const over = new Promise((resolve) => client.once('exit', resolve));
  try {
    for (let waited = 0; !existsSync(arrived); waited += 10) {
      assert.ok(waited < patience(20_000), 'the conversation never got to its gate');
      await sleep(10);
    }
    await use({
      truth,
      pid: (who) => truth.peers().get(who)?.pid ?? assert.fail(`no ${who}`),
      open: () => writeFileSync(gate, ''),
      over,
    });
  } finally {
    // Its own process group: the shell, the client and the servers.
    try {
      if (client.pid) process.kill(-client.pid, 'SIGKILL');
    } catch {
      // All gone by themselves.
    }
    await over;
  }
}

/** The end of a capture that is to end by itself, soon. */
async function endedByItself(attached: Attached) {
  const late = setTimeout(() => attached.child.kill('SIGKILL'), patience(10_000));
  const capture = await attached.ended();
  clearTimeout(late);
  assert.equal(attached.child.signalCode, null, 'mcpspy did not end with what it watched');
  assert.equal(capture.code, 0, capture.stderr);
  return capture;
}

const after = (truth: Truth, time: bigint) => truth.sent().filter((sent) => sent.time > Number(time));

const talk = [
  ...ask('link', call('first', 'echo', { text: 'after the join' })),
  ...ask('link', call(2, 'fail')),
  ...ask('link', request(3, 'tools/list')),
  { send: 'link', text: notification('notifications/roots/list_changed') },
  ...ask('link', call(4, 'echo', { text: 'large'.repeat(60_000) })),
  { burst: 'link', first: 10, count: 50 },
  // Long enough for /proc to be asked who it is.
  { sleep: 0.5 },
];

for (const via of ['pipes', 'socketpair'])
  test(
    `--pid of a server whose client is out of scope, over ${via}: every message from then on, both ends attributed, and an end of its own`,
    { skip },
    () =>
      withConversation(
        (gate, arrived) => [
          ...open('link', SERVER, { via }),
          ...ask('link', call(1, 'echo')),
          { touch: arrived },
          { gate },
          ...talk,
          { close: 'link' },
        ],
        async ({ truth, pid, open }) => {
          const attached = await attach([pid('server link')]);
          const joined = process.hrtime.bigint();
          open();
          const capture = await endedByItself(attached);
          const matches = assertExactly(capture, after(truth, joined));
          assertPaired(matches);
          assertOrderly(capture);
          assert.deepEqual([capture.summary.pending, capture.summary.orphans], [0, 0]);
        },
      ),
  );

/** Client and server side by side, joined by FIFOs: neither descends from the other. */
function sideBySide(truth: Truth, steps: readonly Step[]): string[] {
  const directory = scratch();
  assert.equal(spawnSync('mkfifo', ['to', 'from'], { cwd: directory }).status, 0);
  const [to, from] = [join(directory, 'to'), join(directory, 'from')];
  // Each in a subshell that it replaces: a shell that kept the FIFOs open would be a third peer.
  const server = `(exec ${shellWords(SERVER)} <${to} >${from})`;
  const client = `(exec ${shellWords(clientCommand(truth, steps))} >${to} <${from})`;
  return ['sh', '-c', `${server} & ${client} & wait`];
}

for (const who of ['client', 'server'])
  test(
    `--pid of the ${who} alone, joined to its peer by FIFOs: every message from then on, both ends attributed`,
    { skip },
    () =>
      withConversation(
        (gate, arrived) => [
          { start: 'link', command: [], via: 'stdio' },
          ...ask('link', INITIALIZE),
          ...ask('link', call(1, 'echo')),
          { touch: arrived },
          { gate },
          ...talk,
          { close: 'link' },
        ],
        async ({ truth, pid, open }) => {
          const attached = await attach([pid(`${who} link`)]);
          const joined = process.hrtime.bigint();
          open();
          const capture = await endedByItself(attached);
          const matches = assertExactly(capture, after(truth, joined));
          assertPaired(matches);
          assertOrderly(capture);
        },
        sideBySide,
      ),
  );

/** A client among so many others that to describe them all takes a while. */
function amongMany(truth: Truth, steps: readonly Step[]): string[] {
  const client = shellWords(clientCommand(truth, steps));
  return ['sh', '-c', `i=0; while [ $i -lt 500 ]; do sleep 600 & i=$((i + 1)); done; ${client}; true`];
}

test(
  '--pid of the parent of 500 processes: what passes at once is attributed to who was there',
  {
    skip,
  },
  () =>
    withConversation(
      (gate, arrived) => [...open('link'), { touch: arrived }, { gate }, ...talk, { close: 'link' }],
      async ({ truth, pid, open, over }) => {
        const status = readFileSync(`/proc/${pid('client link')}/status`, 'utf8');
        const attached = await attach([Number(/^PPid:\s*(\d+)/m.exec(status)?.[1])]);
        const joined = process.hrtime.bigint();
        open();
        await over;
        const capture = await attached.stop();
        assertPaired(assertExactly(capture, after(truth, joined)));
        assertOrderly(capture);
      },
      amongMany,
    ),
);

test('--pid of a client includes the servers it has and those it will start', { skip }, () =>
  withConversation(
    (gate, arrived) => [
      ...open('link'),
      { touch: arrived },
      { gate },
      ...talk,
      ...open('later'),
      ...ask('later', call(1, 'echo')),
      { close: 'later' },
      { close: 'link' },
    ],
    async ({ truth, pid, open }) => {
      const attached = await attach([pid('client link')]);
      const joined = process.hrtime.bigint();
      open();
      const capture = await endedByItself(attached);
      const matches = assertExactly(capture, after(truth, joined));
      assertPaired(matches);
      assertOrderly(capture);
      assert.equal(new Set(matches.map(({ link }) => link)).size, 2);
    },
  ),
);

test(
  '--pid in the middle of a call: its answer is shown as an orphan, all that follows is paired',
  { skip },
  () =>
    withConversation(
      (gate, arrived) => [
        ...open('link'),
        { send: 'link', text: call('before', 'sleep', { until: gate, thread: true }) },
        ...ask('link', call('known', 'echo')),
        { touch: arrived },
        { gate },
        ...talk,
        { answer: 'link', id: 'before' },
        { close: 'link' },
      ],
      async ({ truth, pid, open }) => {
        const attached = await attach([pid('server link')]);
        const joined = process.hrtime.bigint();
        open();
        const capture = await endedByItself(attached);
        const matches = assertExactly(capture, after(truth, joined));
        assertOrderly(capture);
        const [orphan, ...others] = matches.filter(({ line }) => line.status === 'orphan');
        assert.deepEqual([orphan?.line.id, orphan?.line.method, others], ['before', undefined, []]);
        assertPaired(matches.filter((match) => match !== orphan));
        assert.equal(capture.summary.orphans, 1);
      },
    ),
);

const MANY = Array.from({ length: 40 }, (_, index) => `link ${index}`);

test(
  '--pid of a client with 40 servers: not one of their streams is lost by both ends being seen first at the same moment',
  { skip },
  () =>
    withConversation(
      (gate, arrived) => [
        ...MANY.flatMap((link) => open(link)),
        { touch: arrived },
        { gate },
        ...MANY.flatMap((link) => [...ask(link, call('first', 'echo')), ...ask(link, call(2, 'echo'))]),
        ...MANY.map((link) => ({ close: link })),
      ],
      async ({ truth, pid, open }) => {
        const attached = await attach([pid(`client ${MANY[0]}`)]);
        const joined = process.hrtime.bigint();
        open();
        const capture = await endedByItself(attached);
        assertPaired(assertExactly(capture, after(truth, joined)));
        assert.deepEqual(capture.gaps, []);
      },
    ),
);

for (const who of ['client', 'server'])
  test(
    `--pid of the ${who} while messages fly: what is shown is the whole rest of the conversation, nothing else`,
    { skip },
    () =>
      withConversation(
        (gate, arrived) => [
          ...open('link'),
          ...ask('link', call('begin', 'echo')),
          { touch: arrived },
          { burst: 'link', first: 1, count: 1e9, until: gate },
          ...ask('link', request('end', 'ping')),
          { close: 'link' },
        ],
        async ({ truth, pid, open }) => {
          const attached = await attach([pid(`${who} link`)]);
          const joined = process.hrtime.bigint();
          await sleep(300);
          open();
          const capture = await endedByItself(attached);
          const sent = truth.sent();
          const rest = (direction: Sent['direction']) => {
            const flow = sent.filter((each) => each.direction === direction);
            const shown = capture.messages.filter(
              ({ raw }) => 'method' in JSON.parse(raw) === (direction === 'to server'),
            ).length;
            const later = flow.filter(({ time }) => time > Number(joined)).length;
            assert.ok(
              shown >= later && shown < flow.length,
              `${direction}: ${shown} shown of ${flow.length}, ${later} after the join`,
            );
            return flow.slice(-shown);
          };
          const matches = assertExactly(capture, [...rest('to server'), ...rest('to client')]);
          assert.ok(matches.length > 200, 'joined too late to prove anything');
          assertOrderly(capture);
          const first = matches.find(({ line }) => line.status === 'orphan');
          if (first) assert.ok(first.line.seq <= 3, 'only the first response may have lost its request');
          assertPaired(matches.filter((match) => match !== first));
        },
      ),
  );

test('--pid of a pair that stays silent shows nothing, and Ctrl+C ends it with 0', { skip }, () =>
  withConversation(
    (gate, arrived) => [
      ...open('link'),
      ...ask('link', call(1, 'echo')),
      { touch: arrived },
      { gate },
      { close: 'link' },
    ],
    async ({ truth, pid, open }) => {
      const attached = await attach([pid('client link')]);
      await sleep(200);
      const capture = await attached.stop();
      open();
      assert.equal(capture.code, 0);
      assert.deepEqual(
        capture.lines.map(({ kind }) => kind),
        ['capture', 'summary'],
      );
      const server = truth.peers().get('server link');
      assert.ok(server);
      assert.throws(() => assertIsPeer(undefined, server, 'nobody is shown'));
    },
  ),
);
