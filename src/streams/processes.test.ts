// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProcessTable } from './processes.ts';

function table() {
  const processes = new ProcessTable();
  return {
    processes,
    fork: (time: number, pid: number, parent: number, comm = 'forked') =>
      processes.fork({ type: 'fork', time, pid, parent, comm }),
    exec: (time: number, pid: number, exe: string, argv: readonly string[] = [exe]) =>
      processes.exec({ type: 'exec', time, pid, comm: exe.slice(exe.lastIndexOf('/') + 1), exe, argv }),
    exit: (time: number, pid: number) => processes.exit({ type: 'exit', time, pid }),
  };
}

const SHELL = { pid: 1, comm: 'sh', exe: '/bin/sh', argv: ['sh', '-c', 'x'] };

describe('a process', () => {
  test('that nobody has told of is unknown', () => {
    const { processes } = table();
    assert.equal(processes.get(1), undefined);
    assert.equal(processes.at(1, 0), undefined);
  });

  test('that was running before is what /proc says', () => {
    const { processes } = table();
    processes.watch([SHELL]);
    assert.deepEqual(processes.get(1), SHELL);
    assert.equal(processes.watched, 1);
  });

  test('is after a fork what its parent is, under a pid of its own', () => {
    const { processes, fork } = table();
    processes.watch([SHELL]);
    fork(10, 2, 1);
    assert.deepEqual(processes.get(2), { ...SHELL, pid: 2 });
    assert.equal(processes.watched, 2);
  });

  test('forked by a process that nobody knows has a name only', () => {
    const { processes, fork } = table();
    fork(10, 2, 1, 'cron');
    assert.deepEqual(processes.get(2), { pid: 2, comm: 'cron' });
  });

  test('is after an exec the new program, and nothing of the old one', () => {
    const { processes, exec } = table();
    processes.watch([SHELL]);
    exec(10, 1, '/usr/bin/node', ['node', 'server.js']);
    assert.deepEqual(processes.get(1), {
      pid: 1,
      comm: 'node',
      exe: '/usr/bin/node',
      argv: ['node', 'server.js'],
    });
    exec(20, 1, '', []);
    assert.deepEqual(processes.get(1), { pid: 1, comm: '' });
  });

  test('is for what passed before an exec the program of that time', () => {
    const { processes, exec } = table();
    processes.watch([SHELL]);
    exec(10, 1, '/bin/env');
    exec(20, 1, '/usr/bin/node');
    const names = [5, 10, 15, 20, 25].map((time) => processes.at(1, time)?.comm);
    assert.deepEqual(names, ['sh', 'env', 'env', 'node', 'node']);
  });

  test('of a pid that is used again is for each time the right one', () => {
    const { processes, fork, exec, exit } = table();
    fork(10, 5, 1, 'first');
    exit(20, 5);
    assert.ok(processes.hasEnded(5));
    fork(30, 5, 1, 'second');
    assert.ok(!processes.hasEnded(5));
    exec(40, 5, '/bin/third');
    const names = [15, 25, 35, 45].map((time) => processes.at(5, time)?.comm);
    assert.deepEqual(names, ['first', 'first', 'second', 'third']);
  });

  test('that has ended is still known, and no longer watched', () => {
    const { processes, fork, exit } = table();
    fork(10, 5, 1, 'brief');
    exit(20, 5);
    assert.equal(processes.get(5)?.comm, 'brief');
    assert.equal(processes.watched, 0);
  });

  test('keeps what the kernel has told of it when /proc tells less or later', () => {
    const { processes, exec } = table();
    exec(10, 1, '/usr/bin/node', ['node', 'server.js']);
    processes.learn({ pid: 1, comm: 'other', exe: '/bin/other', argv: ['other'] });
    assert.equal(processes.get(1)?.exe, '/usr/bin/node');
  });

  test('whose program was given by a relative path gets the whole one from /proc', () => {
    const { processes, exec } = table();
    exec(10, 1, './server', ['./server', '--stdio']);
    processes.learn({ pid: 1, comm: 'server', exe: '/opt/server', argv: ['./server', '--stdio'] });
    assert.deepEqual(processes.get(1), {
      pid: 1,
      comm: 'server',
      exe: '/opt/server',
      argv: ['./server', '--stdio'],
    });
  });

  test('of which only the name is left in /proc keeps its command line', () => {
    const { processes, exec } = table();
    exec(10, 1, './server', ['./server', '--stdio']);
    processes.learn({ pid: 1, comm: 'server' });
    assert.deepEqual(processes.get(1), {
      pid: 1,
      comm: 'server',
      exe: './server',
      argv: ['./server', '--stdio'],
    });
  });

  test('can give itself another name', () => {
    const { processes } = table();
    processes.watch([SHELL]);
    processes.named(1, 'worker');
    assert.deepEqual(processes.get(1), { ...SHELL, comm: 'worker' });
    processes.named(9, 'unheard-of');
    assert.deepEqual(processes.get(9), { pid: 9, comm: 'unheard-of' });
  });

  test('is not called by a name that its runtime gives every main thread', () => {
    const { processes, exec } = table();
    exec(10, 1, '/usr/bin/node');
    processes.named(1, 'MainThread');
    assert.equal(processes.get(1)?.comm, 'node');
    processes.learn({ pid: 2, comm: 'MainThread', exe: '/usr/lib/a-very-long-name-of-a-program' });
    assert.equal(processes.get(2)?.comm, 'a-very-long-nam');
    processes.named(3, 'MainThread');
    assert.equal(processes.get(3)?.comm, 'MainThread');
  });

  test('descends from itself, its parent and whoever these descend from', () => {
    const { processes, fork } = table();
    fork(1, 2, 1);
    fork(2, 3, 2);
    assert.ok(processes.descends(3, 3));
    assert.ok(processes.descends(3, 2));
    assert.ok(processes.descends(3, 1));
    assert.ok(!processes.descends(2, 3));
    assert.ok(!processes.descends(1, 9));
  });

  test('does not make us search for ever when pids that are used again form a circle', () => {
    const { processes, fork } = table();
    fork(1, 2, 1);
    fork(2, 1, 2);
    assert.ok(!processes.descends(1, 9));
  });
});

describe('the table of processes', () => {
  test('forgets those that ended longest ago', () => {
    const { processes, fork, exit } = table();
    for (let pid = 100; pid < 10_100; pid++) {
      fork(pid, pid, 1);
      exit(pid, pid);
    }
    assert.equal(processes.get(100), undefined);
    assert.equal(processes.at(100, 0), undefined);
    assert.ok(!processes.descends(100, 1));
    assert.equal(processes.get(10_099)?.pid, 10_099);
    assert.equal(processes.watched, 0);
  });

  test('keeps the last programs of a pid only', () => {
    const { processes, exec } = table();
    for (let time = 1; time <= 20; time++) exec(time, 1, `/bin/p${time}`);
    assert.equal(processes.at(1, 20)?.comm, 'p20');
    assert.equal(processes.at(1, 19)?.comm, 'p19');
    assert.equal(processes.at(1, 17)?.comm, 'p17');
    assert.notEqual(processes.at(1, 5)?.comm, 'p5');
  });
});
