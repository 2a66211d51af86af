// SPDX-License-Identifier: Apache-2.0
/** Processes that come, go and become others while a client talks to them. */
import assert from 'node:assert/strict';
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, captureRun, type OutputLine, ROOT, scratch } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';
import {
  ask,
  assertExactly,
  assertFaithful,
  assertOrderly,
  assertPaired,
  call,
  clientCommand,
  converse,
  INITIALIZE,
  notification,
  open,
  PYTHON,
  request,
  SERVER,
  type Step,
  shellWords,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;
const BECOME = join(ROOT, 'test', 'peers', 'become.sh');
const named = (name: string) => [...SERVER, '--name', name];
const serversOf = (capture: { summary: OutputLine }) =>
  capture.summary.servers.map(({ server }: { server: OutputLine }) => server);

test('a server that is killed and started again is another server, with its own pid and connection', {
  skip,
}, async () => {
  const life = (link: string): Step[] => [
    ...open(link, named(link)),
    ...ask(link, call(1, 'echo', { link })),
    { kill: link },
  ];
  const { capture, truth } = await converse([...life('first'), ...life('second'), ...life('third')]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(new Set(matches.map(({ line }) => line.connection)).size, 3);
  const servers = serversOf(capture);
  assert.deepEqual(
    servers.map(({ name }: { name: string }) => name),
    ['first', 'second', 'third'],
  );
  assert.equal(new Set(servers.map(({ endpoint }: { endpoint: { pid: number } }) => endpoint.pid)).size, 3);
});

test('a request that a killed server left unanswered stays pending; its successor answers only its own', {
  skip,
}, async () => {
  const truth = new Truth();
  const steps: Step[] = [
    ...open('first'),
    { send: 'first', text: call(7, 'sleep', { seconds: 20, thread: true }) },
    ...ask('first', call(8, 'echo')),
    { kill: 'first' },
    ...open('second'),
    ...ask('second', call(7, 'echo')),
    { close: 'second' },
  ];
  const capture = await captureRun(clientCommand(truth, steps), { env: truth.env });
  assertOrderly(capture);
  const matches = assertExactly(capture, truth.sent());
  assertPaired(matches);
  assert.equal(capture.summary.pending, 1);
  const [answer, ...others] = matches.filter(({ line }) => line.type === 'response' && line.id === 7);
  assert.deepEqual([answer?.link, answer?.line.target, others], ['second', 'echo', []]);
});

test('a pid that is used again is the new process, on a connection of its own', { skip }, async () => {
  const { capture, truth } = await converse([
    ...open('first', named('first')),
    ...ask('first', call(1, 'echo')),
    { close: 'first' },
    ...open('second', ['sh', '-c', `exec '${PYTHON}' '${SERVER[1]}' --name second --log other`], {
      same_pid_as: 'first',
      via: 'socketpair',
    }),
    ...ask('second', call(1, 'fail')),
    { close: 'second' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const pids = new Map(
    matches.filter(({ direction }) => direction === 'to client').map(({ link, from }) => [link, from.pid]),
  );
  assert.equal(pids.get('first'), pids.get('second'));
  const servers = serversOf(capture);
  assert.deepEqual(
    servers.map(({ name }: { name: string }) => name),
    ['first', 'second'],
  );
  assert.deepEqual(
    servers.map(({ endpoint }: { endpoint: { argv: string[] } }) => endpoint.argv.at(-1)),
    ['first', 'other'],
  );
  assert.deepEqual(
    capture.stderrLines.map(({ connection }) => connection),
    [matches.find(({ link }) => link === 'second')?.line.connection],
  );
});

test('a shell that answers once and then becomes Python: the same pid, each message by the program it was then', {
  skip,
}, async () => {
  const directory = scratch();
  const argv = ['sh', BECOME, directory, ...SERVER];
  const truth = new Truth();
  const steps = [
    { start: 'link', command: argv },
    ...ask('link', INITIALIZE),
    { sleep: 0.3 },
    { send: 'link', text: notification('notifications/initialized') },
    ...ask('link', call(1, 'echo')),
    { close: 'link' },
  ];
  const capture = await captureRun(clientCommand(truth, steps), { env: truth.env });
  const file = (name: string) => readFileSync(join(directory, name), 'utf8').trimEnd();
  const shell = { pid: Number(file('become.pid')), comm: 'sh', exe: realpathSync('/bin/sh'), argv };
  truth.add('server', 'link', shell, { received: [file('become.received')], sent: [file('become.sent')] });
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.deepEqual(
    matches.filter(({ direction }) => direction === 'to client').map(({ line }) => line.from.comm),
    ['sh', truth.peers().get('client link')?.comm],
  );
  const [{ name, endpoint }] = serversOf(capture);
  assert.deepEqual([name, endpoint.pid], ['shell-server', shell.pid]);
});

test('a server that becomes another in the middle of a conversation keeps its connection', {
  skip,
}, async () => {
  const { capture, truth } = await converse([
    ...open('link', named('before')),
    ...ask('link', call(1, 'exec', { command: [...named('after')] })),
    { sleep: 0.3 },
    ...ask('link', call(2, 'echo')),
    ...ask('link', request(3, 'ping')),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const answers = matches.filter(({ direction }) => direction === 'to client');
  assert.deepEqual(
    answers.map(({ line }) => line.from.argv.at(-1)),
    ['before', 'before', 'after', 'after'],
  );
  assert.equal(new Set(answers.map(({ line }) => line.from.pid)).size, 1);
});

test('a supervisor that starts the next server on the same descriptors: one connection, each message by and to the server of its time', {
  skip,
}, async () => {
  const generations = ['one', 'two', 'three'];
  const supervisor = generations.map((name) => shellWords(named(name))).join('; ');
  const { capture, truth } = await converse([
    ...open('link', ['sh', '-c', supervisor]),
    ...generations.flatMap((_, index) => [
      ...ask('link', call(10 * index + 1, 'echo')),
      ...ask('link', call(10 * index + 2, 'exit')),
      // The next message comes when this one has ended.
      { sleep: patience(0.4) },
    ]),
    { close: 'link' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  const answers = matches.filter(({ direction }) => direction === 'to client');
  assert.deepEqual(
    answers.map(({ line }) => line.from.argv.at(-1)),
    ['one', 'one', 'one', 'two', 'two', 'three', 'three'],
  );
});
