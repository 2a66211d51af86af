// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HolderSearch } from './holders.ts';
import type { FileQuery, Holder } from './messages.ts';

/** Holds the read end of a pipe whose write end is ours, and the write end of one that we read. */
const [cat, other] = [spawn('cat'), spawn('cat')];
after(() => {
  for (const child of [cat, other]) child.kill();
});

function inodeOf(child: ChildProcess, fd: number): number {
  return statSync(`/proc/${child.pid}/fd/${fd}`).ino;
}

/** Answers, and how often everybody's descriptors were looked at until all were there. */
async function search(queries: readonly FileQuery[], pids = [cat.pid, other.pid]) {
  let looks = 0;
  const holders = new HolderSearch(
    (pid) => pid === cat.pid,
    () => {
      looks++;
      return pids.filter((pid) => pid !== undefined);
    },
  );
  const answers = await Promise.all(
    queries.map((query) => new Promise<readonly Holder[]>((resolve) => holders.ask(query, resolve))),
  );
  return { answers, looks };
}

const shape = (holders: readonly Holder[] = []) =>
  holders.map(({ pid, fd, inScope }) => ({ pid, fd, inScope }));
const socket = (child: ChildProcess, fd: number): FileQuery => ({
  carrier: 'socket',
  inode: inodeOf(child, fd),
  device: 0,
  end: 'read',
});

test('the process that holds a socket is found, with its descriptor and whether it is in scope', async () => {
  const { answers } = await search([socket(cat, 0), socket(other, 1)]);
  assert.deepEqual(answers.map(shape), [
    [{ pid: cat.pid, fd: 0, inScope: true }],
    [{ pid: other.pid, fd: 1, inScope: false }],
  ]);
  assert.equal(answers[0]?.[0]?.comm, 'cat');
});

test('all that is asked at once is answered by one look, that for which there is nobody, too', async () => {
  const nobody: FileQuery = { carrier: 'socket', inode: 1, device: 0, end: 'read' };
  const queries = Array.from(
    { length: 2000 },
    (_, index) => [nobody, socket(cat, 0), socket(other, 0)][index % 3],
  );
  const { answers, looks } = await search(queries.filter((query) => query !== undefined));
  assert.equal(looks, 1);
  assert.deepEqual(
    answers.slice(0, 3).map((holders) => holders[0]?.pid),
    [undefined, cat.pid, other.pid],
  );
  assert.deepEqual(answers.at(-1), answers[1999 % 3]);
});

test('what is asked is answered at once when nobody may wait any longer', () => {
  let answered: readonly Holder[] | undefined;
  const holders = new HolderSearch(
    () => true,
    () => (cat.pid === undefined ? [] : [cat.pid]),
  );
  holders.ask(socket(cat, 0), (found) => {
    answered = found;
  });
  assert.equal(answered, undefined);
  holders.look();
  assert.deepEqual(shape(answered), [{ pid: cat.pid, fd: 0, inScope: true }]);
});

test('of a pipe, who holds the end in question, and not the other; of one with a name likewise', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-holders-'));
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  // To open both ends keeps neither waiting.
  const both = openSync(path, constants.O_RDWR);
  const writing = openSync(path, constants.O_WRONLY);
  const reader = spawn('sleep', ['100'], { stdio: [openSync(path, constants.O_RDONLY), 'ignore', 'ignore'] });
  const writer = spawn('sleep', ['100'], { stdio: ['ignore', writing, 'ignore'] });
  const shell = spawn('sh', ['-c', 'sleep 100 | sleep 100; :'], {
    stdio: ['ignore', 'ignore', 'ignore'],
    detached: true,
  });
  try {
    const pids = [reader.pid, writer.pid];
    const named = { carrier: 'pipe', inode: statSync(path).ino, device: 0 } as const;
    const { answers } = await search(
      [
        { ...named, end: 'read' },
        { ...named, end: 'write' },
      ],
      pids,
    );
    assert.deepEqual(answers.map(shape), [
      [{ pid: reader.pid, fd: 0, inScope: false }],
      [{ pid: writer.pid, fd: 1, inScope: false }],
    ]);
    const sleepers = await children(shell.pid);
    const unnamed = { carrier: 'pipe', inode: statSync(`/proc/${sleepers[0]}/fd/1`).ino, device: 0 } as const;
    const pipe = await search(
      [
        { ...unnamed, end: 'read' },
        { ...unnamed, end: 'write' },
      ],
      sleepers,
    );
    assert.deepEqual(
      pipe.answers.map((holders) => holders.map(({ pid, fd }) => ({ pid, fd }))),
      [[{ pid: sleepers[1], fd: 0 }], [{ pid: sleepers[0], fd: 1 }]],
    );
  } finally {
    for (const child of [reader, writer]) child.kill();
    if (shell.pid) process.kill(-shell.pid);
    for (const fd of [both, writing]) closeSync(fd);
    rmSync(directory, { recursive: true });
  }
});

/** Both processes of the pipeline, once they are what they are to be. */
async function children(shell: number | undefined): Promise<number[]> {
  for (;;) {
    const pids = execFileSync('sh', ['-c', `pgrep -x -P ${shell} sleep || :`], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean)
      .map(Number);
    if (pids.length === 2) return pids;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
