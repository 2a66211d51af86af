// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import koffi from 'koffi';
import {
  bringIn,
  mappedFiles,
  namedFile,
  openFile,
  openMapped,
  openNamed,
  parseMaps,
} from './mapped-files.ts';

const skip = process.getuid?.() === 0 ? false : 'not root';

const MAPS = `00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus-daemon
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]
35b1800000-35b1820000 r-xp 00000000 08:02 135522  /usr/lib64/ld 2.15.so
35b1a21000-35b1a22000 r-xp 00021000 08:02 135522  /usr/lib64/ld 2.15.so
7f3c00000000-7f3c00021000 rwxp 00000000 00:00 0
7f3c1c000000-7f3c1c021000 r-xp 00001000 fd:01 99  /opt/gone.so (deleted)
7fff2c9fe000-7fff2ca00000 r-xp 00000000 00:00 0   [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]
`;

test('files are listed that are mapped executable, each once, by the names of map_files', () => {
  assert.deepEqual(parseMaps(MAPS), [
    { key: '08:02:173521', range: '400000-452000', path: '/usr/bin/dbus-daemon' },
    { key: '08:02:135522', range: '35b1800000-35b1820000', path: '/usr/lib64/ld 2.15.so' },
    { key: 'fd:01:99', range: '7f3c1c000000-7f3c1c021000', path: '/opt/gone.so (deleted)' },
  ]);
});

test('the program of this process is among its files, and opens as itself', { skip }, () => {
  const own = mappedFiles(process.pid).find(({ path }) => path === process.execPath);
  assert.ok(own);
  const open = openMapped(process.pid, own);
  assert.ok(open);
  assert.equal(fstatSync(open.fd).ino, statSync(process.execPath).ino);
  const again = openFile(process.execPath);
  assert.equal(again?.identity, open.identity);
  for (const each of [open, again]) if (each) closeSync(each.fd);
});

test('a process that is gone has no files', () => {
  assert.deepEqual(mappedFiles(2 ** 22 + 1), []);
});

test('what is no regular file is not opened', () => {
  assert.equal(openFile('/dev/zero'), undefined);
  assert.equal(openFile('/proc/self/nothing'), undefined);
  assert.equal(openFile('/'), undefined);
});

test('who waits at the other end of a FIFO is not let go when it is looked at', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const fifo = join(directory, 'fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const writer = spawn('sh', ['-c', 'echo waiting; exec 3>"$0"; echo opened', fifo]);
  context.after(() => writer.kill('SIGKILL'));
  const said: string[] = [];
  writer.stdout.on('data', (text) => said.push(String(text)));
  await once(writer.stdout, 'data');
  await sleep(100);
  assert.equal(openNamed({ node: '1:1', path: fifo }), undefined);
  await sleep(100);
  assert.deepEqual(said, ['waiting\n']);
});

const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)');
const munmap = libc.func('int munmap(void *addr, size_t length)');
const mincore = libc.func('int mincore(void *addr, size_t length, _Out_ uint8_t *pages)');
const forget = libc.func('int posix_fadvise(int fd, long offset, long length, int advice)');
const POSIX_FADV_DONTNEED = 4;
const POSIX_FADV_RANDOM = 1;
const PAGE = 4096;

/** Which pages of a file are in memory. */
function resident(fd: number, pages: number): number[] {
  const at = mmap(null, pages * PAGE, 1, 1, fd, 0);
  const found = Buffer.alloc(pages);
  assert.equal(mincore(at, pages * PAGE, found), 0);
  munmap(at, pages * PAGE);
  return [...found.entries()].filter(([, state]) => state & 1).map(([page]) => page);
}

test('a file that the kernel names is opened while its path leads to it', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  writeFileSync(path, '');
  const { dev, ino } = statSync(path, { bigint: true });
  // The kernel's own: 20 bits for the minor number, where stat(2) has the first 8 of them at the end.
  const device = Number(((dev >> 8n) & 0xfffn) << 20n) | Number((dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
  const named = namedFile(device >>> 0, ino, path);
  const open = openNamed(named);
  assert.ok(open);
  closeSync(open.fd);
  assert.equal(open.node, named.node);
  renameSync(path, `${path}.old`);
  writeFileSync(path, '');
  assert.equal(openNamed(named), undefined);
  assert.equal(openNamed({ ...named, path: '' }), undefined);
  assert.equal(openNamed({ ...named, path: 'file' }), undefined);
});

test('device numbers of the kernel are those of stat(2)', () => {
  assert.equal(namedFile((259 << 20) | 3, 7n, '').node, '66307:7');
  assert.equal(namedFile(0x12345, 7n, '').node, `${0x12300045}:7`);
});

test('the instructions to be probed are brought into memory, also one that lies on two pages', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  writeFileSync(path, Buffer.alloc(64 * PAGE, 1));
  const fd = openSync(path, 'r');
  context.after(() => closeSync(fd));
  fdatasyncSync(fd);
  forget(fd, 0, 0, POSIX_FADV_DONTNEED);
  // So that nothing is read ahead.
  forget(fd, 0, 0, POSIX_FADV_RANDOM);
  if (resident(fd, 64).length) return context.skip('a file system that lies in memory');
  bringIn({ fd, node: '', identity: '' }, [
    { offset: 10 * PAGE + 100 },
    { offset: 31 * PAGE - 4 },
    { offset: 1 << 30 },
  ]);
  assert.deepEqual(resident(fd, 64), [10, 30, 31]);
});
