// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  announceTcp,
  answers,
  CLIENT,
  connected,
  LATER,
  LOOPBACK,
  MS,
  rpc,
  SECOND,
  SERVER,
  tracking,
} from '../../test/support/tracking.ts';
import type { Holder } from '../sensor/messages.ts';
import type { StreamRecord } from '../source/records.ts';
import { LOST_NS } from './unannounced.ts';

describe('a frame', () => {
  test('says where it stood, when it was complete and who is at both ends', () => {
    const { tracker, data, items } = connected(1);
    data(1, '\n', 1 * MS);
    data(1, rpc(1).slice(0, 10), 2 * MS);
    data(1, `${rpc(1).slice(10)}\n`, 3 * MS);
    tracker.settled(3 * MS + LATER);
    assert.equal(items.length, 1);
    const [frame] = items;
    assert.ok(frame?.kind === 'frame');
    assert.equal(frame.time, 3 * MS);
    assert.equal(frame.stream.id, 1);
    assert.equal(frame.stream.carrier, 'pipe');
    assert.equal(frame.offset, 1);
    assert.equal(frame.size, rpc(1).length);
    assert.deepEqual(frame.content, { type: 'text', text: rpc(1) });
    assert.deepEqual(frame.from, CLIENT);
    assert.deepEqual(frame.to, SERVER);
  });

  test('is the same whether the writer or the reader supplied its bytes', () => {
    const { tracker, data, texts, who } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS, { fromReader: true, pid: SERVER.pid, fd: 0 });
    data(1, `${rpc(1)}\n`, 2 * MS, { offset: 0 });
    tracker.settled(2 * MS + LATER);
    assert.deepEqual(texts(), [rpc(1)]);
    assert.deepEqual(who(), ['client>server']);
  });

  test('goes in time order among those of other streams', () => {
    const { tracker, announce, endpoint, data, texts } = connected(1);
    announce(2);
    endpoint(2, SERVER.pid, false);
    endpoint(2, CLIENT.pid, true);
    data(1, `${rpc(1)}\n`, 20 * MS);
    data(2, `${rpc(2)}\n`, 10 * MS, { pid: SERVER.pid });
    tracker.settled(30 * MS);
    assert.deepEqual(texts(), [rpc(2), rpc(1)]);
  });

  test('keeps its place in its stream, whichever processor stamped it first', () => {
    const { tracker, data, texts, frames } = connected(1);
    data(1, `${rpc(1)}\n`, 20 * MS);
    data(1, `${rpc(2)}\n`, 10 * MS);
    tracker.settled(30 * MS);
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
    assert.equal(frames()[1]?.time, 20 * MS);
  });

  test('larger than the maximum is its size and its head', () => {
    const { tracker, data, frames } = connected(1, { maxMessage: 100 });
    data(1, `${'x'.repeat(101)}\n`, 1 * MS);
    tracker.settled(SECOND);
    assert.deepEqual(frames()[0]?.content, { type: 'oversize', head: 'x'.repeat(101) });
    assert.equal(frames()[0]?.size, 101);
  });

  test('cut off by the end of the stream or of the capture says so', () => {
    for (const reason of ['end', 'stop'] as const) {
      const { tracker, data, eof, frames } = connected(1);
      data(1, '{"half":', 1 * MS);
      if (reason === 'end') eof(1, 2 * MS);
      tracker.finish(3 * MS);
      assert.deepEqual(frames()[0]?.content, { type: 'incomplete', head: '{"half":', reason });
    }
  });

  test('of a unix socket that looked like HTTP when it was cut off is told, too', () => {
    for (const reason of ['end', 'stop'] as const) {
      const { tracker, announce, data, eof, frames } = tracking();
      announce(1, { carrier: 'unix' });
      data(1, 'POST', 1 * MS);
      if (reason === 'end') eof(1, 2 * MS);
      tracker.finish(3 * MS);
      assert.deepEqual(frames()[0]?.content, { type: 'incomplete', head: 'POST', reason });
    }
  });
});

describe('a frame whose reader nobody has seen yet', () => {
  function waiting() {
    const tracked = tracking();
    tracked.announce(1);
    tracked.endpoint(1, CLIENT.pid, false);
    tracked.data(1, `${rpc(1)}\n`, 1 * MS);
    return tracked;
  }

  test('waits for it, and goes as soon as it is known', async () => {
    const { tracker, endpoint, who } = waiting();
    await answers();
    assert.equal(tracker.settled(500 * MS), true);
    assert.deepEqual(who(), []);
    endpoint(1, SERVER.pid, true, 600 * MS);
    assert.equal(tracker.settled(601 * MS), false);
    assert.deepEqual(who(), ['client>server']);
  });

  test('makes later frames of other streams wait, too: the output is in time order', async () => {
    const { tracker, announce, endpoint, data, texts } = waiting();
    announce(2);
    endpoint(2, SERVER.pid, false);
    endpoint(2, CLIENT.pid, true);
    data(2, `${rpc(2)}\n`, 2 * MS, { pid: SERVER.pid });
    await answers();
    tracker.settled(500 * MS);
    assert.deepEqual(texts(), []);
    endpoint(1, SERVER.pid, true, 600 * MS);
    tracker.settled(601 * MS);
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
  });

  test('waits no longer than two seconds', async () => {
    const { tracker, who } = waiting();
    await answers();
    tracker.settled(2 * SECOND);
    assert.deepEqual(who(), []);
    tracker.settled(2 * SECOND + 2 * MS);
    assert.deepEqual(who(), ['client>?']);
  });

  test('says, when it goes without, that this may yet turn out, and who it was can be asked', async () => {
    const { tracker, frames, endpoint } = waiting();
    await answers();
    tracker.settled(2 * SECOND + 2 * MS);
    assert.deepEqual(
      frames().map(({ unattributed }) => unattributed),
      [true],
    );
    assert.equal(tracker.whoAt(1, 'reader', 1 * MS), undefined);
    endpoint(1, SERVER.pid, true, 3 * SECOND);
    assert.deepEqual(tracker.whoAt(1, 'reader', 1 * MS), SERVER);
  });

  test('does not wait once the stream has ended', async () => {
    const { tracker, eof, who } = waiting();
    eof(1, 2 * MS);
    await answers();
    tracker.settled(10 * MS);
    assert.deepEqual(who(), ['client>?']);
  });

  test('and that is no JSON-RPC does not wait', () => {
    const { tracker, announce, endpoint, data, texts } = tracking();
    announce(1);
    endpoint(1, CLIENT.pid, false);
    data(1, 'Listening…\n', 1 * MS);
    tracker.settled(10 * MS);
    assert.deepEqual(texts(), ['Listening…']);
  });
});

describe('a stream that the kernel had forgotten while it was idle', () => {
  test('goes on: what is read before its write has returned is told once', () => {
    const { tracker, announce, endpoint, data, texts } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    tracker.settled(1 * SECOND);
    const time = 3600 * SECOND;
    announce(2, { joined: true, inode: 1001, time });
    endpoint(2, SERVER.pid, true, time);
    // The server's read returns first; the kernel has no count of the writer's yet.
    data(2, `${rpc(2)}\n`, time, { offset: 0, fromReader: true, pid: SERVER.pid, fd: 0 });
    endpoint(2, CLIENT.pid, false, time);
    // The write returns: it begins where reading is, and tells its own bytes behind that.
    data(2, `${rpc(2)}\n`, time + 1 * MS, { offset: rpc(2).length + 1 });
    tracker.settled(time + 3 * SECOND);
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
  });
});

test('a stream that was numbered anew, put aside, and goes on is known by its first number, too', () => {
  const { tracker, announce, endpoint, data, eof } = tracking();
  announce(1, { joined: true });
  endpoint(1, CLIENT.pid, false);
  endpoint(1, SERVER.pid, true);
  data(1, `${rpc(1)}\n`, 1 * MS);
  announce(2, { joined: true, inode: 1001, time: 1 * SECOND });
  data(2, `${rpc(2)}\n`, 1 * SECOND, { offset: 0 });
  tracker.settled(1 * SECOND + LATER);
  eof(2, 2 * SECOND);
  tracker.settled(20 * SECOND);
  data(2, `${rpc(3)}\n`, 21 * SECOND);
  tracker.settled(21 * SECOND + LATER);
  tracker.keep(1);
  assert.equal(tracker.get(2)?.kept, true);
});

describe('an end that no call has shown', () => {
  const outside: Holder = { pid: 300, comm: 'outside', exe: '/bin/outside', fd: 7, inScope: false };

  function held(holders: readonly Holder[], more: Partial<StreamRecord> = {}) {
    const tracked = tracking({ holders: () => holders });
    tracked.announce(1, more);
    tracked.endpoint(1, CLIENT.pid, false);
    tracked.data(1, `${rpc(1)}\n`, 1 * MS);
    return tracked;
  }

  test('is the only process out of scope that holds it', async () => {
    const { tracker, who, asked } = held([outside]);
    await answers();
    tracker.settled(10 * MS);
    assert.deepEqual(who(), ['client>outside']);
    assert.deepEqual(asked, [{ inode: 1001, device: 9, carrier: 'pipe', end: 'read' }]);
  });

  test('is asked for once', async () => {
    const { data, asked } = held([outside]);
    await answers();
    data(1, `${rpc(2)}\n`, 2 * MS);
    await answers();
    assert.equal(asked.length, 1);
  });

  test('of a socket is looked for by the inode of that end', async () => {
    const { asked } = held([outside], { carrier: 'unix', peerInode: 77 });
    await answers();
    assert.deepEqual(asked, [{ inode: 77, device: 9, carrier: 'socket', end: 'read' }]);
  });

  test('is unknown when several hold it: it is never guessed', async () => {
    const { tracker, who } = held([outside, { ...outside, pid: 301 }]);
    await answers();
    tracker.settled(3 * SECOND);
    assert.deepEqual(who(), ['client>?']);
  });

  test('is unknown when the holder is in scope: its own calls will tell', async () => {
    const { tracker, who } = held([{ ...outside, inScope: true }]);
    await answers();
    tracker.settled(3 * SECOND);
    assert.deepEqual(who(), ['client>?']);
  });

  test('is not the writer, though it holds the reading end as well', async () => {
    const { tracker, who } = held([{ ...outside, pid: CLIENT.pid }, outside]);
    await answers();
    tracker.settled(10 * MS);
    assert.deepEqual(who(), ['client>outside']);
  });

  test('gives way to the process whose call shows it after all', async () => {
    const { tracker, endpoint, data, who } = held([outside]);
    await answers();
    tracker.settled(10 * MS);
    endpoint(1, SERVER.pid, true, 20 * MS);
    data(1, `${rpc(2)}\n`, 30 * MS);
    tracker.settled(40 * MS);
    assert.deepEqual(who(), ['client>outside', 'client>server']);
  });

  test('of a writer is found like that of a reader', async () => {
    const { tracker, announce, data, who } = tracking({ holders: () => [outside] });
    announce(1);
    data(1, `${rpc(1)}\n`, 1 * MS, { fromReader: true, pid: SERVER.pid, fd: 0 });
    await answers();
    tracker.settled(10 * MS);
    assert.deepEqual(who(), ['outside>server']);
  });
});

describe('who is at an end', () => {
  test('is before an exec the old program and after it the new one', () => {
    const { tracker, exec, data, who } = connected(1);
    data(1, `${rpc(1)}\n`, 10 * MS);
    exec(CLIENT.pid, '/bin/agent', 20 * MS);
    data(1, `${rpc(2)}\n`, 30 * MS);
    tracker.settled(40 * MS);
    assert.deepEqual(who(), ['client>server', 'agent>server']);
  });

  test('is a fork that writes to an inherited descriptor, and then the program it runs', () => {
    const { tracker, fork, exec, data, who, frames } = connected(1);
    fork(101, CLIENT.pid, 10 * MS);
    data(1, `${rpc(1)}\n`, 20 * MS, { pid: 101 });
    exec(101, '/bin/wrapped', 30 * MS);
    data(1, `${rpc(2)}\n`, 40 * MS, { pid: 101 });
    tracker.settled(50 * MS);
    assert.deepEqual(who(), ['client>server', 'wrapped>server']);
    assert.deepEqual(
      frames().map(({ from }) => from?.pid),
      [101, 101],
    );
  });

  test('is for a frame that waited in the pipe the process that began after it was written', async () => {
    const { tracker, announce, endpoint, fork, exec, data, who } = tracking();
    announce(1);
    endpoint(1, CLIENT.pid, false);
    data(1, `${rpc(1)}\n`, 10 * MS);
    fork(201, CLIENT.pid, 20 * MS);
    exec(201, '/bin/late', 30 * MS);
    endpoint(1, 201, true, 40 * MS);
    await answers();
    tracker.settled(50 * MS);
    assert.deepEqual(who(), ['client>late']);
  });

  test('is still known when it has ended', () => {
    const { tracker, exit, data, who } = connected(1);
    data(1, `${rpc(1)}\n`, 10 * MS);
    exit(CLIENT.pid, 20 * MS);
    exit(SERVER.pid, 20 * MS);
    tracker.settled(SECOND);
    assert.deepEqual(who(), ['client>server']);
  });

  test('says who read a message that stood behind a hole until its reader had ended', () => {
    const { tracker, exit, data, who } = connected(1);
    data(1, `${rpc(2)}\n`, 2 * MS, { offset: rpc(1).length + 1 });
    exit(SERVER.pid, 3 * MS);
    data(1, `${rpc(1)}\n`, 1 * MS, { offset: 0 });
    tracker.settled(SECOND);
    assert.deepEqual(who(), ['client>server', 'client>server']);
  });

  test('is after a restart the new server, for what it found in the pipe', async () => {
    const { tracker, exit, fork, exec, endpoint, data, who } = connected(1);
    data(1, `${rpc(1)}\n`, 10 * MS);
    exit(SERVER.pid, 20 * MS);
    data(1, `${rpc(2)}\n`, 30 * MS);
    await answers();
    tracker.settled(100 * MS);
    assert.deepEqual(who(), ['client>server']);
    fork(201, CLIENT.pid, 200 * MS);
    exec(201, '/bin/server2', 210 * MS);
    endpoint(1, 201, true, 220 * MS);
    tracker.settled(300 * MS);
    assert.deepEqual(who(), ['client>server', 'client>server2']);
  });

  test('is asked for when a process appears that nobody has told of', async () => {
    const { endpoint, announce, asked, exec } = tracking();
    announce(1);
    endpoint(1, 999, false);
    exec(998, './relative', 10);
    exec(997, '/absolute', 20);
    await answers();
    assert.deepEqual(asked, [998]);
  });
});

describe('the standard error of a process', () => {
  test('is what it writes to descriptor 2', () => {
    const { tracker, announce, endpoint } = tracking();
    announce(1);
    announce(2);
    endpoint(1, SERVER.pid, false, 0, { fd: 2 });
    endpoint(2, SERVER.pid, false, 0, { fd: 1 });
    assert.equal(tracker.get(1)?.stderr, true);
    assert.equal(tracker.get(2)?.stderr, false);
  });

  test('is none when the same pipe is somebody’s standard output', () => {
    const { tracker, announce, endpoint } = tracking();
    announce(1);
    endpoint(1, CLIENT.pid, false, 0, { fd: 2 });
    endpoint(1, SERVER.pid, false, 0, { fd: 1 });
    assert.equal(tracker.get(1)?.stderr, false);
  });

  test('on a terminal or a file remains standard error', () => {
    const { tracker, announce, endpoint } = tracking();
    announce(1, { carrier: 'stderr' });
    endpoint(1, SERVER.pid, false, 0, { fd: 1 });
    assert.equal(tracker.get(1)?.stderr, true);
  });

  test('makes nobody wait, even if it looks like JSON-RPC', () => {
    const { tracker, announce, endpoint, data, texts } = tracking();
    announce(1);
    endpoint(1, SERVER.pid, false, 0, { fd: 2 });
    data(1, `${rpc(1)}\n`, 1 * MS, { pid: SERVER.pid, fd: 2 });
    tracker.settled(10 * MS);
    assert.deepEqual(texts(), [rpc(1)]);
  });
});

/** A direction of a Unix socket whose ends are known, but not yet what it speaks. */
function connectedUnix() {
  const tracked = tracking();
  tracked.announce(1, { carrier: 'unix' });
  tracked.endpoint(1, CLIENT.pid, false);
  tracked.endpoint(1, SERVER.pid, true);
  return tracked;
}

describe('a gap', () => {
  test('has its place, its bytes, its cause and both ends', () => {
    const { tracker, data, gap, gaps, texts } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    gap(1, 500, 2 * MS, { lines: 3, endsLine: true });
    data(1, `${rpc(2)}\n`, 3 * MS);
    tracker.settled(10 * MS);
    const [only] = gaps();
    assert.deepEqual(
      { ...only, stream: only?.stream.id },
      {
        kind: 'gap',
        time: 2 * MS,
        stream: 1,
        offset: rpc(1).length + 1,
        bytes: 500,
        frames: 3,
        cause: 'ring-full',
        from: CLIENT,
        to: SERVER,
      },
    );
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
  });

  test('that ends in the middle of a frame has lost that one, too', () => {
    const { tracker, data, gap, gaps, texts } = connected(1);
    gap(1, 500, 2 * MS, { lines: 3, endsLine: false });
    data(1, `tail\n${rpc(2)}\n`, 3 * MS);
    tracker.settled(10 * MS);
    assert.equal(gaps()[0]?.frames, 4);
    assert.deepEqual(texts(), [rpc(2)]);
  });

  test('at the beginning of a Unix socket, which may speak anything, is one of lines until something else shows', () => {
    for (const [endsLine, frames] of [
      [true, 300],
      [false, 301],
    ] as const) {
      const { tracker, data, gap, texts, gaps } = connectedUnix();
      gap(1, 5000, 1 * MS, { lines: 300, endsLine });
      data(1, `${endsLine ? '' : 'tail"}\n'}${rpc(1)}\n`, 2 * MS);
      data(1, `${rpc(2)}\n`, 3 * MS);
      tracker.settled(SECOND);
      assert.deepEqual(texts(), [rpc(1), rpc(2)]);
      assert.deepEqual(
        gaps().map((each) => [each.bytes, each.frames]),
        [[5000, frames]],
      );
    }
  });

  test('behind the first bytes of a Unix socket has cut a line', () => {
    const { tracker, data, gap, texts, gaps } = connectedUnix();
    data(1, 'POST', 1 * MS);
    gap(1, 5000, 2 * MS, { lines: 1, endsLine: true });
    data(1, `${rpc(1)}\n`, 3 * MS);
    tracker.settled(SECOND);
    assert.deepEqual(texts(), ['incomplete', rpc(1)]);
    assert.deepEqual(
      gaps().map(({ offset, frames }) => [offset, frames]),
      [[4, 1]],
    );
  });

  test('does not say how many frames are lost when nobody can know', () => {
    const { tracker, gap, gaps } = connected(1);
    gap(1, 500, 2 * MS);
    tracker.finish(3 * MS);
    assert.equal(gaps()[0]?.frames, undefined);
  });

  test('makes the frame before it incomplete', () => {
    const { tracker, data, gap, kinds, frames } = connected(1);
    data(1, '{"half":', 1 * MS);
    gap(1, 500, 2 * MS);
    tracker.finish(3 * MS);
    assert.deepEqual(frames()[0]?.content, { type: 'incomplete', head: '{"half":', reason: 'gap' });
    assert.deepEqual(kinds(), ['frame 1', 'gap 1']);
  });

  test('of which nobody tells comes out after a while', () => {
    const { tracker, data, gaps, texts } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS, { offset: 100 });
    assert.equal(tracker.settled(2 * MS), true);
    assert.deepEqual(texts(), []);
    tracker.settled(SECOND);
    assert.deepEqual(
      gaps().map(({ bytes, cause }) => [bytes, cause]),
      [[100, 'unknown']],
    );
  });

  test('of a stream whose announcement was lost is followed, and so are its bytes', () => {
    const { tracker, endpoint, gap, data, texts, gaps, who } = tracking();
    gap(7, 10, 1 * MS, { lines: 1, endsLine: true });
    data(7, `${rpc(1)}\n`, 2 * MS);
    endpoint(7, SERVER.pid, true, 3 * MS);
    assert.equal(tracker.settled(LOST_NS), true);
    assert.deepEqual(texts(), []);
    for (const time of [LOST_NS + LATER, SECOND]) tracker.settled(time);
    assert.deepEqual(texts(), [rpc(1)]);
    assert.deepEqual(who(), ['client>server']);
    assert.equal(gaps().length, 1);
  });

  test('of a stream that the other end is about to announce waits for that, and so do its bytes', async () => {
    const { tracker, announce, endpoint, data, texts, gaps, who } = tracking();
    endpoint(7, SERVER.pid, true, 1 * MS);
    data(7, `${rpc(1)}\n`, 1 * MS, { fromReader: true, pid: SERVER.pid });
    announce(7, { joined: true, time: 2 * MS });
    endpoint(7, CLIENT.pid, false, 2 * MS);
    data(7, `${rpc(2)}\n`, 3 * MS);
    tracker.settled(4 * MS);
    await answers();
    tracker.settled(SECOND);
    assert.deepEqual([texts(), gaps()], [[rpc(1), rpc(2)], []]);
    assert.deepEqual(who(), ['client>server', 'client>server']);
  });
});

describe('bytes that were moved unseen', () => {
  const unseen = { cause: 'splice', mayArrive: true } as const;
  const stranger: Holder = { ...SERVER, fd: 0, inScope: false };

  /** A pipe into which something went that way, and whose reader has not read yet. */
  async function unread(reader: Holder) {
    const tracked = tracking({ holders: () => [reader] });
    tracked.announce(1);
    tracked.endpoint(1, CLIENT.pid, false);
    tracked.gap(1, rpc(1).length + 1, 1 * MS, unseen);
    tracked.tracker.settled(2 * MS);
    await answers();
    return tracked;
  }

  test('are waited for until a process in scope has begun to read', async () => {
    const { tracker, data, gaps, texts } = await unread({ ...stranger, inScope: true });
    tracker.settled(50 * SECOND);
    data(1, `${rpc(1)}\n`, 50 * SECOND, { offset: 0, fromReader: true, pid: SERVER.pid });
    tracker.settled(60 * SECOND);
    assert.deepEqual([texts(), gaps()], [[rpc(1)], []]);
  });

  test('are lost where only a process out of scope could show them', async () => {
    const { tracker, gaps } = await unread(stranger);
    tracker.settled(SECOND);
    assert.equal(gaps().length, 1);
  });
});

describe('a stream that is not wanted', () => {
  test('is not copied any more, and what still comes of it is dropped', () => {
    const { tracker, data, gap, texts, gaps, verdicts } = connected(1);
    tracker.stop(1);
    tracker.stop(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    gap(1, 100, 2 * MS);
    tracker.finish(SECOND);
    assert.deepEqual(verdicts, ['stop 1']);
    assert.deepEqual(texts(), []);
    assert.deepEqual(gaps(), []);
  });

  test('and then is: what was missed is one gap', () => {
    const { tracker, data, texts, gaps, verdicts } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    tracker.stop(1);
    tracker.keep(1);
    data(1, `tail"}\n${rpc(2)}\n`, 2 * MS, { offset: 5000 });
    tracker.settled(10 * MS);
    assert.deepEqual(verdicts, ['stop 1', 'resume 1']);
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
    assert.deepEqual(
      gaps().map(({ bytes, cause }) => [bytes, cause]),
      [[5000 - rpc(1).length - 1, 'stopped']],
    );
  });

  test('is wanted again when its writer turns out to be a server', () => {
    const { tracker, announce, verdicts } = connected(1);
    announce(2);
    tracker.stop(1);
    tracker.stop(2);
    tracker.keepFrom(CLIENT.pid);
    assert.deepEqual(verdicts, ['stop 1', 'stop 2', 'resume 1']);
  });

  test('is one with a very long line that is no JSON', () => {
    const { data, verdicts } = connected(1);
    for (let time = 1; time <= 5; time++) data(1, 'x'.repeat(65536), time * MS);
    assert.deepEqual(verdicts, ['stop 1']);
  });

  test('is not one of which much is lost, as long as little was seen of it that was no line', () => {
    const { tracker, data, gap, texts, verdicts } = connected(1);
    data(1, '{"jsonrpc"', 1 * MS);
    gap(1, 10 << 20, 2 * MS, { lines: 3, endsLine: false });
    for (let time = 3; time < 20; time++) data(1, 'x'.repeat(65536), time * MS);
    data(1, `\n${rpc(1)}\n`, 20 * MS);
    tracker.settled(300 * MS);
    assert.deepEqual(verdicts, []);
    assert.deepEqual(texts(), ['incomplete', rpc(1)]);
    gap(1, 10 << 20, 301 * MS, { lines: 0, endsLine: false });
    for (let time = 302; time < 370; time++) data(1, 'x'.repeat(65536), time * MS);
    assert.deepEqual(verdicts, ['stop 1']);
  });

  test('is one that was joined in the middle of a line only if it goes on for long', () => {
    const tracked = tracking();
    tracked.announce(1, { joined: true });
    const { data, verdicts } = tracked;
    for (let time = 1; time <= 60; time++) data(1, 'x'.repeat(65536), time * MS);
    assert.deepEqual(verdicts, []);
    for (let time = 61; time <= 65; time++) data(1, 'x'.repeat(65536), time * MS);
    assert.deepEqual(verdicts, ['stop 1']);
  });

  test('is not one with a very long line of JSON, nor one that is recognised', () => {
    const { tracker, data, verdicts } = connected(1);
    for (let time = 1; time <= 5; time++) data(1, '{'.padEnd(65536), time * MS);
    tracker.keep(2);
    const kept = connected(1);
    kept.tracker.keep(1);
    for (let time = 1; time <= 5; time++) kept.data(1, 'x'.repeat(65536), time * MS);
    assert.deepEqual([...verdicts, ...kept.verdicts], []);
  });
});

describe('a stream that the kernel had forgotten and numbers anew', () => {
  test('goes on under its first number', () => {
    const { tracker, announce, data, frames, gaps } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    announce(2, { inode: 1001, joined: true });
    data(2, `${rpc(2)}\n`, 2 * MS);
    tracker.settled(10 * MS);
    assert.deepEqual(
      frames().map(({ stream }) => stream.id),
      [1, 1],
    );
    assert.deepEqual(gaps(), []);
  });

  test('is stopped and resumed under the number that the kernel knows', () => {
    const { tracker, announce, verdicts } = connected(1);
    tracker.stop(1);
    announce(2, { inode: 1001, joined: true });
    tracker.keep(1);
    tracker.stop(1);
    assert.deepEqual(verdicts, ['stop 1', 'stop 2', 'resume 2', 'stop 2']);
  });

  test('is another one when it is younger than our watch', () => {
    const { tracker, announce, data, frames } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    announce(2, { inode: 1001, joined: false });
    data(2, 'x\n', 2 * MS);
    tracker.settled(10 * MS);
    assert.deepEqual(
      frames().map(({ stream }) => stream.id),
      [1, 2],
    );
  });
});

describe('a stream that has ended', () => {
  test('says so after its last frame, once', () => {
    const { tracker, data, eof, kinds } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    eof(1, 2 * MS);
    eof(1, 3 * MS);
    tracker.settled(10 * MS);
    assert.deepEqual(kinds(), ['frame 1', 'end 1']);
  });

  test('is forgotten a while later', () => {
    const { tracker, data, eof } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    eof(1, 2 * MS);
    tracker.settled(4 * SECOND);
    assert.equal(tracker.size, 1);
    tracker.settled(7 * SECOND);
    assert.equal(tracker.size, 0);
  });

  test('because both its processes have, without anybody seeing its end, says so, too', () => {
    const { tracker, data, exit, kinds } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    tracker.keep(1);
    exit(CLIENT.pid, 2 * MS);
    exit(SERVER.pid, 2 * MS);
    tracker.settled(7 * SECOND);
    tracker.settled(9 * SECOND);
    assert.deepEqual(kinds(), ['frame 1', 'end 1']);
    assert.equal(tracker.size, 0);
  });

  test('is none that is recognised and whose reader lives: the server may be started again', () => {
    const { tracker, fork, data, exit, kinds, gaps } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    tracker.keep(1);
    exit(CLIENT.pid, 2 * MS);
    tracker.settled(60 * SECOND);
    fork(101, 1, 61 * SECOND);
    data(1, `${rpc(2)}\n`, 62 * SECOND, { pid: 101 });
    tracker.settled(63 * SECOND);
    assert.deepEqual(kinds(), ['frame 1', 'frame 1']);
    assert.deepEqual(gaps(), []);
  });

  test('and goes on after all, as a FIFO may, has lost nothing and knows its reader', () => {
    const { tracker, fork, data, eof, kinds, who } = connected(1);
    data(1, `${rpc(1)}\n`, 1 * MS);
    eof(1, 2 * MS);
    tracker.settled(60 * SECOND);
    assert.equal(tracker.size, 0);
    fork(101, CLIENT.pid, 61 * SECOND);
    data(1, `${rpc(2)}\n`, 62 * SECOND, { pid: 101 });
    tracker.settled(63 * SECOND);
    assert.deepEqual(kinds(), ['frame 1', 'end 1', 'frame 1']);
    assert.deepEqual(who(), ['client>server', 'client>server']);
  });
});

describe('memory', () => {
  test('does not grow with the number of streams that have been', () => {
    const { tracker, announce, endpoint, data, eof, fork, exit } = tracking();
    let largest = 0;
    for (let stream = 1; stream <= 100_000; stream++) {
      const time = stream * 10 * MS;
      const pid = 1000 + (stream % 30_000);
      fork(pid, CLIENT.pid, time);
      announce(stream, { time });
      endpoint(stream, pid, false, time);
      data(stream, 'out\n', time, { pid });
      // Some readers see the end, some only close.
      if (stream % 3) eof(stream, time);
      exit(pid, time);
      if (stream % 100 === 0) {
        tracker.settled(time);
        largest = Math.max(largest, tracker.size);
      }
    }
    // Those of the last five seconds, and of one more until the next sweep.
    assert.ok(largest < 1000, `${largest} streams`);
  });

  test('does not grow with the number of streams that nobody used', () => {
    const { tracker, announce, kinds } = tracking();
    for (let stream = 1; stream <= 20_000; stream++) {
      announce(stream, { time: stream * 10 * MS });
      if (stream % 100 === 0) tracker.settled(stream * 10 * MS);
    }
    assert.ok(tracker.size < 1000, `${tracker.size} streams`);
    assert.deepEqual(kinds(), []);
  });

  test('still knows a stream that was not used for a long time', () => {
    const { tracker, announce, endpoint, data, frames, asked } = tracking();
    announce(1, { carrier: 'unix', pair: 2 });
    tracker.settled(60 * SECOND);
    assert.equal(tracker.size, 0);
    endpoint(1, SERVER.pid, true, 61 * SECOND);
    endpoint(1, CLIENT.pid, false, 61 * SECOND);
    data(1, `${rpc(1)}\n`, 61 * SECOND);
    tracker.settled(62 * SECOND);
    assert.equal(frames()[0]?.stream.carrier, 'unix');
    assert.deepEqual(frames()[0]?.to, SERVER);
    assert.deepEqual(asked, []);
  });

  test('at the end of the capture gives everything that still waits', () => {
    const { tracker, announce, data, texts } = tracking();
    announce(1);
    data(1, `${rpc(1)}\n${rpc(2)}`, 1 * MS);
    tracker.finish(2 * MS);
    assert.deepEqual(texts(), [rpc(1), rpc(2)]);
  });
});

describe('two directions', () => {
  test('are of one socket when their inodes say so, not when memory is used again by another socket', () => {
    const { tracker, announce } = tracking();
    announce(1, { carrier: 'unix', inode: 11, peerInode: 12 });
    announce(2, { carrier: 'unix', inode: 12, peerInode: 11, pair: 1 });
    // The kernel found what was there before at the address of the peer.
    announce(3, { carrier: 'unix', inode: 21, peerInode: 22, pair: 2 });
    announce(4, { carrier: 'unix', inode: 22, peerInode: 21, pair: 3 });
    const pairs = [1, 2, 3, 4].map((stream) => tracker.get(stream)?.pair);
    assert.deepEqual(pairs, [0, 1, 0, 3]);
  });

  test('of a connection are not those of an earlier one between the same addresses, which has ended', () => {
    const tracked = tracking();
    const { tracker, announce, eof } = tracked;
    announceTcp(tracked, 1);
    eof(2, 1 * MS);
    announce(3, { carrier: 'tcp', addresses: LOOPBACK, pair: 2 });
    assert.equal(tracker.get(3)?.pair, 0);
  });
});
