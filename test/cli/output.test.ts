// SPDX-License-Identifier: Apache-2.0
/** Output files: whose they are, what happens to one that exists, and to one that cannot be written. */
import assert from 'node:assert/strict';
import { chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { finish, MESSAGE, mcpspy, start, TALK, talker, until, watching } from '../support/command.ts';
import { cannotCapture, SPY_IN_SHELL, scratch } from '../support/mcpspy.ts';

const directory = scratch();
const kernel = { skip: cannotCapture };
const place = (name: string) => join(directory, name);
const kinds = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).kind);
const ids = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{"kind":"message"'))
    .map((line) => JSON.parse(line).id);
const upTo = (count: number) => [...Array(count).keys()];
const PYTHON = ['python3', '-c'];
/** So many messages from one process to another, each after a pause of so many seconds; waits for a byte before, and ends with 3. */
const FLURRY = `
import os, sys, time
out, into = os.pipe()
if os.fork() == 0:
    os.close(into)
    while os.read(out, 65536): pass
    os._exit(0)
os.read(0, 1)
for id in range(int(sys.argv[1])):
    os.write(into, b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\\n' % id)
    time.sleep(float(sys.argv[2]))
os.close(into)
os.wait()
sys.exit(3)
`;
const talk = (...options: string[]) => mcpspy(['run', '-q', ...options, '--', ...TALK]);

test('a new file is for its owner only; an existing one is replaced', kernel, async () => {
  const file = place('new');
  await talk('-o', file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, 'x'.repeat(100_000));
  await talk('-o', file);
  assert.deepEqual(kinds(readFileSync(file, 'utf8')), ['capture', 'message', 'summary']);
});

test('--append adds on a line of its own', kernel, async () => {
  const file = place('append');
  writeFileSync(file, '{"kind":"mine"}', { mode: 0o600 });
  await talk('-o', file, '--append');
  assert.deepEqual(kinds(readFileSync(file, 'utf8')), ['mine', 'capture', 'message', 'summary']);
});

test('--no-clobber leaves an existing file alone, with status 2', kernel, async () => {
  const file = place('keep');
  writeFileSync(file, 'mine');
  const result = await talk('-o', file, '--no-clobber');
  assert.equal(result.code, 2);
  assert.match(result.stderr, /exists already/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  assert.equal((await talk('-o', place('fresh'), '--no-clobber')).code, 0);
});

test('links, folders, files of others and absent folders are refused, with status 2', kernel, async () => {
  const target = place('target');
  writeFileSync(target, 'mine');
  symlinkSync(target, place('link'));
  mkdirSync(place('folder'));
  writeFileSync(place('others'), 'theirs');
  chownSync(place('others'), 12345, 12345);
  for (const name of ['link', 'folder', 'others', 'absent/file']) {
    const result = await talk('-o', place(name));
    assert.equal(result.code, 2, `${name}: ${result.stderr}`);
    assert.match(result.stderr, /^mcpspy: [^\n]+\n\{"error"[^\n]+\}\n$/, name);
  }
  assert.equal(readFileSync(target, 'utf8'), 'mine');
  assert.equal(readFileSync(place('others'), 'utf8'), 'theirs');
});

test('several files get the same', kernel, async () => {
  await talk('-o', place('one'), '-o', place('two'));
  const [one, two] = ['one', 'two'].map((name) => readFileSync(place(name), 'utf8'));
  assert.deepEqual(kinds(one ?? ''), ['capture', 'message', 'summary']);
  assert.equal(one, two);
});

test('a full device is told once; CMD, its status and the other outputs go on', kernel, async () => {
  const file = place('beside-full');
  const script = `printf '%s\\n' '${MESSAGE}' | cat >/dev/null; sleep 0.2; printf '%s\\n' '${MESSAGE}' | cat >/dev/null; exit 6`;
  const result = await mcpspy(['run', '-o', '/dev/full', '-o', file, '--', '/bin/sh', '-c', script]);
  assert.equal(result.code, 6);
  assert.equal(result.stderr.match(/no space left/g)?.length, 1);
  assert.equal(result.stderr.match(/REQ/g)?.length, 2);
  assert.deepEqual(kinds(readFileSync(file, 'utf8')), ['capture', 'message', 'message', 'summary']);
  const alone = await mcpspy(['run', '-q', '-o', '/dev/full', '--', '/bin/sh', '-c', 'sleep 0.2; exit 6']);
  assert.equal(alone.code, 6);
});

test(
  'a file system that fills up keeps whole lines; what is on another one gets all',
  kernel,
  async (context) => {
    const mount = place('tiny');
    const beside = place('beside-tiny');
    mkdirSync(mount);
    const mounted = await finish(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'mcpspy-test', mount]);
    if (mounted.code !== 0) return context.skip(`no tmpfs can be mounted: ${mounted.stderr.trim()}`);
    try {
      const outputs = ['-o', join(mount, 'out'), '-o', beside];
      const command = [...PYTHON, FLURRY, '300', '0'];
      const result = await mcpspy(['run', '-q', ...outputs, '--', ...command]);
      assert.equal(result.code, 3);
      assert.equal(result.stderr.match(/no space left/g)?.length, 1);
      const text = readFileSync(join(mount, 'out'), 'utf8');
      const whole = kinds(text);
      assert.equal(whole[0], 'capture');
      assert.ok(text.endsWith('\n'));
      // It is full: of 300 messages of some hundred bytes each not all can be there, nor the summary.
      assert.ok(whole.includes('message') && !whole.includes('summary'), `${whole.length} lines`);
      assert.deepEqual(ids(readFileSync(beside, 'utf8')), upTo(300));
      assert.equal(kinds(readFileSync(beside, 'utf8')).at(-1), 'summary');
    } finally {
      await finish(['umount', mount]);
    }
  },
);

test('a watch whose only output fails ends, with status 5', kernel, async () => {
  const peer = await talker();
  const result = await mcpspy(['--pid', String(peer.pid), '-q', '-o', '/dev/full']);
  assert.equal(result.code, 5);
  assert.match(result.stderr, /no space left/);
  peer.child.kill();
});

test('-o - writes JSON Lines to stdout and the display to stderr', kernel, async () => {
  const peer = await talker();
  for (const name of ['-', '/dev/stdout']) {
    const spy = await watching(peer.pid, ['-o', name]);
    peer.talk();
    await until(() => spy.stdout().includes('tools/list'), 'the message');
    spy.child.kill('SIGINT');
    const result = await spy.ended;
    assert.equal(result.code, 0);
    assert.deepEqual(kinds(result.stdout), ['capture', 'message', 'summary']);
    assert.match(result.stderr, /REQ.*tools\/list/);
  }
  peer.child.kill();
});

test('a reader that goes away ends the watch quietly', kernel, async () => {
  const peer = await talker();
  for (const options of ['', '-o -']) {
    const script = `${SPY_IN_SHELL} --pid ${peer.pid} ${options} 2>"${place('quiet')}" | head -n 1; echo done`;
    const ended = finish(['/bin/sh', '-c', script]);
    let over = false;
    void ended.then(() => {
      over = true;
    });
    await until(() => {
      if (!over) peer.talk();
      return over;
    }, 'mcpspy to end');
    assert.equal((await ended).stdout.split('\n').length, 3);
    assert.doesNotMatch(readFileSync(place('quiet'), 'utf8'), /EPIPE|failed|fault/);
  }
  peer.child.kill();
});

for (const [what, options] of [
  ['its display', []],
  ['its standard output', ['-o', '-']],
] as const)
  test(
    `with a file beside it, a watch goes on without ${what}, in whose middle the reader has gone`,
    kernel,
    async () => {
      const file = place('beside-pipe');
      // It waits until somebody watches it.
      const peer = start([...PYTHON, FLURRY, '2000', '0.0005']);
      const spy = await watching(peer.pid, ['-o', file, ...options]);
      peer.child.stdin?.write('\n');
      await until(() => spy.stdout().split('\n').length > 500, 'lines');
      const read = spy.stdout().split('\n').length;
      spy.child.stdout?.destroy();
      const { code, stderr } = await spy.ended;
      assert.ok(read < 2000, 'the reader went after the last line');
      assert.deepEqual(ids(readFileSync(file, 'utf8')), upTo(2000));
      assert.equal(kinds(readFileSync(file, 'utf8')).at(-1), 'summary');
      // Who goes away has had enough: that is no fault (docs/command.md).
      assert.equal(code, 0, stderr);
      assert.doesNotMatch(stderr, /mcpspy: (?!watching)|EPIPE|failed|"error"/);
      await peer.ended;
    },
  );
