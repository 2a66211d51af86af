// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  answers,
  CLIENT,
  connected,
  MS,
  rpc,
  SECOND,
  SERVER,
  tracking,
} from '../../test/support/tracking.ts';

/** A server on a socket, whose client has descriptor 20 of it, and who ends without a last read. */
function left() {
  const tracked = tracking();
  const { tracker, announce, endpoint, data, exit } = tracked;
  announce(1, { carrier: 'unix' });
  endpoint(1, CLIENT.pid, false, 1 * MS, { fd: 20 });
  endpoint(1, SERVER.pid, true, 1 * MS, { fd: 0 });
  data(1, `${rpc(1)}\n`, 1 * MS, { fd: 20 });
  tracker.keep(1);
  exit(SERVER.pid, 2 * MS);
  return tracked;
}

describe('a recognised stream whose reader has gone', () => {
  test('goes on while its writer may have it open', () => {
    const { tracker, announce, endpoint, kinds } = left();
    announce(2);
    endpoint(2, CLIENT.pid, false, 3 * SECOND, { fd: 21 });
    endpoint(2, CLIENT.pid, true, 3 * SECOND, { fd: 20 });
    for (let second = 4; second < 30; second++) tracker.settled(second * SECOND);
    assert.deepEqual(kinds(), ['frame 1']);
  });

  test('has ended when its writer has given the descriptor to another', () => {
    const { tracker, announce, endpoint, kinds } = left();
    announce(2);
    endpoint(2, CLIENT.pid, false, 3 * SECOND, { fd: 20 });
    for (let second = 4; second < 30; second++) tracker.settled(second * SECOND);
    assert.deepEqual(kinds(), ['frame 1', 'end 1']);
    assert.equal(tracker.get(1), undefined);
  });
});

test('who holds a stream that has ended is not looked for', async () => {
  const { tracker, announce, endpoint, data, eof, asked } = tracking();
  announce(1);
  endpoint(1, CLIENT.pid, false);
  data(1, `${rpc(1)}\n`, 1 * MS);
  eof(1, 2 * MS);
  tracker.settled(3 * MS);
  await answers();
  assert.deepEqual(asked, []);
});

test('a stream whose two ends are open is kept, whatever became of older ones with the same descriptors', () => {
  const { tracker, announce, endpoint, data, kinds } = connected(1);
  data(1, `${rpc(1)}\n`, 1 * MS);
  announce(2);
  endpoint(2, CLIENT.pid, false, 3 * SECOND, { fd: 1 });
  endpoint(2, SERVER.pid, true, 3 * SECOND, { fd: 0 });
  for (let second = 4; second < 30; second++) tracker.settled(second * SECOND);
  assert.deepEqual([kinds(), tracker.size], [['frame 1', 'end 1'], 1]);
});
