// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CLIENT, MS, result, rpc, SECOND, SERVER, tracking } from '../../test/support/tracking.ts';

/** Both directions of a conversation that was there before, by pipes; its first exchange is over. */
function joined() {
  const tracked = tracking();
  for (const [stream, writer, reader] of [
    [1, CLIENT, SERVER],
    [2, SERVER, CLIENT],
  ] as const) {
    tracked.announce(stream, { joined: true });
    tracked.endpoint(stream, writer.pid, false);
    tracked.endpoint(stream, reader.pid, true);
  }
  let read = 7000;
  let written = 0;
  /** The server has had so much, by a count that began elsewhere. */
  const reads = (text: string, time: number) => {
    read += text.length;
    tracked.data(1, '', time, { offset: read, fromReader: true, pid: SERVER.pid });
  };
  const writes = (text: string, time: number) => {
    tracked.data(1, text, time, { offset: written });
    written += text.length;
  };
  const answers = (text: string, time: number) => tracked.data(2, text, time, { pid: SERVER.pid });
  writes(`${rpc(1)}\n`, 1 * MS);
  reads(`${rpc(1)}\n`, 2 * MS);
  answers(`${result(1)}\n`, 3 * MS);
  tracked.tracker.settled(5 * MS);
  return { ...tracked, reads, writes, answers };
}

describe('a reader that leaves its bytes to a writer whose call has not returned', () => {
  test('is not heard before what it has read is told', () => {
    const { tracker, reads, writes, answers, texts } = joined();
    reads(`${rpc(2)}\n`, 10 * MS);
    answers(`${result(2)}\n`, 11 * MS);
    tracker.settled(20 * MS);
    assert.deepEqual(texts(), [rpc(1), result(1)]);
    writes(`${rpc(2)}\n`, 15 * MS);
    writes(`${rpc(3)}\n`, 16 * MS);
    tracker.settled(30 * MS);
    assert.deepEqual(texts().slice(2), [rpc(2), result(2), rpc(3)]);
  });

  test('is heard when nothing comes of that', () => {
    const { tracker, reads, answers, texts } = joined();
    reads(`${rpc(2)}\n`, 10 * MS);
    answers(`${result(2)}\n`, 11 * MS);
    tracker.settled(220 * MS);
    assert.deepEqual(texts().slice(2), [result(2)]);
    reads(`${rpc(3)}\n`, 230 * MS);
    answers(`${result(3)}\n`, 231 * MS);
    tracker.settled(240 * MS);
    assert.deepEqual(texts().slice(2), [result(2), result(3)]);
  });

  test('counts anew where the kernel numbers an idle stream anew: times are those of then', () => {
    const { tracker, data, announce, endpoint, frames } = joined();
    announce(3, { joined: true });
    endpoint(3, CLIENT.pid, false);
    endpoint(3, SERVER.pid, true);
    const length = rpc(5).length + 1;
    data(3, `${rpc(5)}\n`, 10 * MS, { offset: 0 });
    data(3, '', 11 * MS, { offset: length, fromReader: true, pid: SERVER.pid });
    // The reader ahead of the writer's call.
    data(3, '', 12 * MS, { offset: 2 * length, fromReader: true, pid: SERVER.pid });
    data(3, `${rpc(6)}\n`, 13 * MS, { offset: length });
    tracker.settled(20 * MS);
    announce(4, { joined: true, inode: 1003, time: 3600 * SECOND });
    data(4, `${rpc(7)}\n`, 3600 * SECOND, { offset: 0 });
    tracker.settled(3601 * SECOND);
    assert.equal(frames().at(-1)?.time, 3600 * SECOND);
  });

  test('learns how far the counts are apart from a call that had returned', () => {
    const { tracker, data, announce, endpoint, answers, texts } = joined();
    announce(3, { joined: true });
    endpoint(3, CLIENT.pid, false);
    endpoint(3, SERVER.pid, true);
    // The first that is read is told late, the second in time.
    data(3, '', 10 * MS, { offset: 100, fromReader: true, pid: SERVER.pid });
    data(3, `${rpc(5)}\n${rpc(6)}\n`, 11 * MS, { offset: 0 });
    data(3, '', 12 * MS, { offset: 100 + rpc(6).length + 1, fromReader: true, pid: SERVER.pid });
    data(3, '', 13 * MS, { offset: 100 + 2 * rpc(6).length + 2, fromReader: true, pid: SERVER.pid });
    answers(`${result(7)}\n`, 14 * MS);
    tracker.settled(20 * MS);
    assert.ok(!texts().includes(result(7)));
    data(3, `${rpc(7)}\n`, 15 * MS, { offset: 2 * rpc(6).length + 2 });
    tracker.settled(30 * MS);
    assert.deepEqual(texts().slice(2), [rpc(5), rpc(6), rpc(7), result(7)]);
  });
});
