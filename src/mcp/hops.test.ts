// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Hops, type Way } from './hops.ts';
import { parseFrame } from './jsonrpc.ts';

const CLIENT = 1;
const RELAY = 2;
const SERVER = 3;

function way(connection: number, writer: number | undefined, reader?: number): Way {
  return { connection, writer, reader, unread: reader === undefined };
}

function message(id: number): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"x"}}`;
}

describe('a message', () => {
  test('seen for the first time has no hop', () => {
    assert.equal(new Hops().note(1, way(1, CLIENT, SERVER), message(1)), undefined);
  });

  test('that a relay passes on is its second hop', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    assert.deepEqual(hops.note(2, way(2, RELAY, SERVER), message(1)), { number: 2, previous: 1, origin: 1 });
  });

  test('that a chain of relays passes on knows the hop before and the first', () => {
    const hops = new Hops();
    hops.note(5, way(1, 10, 11), message(1));
    hops.note(6, way(2, 11, 12), message(1));
    assert.deepEqual(hops.note(7, way(3, 12, 13), message(1)), { number: 3, previous: 6, origin: 5 });
    assert.deepEqual(hops.note(8, way(4, 13, 14), message(1)), { number: 4, previous: 7, origin: 5 });
  });

  test('that a relay passes on is known, however many servers have come and gone since the relay began', () => {
    const hops = new Hops();
    const unknown: number[] = [];
    for (let server = 1; server <= 5000; server++) {
      hops.note(2 * server, way(1, CLIENT, RELAY), message(server));
      // It has read ten more by the time.
      const hop = hops.note(2 * server + 1, way(1 + server, RELAY, 100 + server), message(server - 10));
      if (server > 10 && hop?.previous !== 2 * (server - 10)) unknown.push(server);
    }
    assert.deepEqual(unknown, []);
    assert.equal(
      hops.note(20_000, way(9999, 101, SERVER), message(-9)),
      undefined,
      'whoever read long ago is forgotten',
    );
  });

  test('and its answer on the way back are hops of their own', () => {
    const hops = new Hops();
    const answer = '{"jsonrpc":"2.0","id":1,"result":{}}';
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    hops.note(2, way(2, RELAY, SERVER), message(1));
    assert.equal(hops.note(3, way(2, SERVER, RELAY), answer), undefined);
    assert.deepEqual(hops.note(4, way(1, RELAY, CLIENT), answer), { number: 2, previous: 3, origin: 3 });
  });

  test('that was told before the relay read it is linked all the same, once that is known', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT), message(1));
    assert.equal(hops.note(2, way(2, RELAY, SERVER), message(1)), undefined, 'somebody else may read it');
    hops.read(1, RELAY);
    assert.equal(hops.note(3, way(2, RELAY, SERVER), message(1))?.previous, 1);
  });

  test('that nobody reads is kept, and so are 63 more, but not any number', () => {
    const hops = new Hops();
    for (let id = 1; id <= 65; id++) hops.note(id, way(1, CLIENT), message(id));
    for (let id = 1; id <= 65; id++) hops.read(id, RELAY);
    assert.equal(hops.note(101, way(2, RELAY, SERVER), message(1)), undefined);
    for (let id = 2; id <= 65; id++)
      assert.equal(hops.note(100 + id, way(2, RELAY, SERVER), message(id))?.previous, id);
  });

  test('sent back on the connection it came from is no hop: that is an echo', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, SERVER), message(1));
    assert.equal(hops.note(2, way(1, SERVER, CLIENT), message(1)), undefined);
  });

  test('that only looks like another is no hop', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    assert.equal(hops.note(2, way(2, RELAY, SERVER), message(2)), undefined);
    assert.equal(hops.note(3, way(2, RELAY, SERVER), `${message(1)} `), undefined);
  });

  test('of somebody who has not read it is no hop', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    assert.equal(hops.note(2, way(2, 9, SERVER), message(1)), undefined);
    assert.equal(hops.note(3, way(3, undefined, SERVER), message(1)), undefined);
  });

  test('that a relay passes on to several servers is a hop of each', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    assert.equal(hops.note(2, way(2, RELAY, SERVER), message(1))?.previous, 1);
    assert.equal(hops.note(3, way(3, RELAY, 4), message(1))?.previous, 1);
  });

  test('that comes several times is linked one to one, in order', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    hops.note(2, way(1, CLIENT, RELAY), message(1));
    assert.equal(hops.note(3, way(2, RELAY, SERVER), message(1))?.previous, 1);
    assert.equal(hops.note(4, way(2, RELAY, SERVER), message(1))?.previous, 2);
  });

  test('that a relay repeats without end takes no more memory for it', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    const repeat = (from: number, to: number) => {
      for (let seq = from; seq < to; seq++) assert.ok(hops.note(seq, way(2, RELAY, 0), message(1)));
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = repeat(2, 10_000);
    const grown = repeat(10_000, 800_000) - before;
    assert.ok(grown < 2 << 20, `${grown} bytes more`);
  });

  test('that a relay read from two clients goes with the one that has not been passed on', () => {
    const hops = new Hops();
    hops.note(1, way(1, CLIENT, RELAY), message(1));
    hops.note(2, way(2, 9, RELAY), message(1));
    assert.equal(hops.note(3, way(3, RELAY, SERVER), message(1))?.previous, 1);
    assert.equal(hops.note(4, way(3, RELAY, SERVER), message(1))?.previous, 2);
  });

  test('that is long is told from another by its length and both its ends', () => {
    const long = (tail: string) => `{"jsonrpc":"2.0","id":1,"result":{"text":"${'x'.repeat(5000)}${tail}"}}`;
    for (const as of [(text: string) => text, (text: string) => Buffer.from(text)]) {
      const hops = new Hops();
      hops.note(1, way(1, CLIENT, RELAY), as(long('aa')));
      assert.equal(hops.note(2, way(2, RELAY, SERVER), as(long('bb'))), undefined);
      assert.equal(hops.note(3, way(2, RELAY, SERVER), as(long('aaa'))), undefined);
      assert.equal(hops.note(4, way(2, RELAY, SERVER), as(long('aa')))?.previous, 1);
    }
  });

  test('that a process read very long ago is forgotten, and later ones are not', () => {
    const hops = new Hops();
    for (let id = 1; id <= 3000; id++) hops.note(id, way(1, CLIENT, RELAY), message(id));
    assert.equal(hops.note(9001, way(2, RELAY, SERVER), message(1)), undefined);
    assert.equal(hops.note(9002, way(2, RELAY, SERVER), message(3000))?.previous, 3000);
    assert.equal(hops.note(9003, way(2, RELAY, SERVER), message(2500))?.previous, 2500);
  });
});

describe('a bridge between stdio and HTTP', () => {
  const parsed = (text: string) => {
    const frame = parseFrame(text);
    assert.ok(frame.type === 'messages' && frame.messages[0]);
    return frame.messages[0];
  };
  const anew = (id: number) =>
    `{"params": {"name": "x"}, "method": "tools/call", "id": ${id}, "jsonrpc": "2.0"}`;
  /** Notes a message, `http` or not. */
  const noting = () => {
    const hops = new Hops();
    let seq = 0;
    return (connection: number, from: number, to: number, text: string, http: boolean) =>
      hops.note(++seq, way(connection, from, to), text, parsed(text), http);
  };

  test('may write what it read anew, from the first message on', () => {
    const note = noting();
    note(1, CLIENT, RELAY, message(1), false);
    assert.equal(note(2, RELAY, SERVER, anew(1), true)?.previous, 1);
    note(1, CLIENT, RELAY, message(2), false);
    assert.equal(note(2, RELAY, SERVER, anew(2), true)?.previous, 3);
  });

  test('does so in the other direction, too, and over HTTP to stdio', () => {
    const note = noting();
    note(1, CLIENT, RELAY, message(1), true);
    assert.equal(note(2, RELAY, SERVER, anew(1), false)?.previous, 1);
    note(2, SERVER, RELAY, '{"jsonrpc":"2.0","id":1,"result":{"a":1,"b":2}}', false);
    assert.equal(
      note(1, RELAY, CLIENT, '{"result":{"b":2,"a":1},"jsonrpc":"2.0","id":1}', true)?.previous,
      3,
    );
  });

  test('remembers long messages as well, once it is known', () => {
    const note = noting();
    note(1, CLIENT, RELAY, message(1), false);
    note(2, RELAY, SERVER, anew(1), true);
    const long = 'x'.repeat(5000);
    note(2, SERVER, RELAY, `{"jsonrpc":"2.0","id":1,"result":{"a":"${long}","b":2}}`, true);
    const hop = note(1, RELAY, CLIENT, `{"jsonrpc":"2.0","id":1,"result":{"b":2,"a":"${long}"}}`, false);
    assert.equal(hop?.previous, 3);
  });

  test('that says something else begins a new message', () => {
    const note = noting();
    note(1, CLIENT, RELAY, message(1), false);
    assert.equal(note(2, RELAY, SERVER, anew(2), true), undefined);
  });

  test('is told from a relay within one of the two, which passes messages on as they are', () => {
    for (const http of [true, false]) {
      const note = noting();
      note(1, CLIENT, RELAY, message(1), http);
      assert.equal(note(2, RELAY, SERVER, anew(1), http), undefined);
      assert.equal(note(2, RELAY, SERVER, message(1), http)?.previous, 1);
    }
  });

  test('forgets by what was said, too', () => {
    const note = noting();
    note(1, CLIENT, RELAY, message(0), false);
    note(2, RELAY, SERVER, anew(0), true);
    for (let id = 1; id <= 1100; id++) note(1, CLIENT, RELAY, message(id), false);
    assert.equal(note(2, RELAY, SERVER, anew(1), true), undefined);
    assert.ok(note(2, RELAY, SERVER, anew(1100), true));
  });
});
