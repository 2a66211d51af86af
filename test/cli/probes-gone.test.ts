// SPDX-License-Identifier: Apache-2.0
/** However mcpspy ends, no program, link or probe of it stays in the kernel, and the watched do not notice. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BpfObject, bpfObjectsOf, changedCode, exists } from '../support/bpf-objects.ts';
import {
  childrenOf,
  finish,
  MESSAGE,
  type Running,
  runs,
  start,
  talker,
  until,
  watching,
} from '../support/command.ts';
import { makeCertificate } from '../support/http-stage.ts';
import { cannotCapture, type OutputLine, SPY, scratch } from '../support/mcpspy.ts';
import { compileTlsCalls, textsOf } from '../support/tls-calls.ts';

const skip = cannotCapture;
const directory = scratch();
const { certificate, key } = makeCertificate();
const STOPPED_MS = 5000;
/** Two messages before a byte is awaited, two after it, each with its answer. */
const SIZES = [10, 1000, 10, 70_000];
let tlsCalls = '';

before(() => {
  if (!skip) tlsCalls = compileTlsCalls(directory) ?? '';
});

const peer = () => [tlsCalls, certificate, key, 'wait', ...SIZES.map(String)];
const messages = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line): OutputLine => JSON.parse(line))
    .filter(({ kind }) => kind === 'message')
    .map((line) => line['raw']);

/** A client and a server over TLS in the middle of their conversation, and what watches them. */
interface Scene {
  readonly spy: Running;
  readonly sensor: number;
  readonly objects: readonly BpfObject[];
  readonly peers: readonly number[];
}

/** With everything in place of which it is to be seen that it goes. */
async function sceneOf(spy: Running, client: number): Promise<Scene> {
  const [sensor = 0] = childrenOf(spy.pid);
  const peers = [client, ...childrenOf(client)];
  assert.equal(peers.length, 2);
  const objects = bpfObjectsOf(sensor);
  assert.deepEqual(
    objects.filter((object) => !exists(object)),
    [],
  );
  for (const kind of ['prog', 'link'])
    assert.ok(
      objects.some((object) => object.kind === kind),
      `the sensor holds no ${kind}`,
    );
  // The probes of a program that was there before may come a little later.
  await until(() => peers.every((pid) => changedCode(pid, 'libssl') > 0), 'probes in the peers');
  return { spy, sensor, objects, peers };
}

async function assertGone({ sensor, objects, peers }: Scene): Promise<void> {
  await until(() => !runs(sensor), 'the sensor to end');
  await until(() => !objects.some(exists), 'programs and links to go');
  assert.deepEqual(
    peers.map((pid) => [runs(pid), changedCode(pid, 'libssl')]),
    peers.map(() => [true, 0]),
    'the peers run, with the code of their library',
  );
}

for (const who of ['monitor', 'sensor'] as const)
  test(`when the ${who} is killed its programs, links and probes go, and a TLS peer talks on`, {
    skip,
  }, async () => {
    const file = join(directory, who);
    // Not its own standard input: Node closes that of a child that has ended.
    const go = `${file}.go`;
    assert.equal((await finish(['mkfifo', go])).code, 0);
    const gate = openSync(go, 'r+');
    const script = `"$@" <'${go}'; echo "status $?"`;
    const spy = start([...SPY, 'run', '-q', '-o', file, '--', 'sh', '-c', script, 'sh', ...peer()]);
    await until(() => spy.stdout().includes('waiting'), 'the peers');
    const [shell = 0] = childrenOf(childrenOf(spy.pid)[0] ?? 0);
    const scene = await sceneOf(spy, childrenOf(shell)[0] ?? 0);
    await until(() => messages(file).length === SIZES.length, 'the first messages');
    process.kill(who === 'monitor' ? spy.pid : scene.sensor, 'SIGKILL');
    await assertGone(scene);
    writeSync(gate, '\n');
    const { stdout } = await spy.ended;
    closeSync(gate);
    assert.match(stdout, /^status 0$/m);
    assert.deepEqual(messages(file), textsOf(SIZES).slice(0, SIZES.length));
  });

test('after a stop for five seconds and a Ctrl+C, too: what was said meanwhile is in the file', {
  skip,
}, async () => {
  const file = join(directory, 'stopped');
  const client = start(peer());
  await until(() => client.stdout().includes('waiting'), 'the peers');
  const other = await talker();
  const spy = await watching(client.pid, ['--pid', String(other.pid), '-o', file]);
  const scene = await sceneOf(spy, client.pid);
  spy.child.kill('SIGSTOP');
  other.talk();
  await sleep(STOPPED_MS);
  spy.child.kill('SIGCONT');
  spy.child.kill('SIGINT');
  assert.equal((await spy.ended).code, 0);
  assert.deepEqual(messages(file), [MESSAGE]);
  other.child.kill();
  await assertGone(scene);
  client.child.stdin?.write('\n');
  assert.equal((await client.ended).code, 0);
});
