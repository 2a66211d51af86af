// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { OutputError, openOutput } from './file-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'mcpspy-output-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function freshPath(): string {
  return join(folder, `file${++files}`);
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

const isRoot = process.geteuid?.() === 0;
const NOBODY = { uid: 65534, gid: 65534 };

test('lines are written whole and in order, into a file that only its owner can read', () => {
  const path = freshPath();
  const sink = openOutput(path);
  sink.write('one');
  sink.write(['t', 'w', 'ö']);
  assert.equal(readFileSync(path, 'utf8'), '', 'nothing before it is due');
  sink.flush();
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwö\n');
  sink.write('three');
  sink.close();
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwö\nthree\n');
  assert.equal(modeOf(path), 0o600);
  assert.equal(sink.closed, true);
  sink.write('ignored');
  sink.close();
});

test('an existing file is emptied and made private', () => {
  const path = freshPath();
  writeFileSync(path, 'old text that is longer');
  chmodSync(path, 0o644);
  const sink = openOutput(path);
  sink.write('new');
  sink.close();
  assert.equal(readFileSync(path, 'utf8'), 'new\n');
  assert.equal(modeOf(path), 0o600);
});

test('append continues on a line of its own', () => {
  for (const [before, expected] of [
    ['', 'new\n'],
    ['old\n', 'old\nnew\n'],
    ['half', 'half\nnew\n'],
  ] as const) {
    const path = freshPath();
    writeFileSync(path, before);
    const sink = openOutput(path, { append: true });
    sink.write('new');
    sink.close();
    assert.equal(readFileSync(path, 'utf8'), expected);
  }
});

test('no-clobber refuses an existing file', () => {
  const path = freshPath();
  openOutput(path, { noClobber: true }).close();
  assert.throws(() => openOutput(path, { noClobber: true }), {
    name: 'OutputError',
    message: `Cannot write to ${path}: it exists already; choose another name, or --append.`,
  });
});

test('symbolic links, folders, sockets and missing folders are refused in one sentence', () => {
  const target = freshPath();
  writeFileSync(target, 'precious');
  const link = freshPath();
  symlinkSync(target, link);
  assert.throws(() => openOutput(link), /^OutputError: .*symbolic link/);
  assert.equal(readFileSync(target, 'utf8'), 'precious');
  assert.throws(() => openOutput(folder), /^OutputError: .*it is a folder/);
  assert.throws(() => openOutput(join(folder, 'none', 'x')), /^OutputError: .*folder does not exist/);
  assert.throws(() => openOutput(join(target, 'x')), /^OutputError: .*not a folder/);
});

test('a FIFO without a reader is refused, not waited for', () => {
  const path = freshPath();
  execFileSync('mkfifo', [path]);
  assert.throws(() => openOutput(path), /^OutputError: .*nobody reads/);
});

test('a line of any size arrives, characters of any width whole', () => {
  const path = freshPath();
  const sink = openOutput(path);
  const lines = ['x'.repeat(3 << 20), '😀'.repeat(700_000), `x${'é'.repeat(1 << 20)}`, 'end'];
  for (const line of lines) sink.write(line);
  sink.write(['a'.repeat(1 << 20), 'b']);
  sink.close();
  const read = readFileSync(path, 'utf8').split('\n');
  assert.ok(read[0] === lines[0] && read[1] === lines[1] && read[2] === lines[2] && read[3] === 'end');
  assert.equal(read[4]?.length, (1 << 20) + 1);
  assert.deepEqual(read.slice(5), ['']);
});

test('any lines read back as they were', () => {
  const path = freshPath();
  const line = fc.tuple(fc.string({ unit: 'grapheme' }), fc.constantFrom(1, 7, 40_000));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), (chosen) => {
      const lines = chosen.map(([text, times]) => text.replaceAll('\n', '').repeat(times));
      const sink = openOutput(path);
      for (const text of lines) sink.write(text);
      sink.close();
      assert.ok(readFileSync(path, 'utf8') === lines.map((text) => `${text}\n`).join(''));
    }),
    { numRuns: 30 },
  );
});

test('a reader that goes away ends the output quietly', () => {
  const path = freshPath();
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  let gone = 0;
  const failures: string[] = [];
  const sink = openOutput(path, { onReaderGone: () => gone++, onFailure: (text) => failures.push(text) });
  closeSync(reader);
  sink.write('line');
  sink.flush();
  sink.write('x'.repeat(4 << 20));
  sink.close();
  assert.deepEqual([gone, failures, sink.closed], [1, [], true]);
});

test('a slow reader gets everything', async () => {
  const path = freshPath();
  execFileSync('mkfifo', [path]);
  const reader = spawn('sh', ['-c', 'exec < "$0"; echo ready; sleep 0.2; wc -c', path]);
  let output = '';
  reader.stdout.on('data', (chunk) => {
    output += chunk;
  });
  // The shell waits for a writer: until it has opened the FIFO, there is no reader.
  const sink = await untilOpen(path);
  for (let i = 0; i < 300; i++) sink.write('x'.repeat(9999));
  sink.close();
  await once(reader, 'close');
  assert.equal(output.trim(), 'ready\n3000000');
});

async function untilOpen(path: string): Promise<ReturnType<typeof openOutput>> {
  for (;;) {
    try {
      return openOutput(path);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

test('a full device is reported once, in one sentence', { skip: !existsSync('/dev/full') }, () => {
  const failures: string[] = [];
  const sink = openOutput('/dev/full', { onFailure: (text) => failures.push(text) });
  for (let i = 0; i < 3; i++) {
    sink.write('line');
    sink.flush();
  }
  sink.close();
  assert.deepEqual(failures, [
    'Writing to /dev/full failed: no space left on the device; free some, or choose another disk; what follows is not in it.',
  ]);
});

test('a file that may not grow ends with its last whole line', () => {
  for (const size of [99, 30_000, 2_000_000]) {
    const path = freshPath();
    const script = `
      import { openOutput } from ${JSON.stringify(new URL('./file-writer.ts', import.meta.url).href)};
      const sink = openOutput(${JSON.stringify(path)}, { onFailure: console.log });
      sink.write('first');
      for (let i = 0; i < 4_000_000 / ${size}; i++) sink.write('x'.repeat(${size}));
      sink.close();`;
    const command = 'ulimit -f 1500; exec "$0" --input-type=module -e "$1"';
    const { stdout } = spawnSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
    assert.match(stdout, /^Writing to \S+ failed: the file may not grow any more; .*\n$/);
    const lines = readFileSync(path, 'utf8').split('\n');
    assert.equal(lines.shift(), 'first');
    assert.equal(lines.pop(), '');
    assert.ok(lines.every((line) => line.length === size));
  }
});

test('standard output is written and stays open', () => {
  const script = `
    import { openOutput } from ${JSON.stringify(new URL('./file-writer.ts', import.meta.url).href)};
    for (const name of ['-', '/dev/stdout', '/dev/fd/1']) {
      const sink = openOutput(name);
      sink.write(name);
      sink.close();
    }`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stdout, '-\n/dev/stdout\n/dev/fd/1\n');
});

test('a descriptor that is not open is refused', () => {
  assert.throws(() => openOutput('/dev/fd/999999'), OutputError);
});

test("root opens with the user's groups, and not with its own", { skip: !isRoot && 'needs root' }, () => {
  const own = process.getgroups?.() ?? [];
  const of = (name: string, gid: number) => {
    const path = join(folder, name);
    mkdirSync(path);
    chownSync(path, 0, gid);
    chmodSync(path, 0o770);
    return join(path, 'file');
  };
  chmodSync(folder, 0o711);
  try {
    // As sudo leaves it: root's.
    process.setgroups?.([0]);
    const ofRoot = of('of-root', 0);
    assert.throws(() => openOutput(ofRoot, { owner: NOBODY }), /permission denied/);
    // Debian's "games" is a member of no group but its own, which the group database tells.
    const games = { uid: NOBODY.uid, gid: NOBODY.gid, name: 'games' };
    openOutput(of('of-nogroup', NOBODY.gid), { owner: games }).close();
    assert.throws(() => openOutput(ofRoot, { owner: games }), /permission denied/);
    assert.deepEqual(process.getgroups?.(), [0]);
  } finally {
    process.setgroups?.(own);
  }
});

test('a FIFO of another user is refused, though it has a reader', { skip: !isRoot && 'needs root' }, () => {
  const path = freshPath();
  assert.equal(spawnSync('mkfifo', [path]).status, 0);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    openOutput(path).close();
    chownSync(path, NOBODY.uid, NOBODY.gid);
    assert.throws(() => openOutput(path), /belongs to another user/);
  } finally {
    closeSync(reader);
  }
});

test("root opens a user's file with the rights of the user", { skip: !isRoot && 'needs root' }, () => {
  const open = join(folder, 'open');
  mkdirSync(open);
  chmodSync(folder, 0o711);
  chownSync(open, NOBODY.uid, NOBODY.gid);
  const path = join(open, 'file');
  openOutput(path, { owner: NOBODY }).close();
  assert.equal(statSync(path).uid, NOBODY.uid);
  assert.equal(statSync(path).gid, NOBODY.gid);
  assert.deepEqual([process.geteuid?.(), process.getegid?.()], [0, 0]);

  const shut = freshPath();
  assert.throws(() => openOutput(shut, { owner: NOBODY }), /permission denied/);
  writeFileSync(shut, 'of root');
  chmodSync(shut, 0o666);
  assert.throws(() => openOutput(shut, { owner: NOBODY }), /belongs to another user/);
  assert.equal(readFileSync(shut, 'utf8'), 'of root');
  assert.throws(() => openOutput(path), /belongs to another user/);
  assert.deepEqual([process.geteuid?.(), process.getegid?.()], [0, 0]);
});
