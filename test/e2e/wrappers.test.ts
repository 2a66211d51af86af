// SPDX-License-Identifier: Apache-2.0
/** Shells, wrappers and relays between a client and its server. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cannotCapture, captureRun, NODE, scratch } from '../support/mcpspy.ts';
import {
  ask,
  assertFaithful,
  assertPaired,
  call,
  converse,
  INHERIT,
  INITIALIZE,
  type Match,
  notification,
  open,
  RELAY,
  request,
  SERVER,
  shellWords,
  Truth,
} from '../support/truth.ts';

const skip = cannotCapture;
const server = shellWords(SERVER);

const wrappers: Record<string, readonly string[]> = {
  'sh -c "SERVER; …"': ['sh', '-c', `${server}; exit $?`],
  'sh -c "exec SERVER"': ['sh', '-c', `exec ${server}`],
  env: ['env', 'SOME=THING', ...SERVER],
  'an npx-like Node program that hands its own streams down': [NODE, INHERIT, ...SERVER],
  'a server that leaves the work to a forked child': [...SERVER, '--fork'],
  'all of them nested': [
    'env',
    'A=B',
    'sh',
    '-c',
    `${shellWords([NODE, INHERIT, 'sh', '-c', `exec ${server} --fork`])}; true`,
  ],
};

for (const [name, command] of Object.entries(wrappers))
  test(`attribution is to the process that reads and writes, not to its wrapper: ${name}`, {
    skip,
  }, async () => {
    const { capture, truth } = await converse([
      ...open('link', command),
      ...ask('link', call(1, 'echo', { n: 1 })),
      ...ask('link', call(2, 'fail')),
      { close: 'link' },
    ]);
    const matches = assertFaithful(capture, truth);
    assertPaired(matches);
    assert.equal(matches.length, 7);
    const [shown, ...others] = capture.summary.servers;
    assert.deepEqual(others, []);
    assert.equal(
      shown.server.endpoint.pid,
      matches.find(({ direction }) => direction === 'to client')?.from.pid,
    );
  });

test('a server that a wrapper starts only seconds after the client has spoken: its reader may be unknown, all else is exact', {
  skip,
}, async () => {
  // What `npx` does when it has to download first. The pipes tell nothing until somebody reads.
  const { capture, truth } = await converse([
    ...open('link', ['sh', '-c', `sleep 3; ${server}; exit $?`]),
    ...ask('link', call(1, 'echo')),
    { close: 'link' },
  ]);
  assertPaired(assertFaithful(capture, truth, true));
  const [, ...others] = capture.messages;
  assert.ok(others.every(({ to }) => to));
  assert.deepEqual([capture.summary.pending, capture.summary.servers.length], [0, 1]);
});

test('a shell pipeline `cat requests | server | cat > out`: each stage is named, responses pair with requests', {
  skip,
}, async () => {
  const directory = scratch();
  const file = (name: string) => join(directory, name);
  const requests = [
    INITIALIZE,
    notification('notifications/initialized'),
    ...Array.from({ length: 100 }, (_, index) => call(index + 1, index % 10 ? 'echo' : 'fail', { index })),
    request('end', 'no/such/method'),
  ];
  writeFileSync(file('requests'), `${requests.join('\n')}\n`);
  const stage = (name: string, command: string) =>
    `sh -c 'echo $$ > ${file(`${name}.pid`)}; exec ${command}'`;
  const pipeline = `${stage('first', `cat ${file('requests')}`)} | ${server} | ${stage('last', 'cat')} > ${file('out')}`;
  const truth = new Truth();
  const capture = await captureRun(['sh', '-c', pipeline], { env: { ...truth.env, MCPSPY_LINK: 'link' } });

  const cat = (name: string, argv: string[]) => ({
    pid: Number(readFileSync(file(`${name}.pid`), 'utf8')),
    comm: 'cat',
    exe: '/usr/bin/cat',
    argv,
  });
  const answers = readFileSync(file('out'), 'utf8').split('\n').filter(Boolean);
  truth.add('client', 'link', cat('first', ['cat', file('requests')]), { sent: requests });
  truth.add('client', 'link', cat('last', ['cat']), { received: answers });
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(answers.length, 102);
  assert.equal(capture.summary.servers.length, 1);
  assert.deepEqual([capture.summary.pending, capture.summary.orphans], [0, 0]);
});

/** On each hop but the first, a message refers to the same message on the hop before and on the first. */
function assertHops(matches: readonly Match[], path: readonly string[]): void {
  const bySeq = new Map(matches.map((match) => [match.line.seq, match]));
  for (const { line, link, direction, text } of matches) {
    const number =
      1 + (direction === 'to server' ? path.indexOf(link) : path.length - 1 - path.indexOf(link));
    if (number === 1) {
      assert.equal(line.hop, undefined, `${link} ${text.slice(0, 200)}`);
      continue;
    }
    assert.equal(line.hop?.number, number, `${link} ${direction} ${text.slice(0, 200)}`);
    const previous = bySeq.get(line.hop.previous);
    const origin = bySeq.get(line.hop.origin);
    assert.equal(previous?.text, text);
    assert.equal(origin?.text, text);
    assert.equal(previous?.line.hop?.number ?? 1, number - 1);
    assert.equal(origin?.line.hop, undefined);
    // The process that passes it on is the one that has just got it.
    assert.equal(previous?.to.pid, line.from.pid);
  }
}

const relayed = (link: string) => [
  ...ask(link, call(1, 'echo', { text: 'once' })),
  // Twice the same text: each copy is linked to its own.
  ...ask(link, call(2, 'echo', { text: 'again' })),
  ...ask(link, call(2, 'echo', { text: 'again' })),
  ...ask(link, call(3, 'echo', { text: 'long'.repeat(50_000) })),
  ...ask(link, call(4, 'fail')),
  { burst: link, first: 10, count: 50 },
  { close: link },
];

test('a message that passes a relay is shown on each hop, and the hops are linked', { skip }, async () => {
  const { capture, truth } = await converse([...open('a', [...RELAY, ...SERVER]), ...relayed('a')]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assert.equal(matches.length, 2 * (3 + 2 * 55));
  assertHops(matches, ['a', 'a+']);
  const repeated = matches.filter(
    ({ link, line, text }) => link === 'a+' && line.type === 'request' && text.includes('again'),
  );
  assert.equal(new Set(repeated.map(({ line }) => line.hop.previous)).size, 2);
  // Two hops are one call.
  assert.equal(capture.summary.tools.find(({ name }: { name: string }) => name === 'echo').calls, 54);
});

test('a relay that starts only seconds after the client has spoken: its first message is linked, too', {
  skip,
}, async () => {
  const relay = ['sh', '-c', `sleep 3; exec ${shellWords([...RELAY, ...SERVER])}`];
  const { capture, truth } = await converse([
    { start: 'a', command: relay },
    ...ask('a', INITIALIZE),
    ...ask('a', call(1, 'echo')),
    { close: 'a' },
  ]);
  const matches = assertFaithful(capture, truth, true);
  assert.equal(matches.length, 8);
  assertHops(matches, ['a', 'a+']);
});

test('the same text several times in flight at once: each copy is linked to its own on the hop before', {
  skip,
}, async () => {
  const same = Array.from({ length: 20 }, () => ({
    send: 'a',
    text: notification('notifications/progress', { progressToken: 1, progress: 1 }),
  }));
  const { capture, truth } = await converse([
    ...open('a', [...RELAY, ...SERVER]),
    ...same,
    ...ask('a', request(1, 'ping')),
    { close: 'a' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertHops(matches, ['a', 'a+']);
  const hops = (link: string) =>
    matches.filter((match) => match.link === link && match.text.includes('progress')).map(({ line }) => line);
  assert.deepEqual(
    hops('a+').map(({ hop }) => hop.previous),
    hops('a').map(({ seq }) => seq),
  );
});

test('three hops through two relays are numbered and linked to the origin', { skip }, async () => {
  const { capture, truth } = await converse([...open('a', [...RELAY, ...RELAY, ...SERVER]), ...relayed('a')]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  assertHops(matches, ['a', 'a+', 'a++']);
});

test('a client that asks two servers the same with the same ids is no relay', { skip }, async () => {
  const both = (text: string) => ['a', 'b'].flatMap((link) => ask(link, text));
  const { capture, truth } = await converse([
    ...open('a'),
    ...open('b'),
    ...both(call(1, 'echo', { same: true })),
    ...both(request(2, 'ping')),
    { close: 'a' },
    { close: 'b' },
  ]);
  const matches = assertFaithful(capture, truth);
  assertPaired(matches);
  for (const { line } of matches) assert.equal(line.hop, undefined, line.raw);
});
