// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { until } from '../../test/support/command.ts';
import { cannotCapture } from '../../test/support/mcpspy.ts';
import { withDescendants } from './descent.ts';
import { LISTED_MAPPING, mappingsIn, parentagesIn, readAll } from './iterators.ts';
import { mappedFiles } from './mapped-files.ts';
import { readProcess } from './proc.ts';
import { Programs, SCOPE } from './programs.ts';

test('a list goes on where the kernel has passed a million that are not to be listed', () => {
  const answers = ['a', undefined, undefined, 'b', ''];
  const read = (_: number, piece: Buffer) => {
    const answer = answers.shift();
    if (answer === undefined) throw Object.assign(new Error('try again'), { code: 'EAGAIN' });
    return piece.write(answer);
  };
  assert.equal(readAll(-1, read).toString(), 'ab');
});

test('a mapping’s key is that of /proc/PID/maps', () => {
  const list = Buffer.alloc(2 * LISTED_MAPPING.size);
  for (const [index, device] of [(254 << 20) | 1, (8 << 20) | 0x12345].entries()) {
    const at = index * LISTED_MAPPING.size;
    list.writeBigUInt64LE(2n ** 40n, at + LISTED_MAPPING.inode);
    list.writeUInt32LE(device, at + LISTED_MAPPING.device);
    list.writeUInt32LE(7, at + LISTED_MAPPING.tgid);
  }
  assert.deepEqual(mappingsIn(list), new Map([[7, ['fe:01:1099511627776', '08:12345:1099511627776']]]));
  assert.deepEqual(parentagesIn(Buffer.alloc(0)), []);
});

describe('what the kernel lists', { skip: cannotCapture }, () => {
  test('a process and all that descend from it, whichever of its threads has started them, and the files of those in scope', async () => {
    const script = `
const { spawn } = require('node:child_process');
const { Worker } = require('node:worker_threads');
spawn('sh', ['-c', 'sleep 60 & wait'], { stdio: 'ignore' });
new Worker("require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' })", { eval: true });
setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    });
    const pid = child.pid ?? 0;
    const programs = new Programs({ ringSize: 1 << 20, wholeMachine: false });
    try {
      let found: number[] = [];
      const names = () => {
        found = [...withDescendants([pid], () => programs.parentages())];
        const all = found.slice(1).map((some) => readProcess(some)?.comm);
        return all.sort().join(' ');
      };
      // Each of them is a copy of who starts it for a moment.
      await until(() => names() === 'sh sleep sleep', 'all of them, and nobody else');
      assert.deepEqual(programs.mappings(), new Map());
      assert.deepEqual([...new Set(found.map((some) => programs.watch(some)))], [true]);
      assert.equal(programs.watch(pid), false, 'it is watched already');
      // As our own processes are, when a shell is watched that has started us.
      programs.setScope(process.pid, SCOPE.ignored);
      assert.equal(programs.watch(process.pid), false);
      assert.equal(programs.ignored(process.pid), true);
      const mappings = programs.mappings();
      assert.deepEqual(new Set(mappings.keys()), new Set(found));
      for (const [some, keys] of mappings)
        assert.deepEqual(new Set(keys), new Set(mappedFiles(some).map(({ key }) => key)));
    } finally {
      programs.close();
      process.kill(-pid, 'SIGKILL');
    }
  });
});
