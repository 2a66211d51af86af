// SPDX-License-Identifier: Apache-2.0
/** What is kept of servers that come and go, and of streams that hold still, in everything between the rings and the outputs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Bus } from '../bus.ts';
import { Analyzer } from '../mcp/analyzer.ts';
import { Statistics } from '../mcp/statistics.ts';
import { decodeControl, decodeData } from '../source/decode.ts';
import { DATA, HEAD, RECORD, STREAM } from '../source/layout.ts';
import { Tracker } from '../streams/tracker.ts';
import { streamControl } from './stream-control.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const MS = 1e6;
/** The first fill the caches. */
const FIRST = 2000;
const MORE = 4000;
/** Bytes of heap that a server may leave behind: a line of the summary, and a process that may be asked for. */
const LEFT_MAX = 1200;
const IDLE = 20_000;
/** Bytes of heap for a stream on which one message has passed and nothing more; its request is open. */
const IDLE_MAX = 1_200;

/** Of `enum stream_kind`. */
const PIPE = 1;

const CLIENT = { pid: 1, comm: 'client', exe: '/bin/client', argv: ['client'] };

function capture() {
  const bus = new Bus();
  const statistics = new Statistics();
  bus.on('message', (event) => statistics.add(event));
  bus.on('server', (event) => statistics.addServer(event));
  const analyzer = new Analyzer(
    bus,
    streamControl(() => tracker),
    { allJsonRpc: false, wall: (time) => time },
  );
  const tracker: Tracker = new Tracker(
    { maxMessage: 1 << 20 },
    { holders: async () => [], process: async () => null, connection: () => {} },
    { stop: () => {}, resume: () => {} },
    (item) => analyzer.item(item),
  );
  tracker.processes.watch([CLIENT]);
  const record = tracker.record.bind(tracker);
  const settled = (time: number) => {
    tracker.settled(time);
    analyzer.settled(time);
  };
  const finish = (time: number) => {
    tracker.finish(time);
    analyzer.finish();
    return statistics.summary(1, {}).frames;
  };
  return { record, settled, finish };
}

/** A client that starts one server after another. Its socket to each is closed without a last read. */
function client() {
  const { record, settled, finish } = capture();
  let stream = 0;
  let served = 0;

  function socket(time: number) {
    const [there, back] = [++stream, ++stream];
    const base = {
      type: 'stream',
      time,
      pid: CLIENT.pid,
      carrier: 'unix',
      device: 0,
      joined: false,
    } as const;
    record({ ...base, stream: there, inode: 2 * there, peerInode: 2 * back, pair: 0 });
    record({ ...base, stream: back, inode: 2 * back, peerInode: 2 * there, pair: there });
    return { there, back };
  }

  function say(stream: number, from: number, to: number, message: object, time: number): void {
    const bytes = Buffer.from(`${JSON.stringify({ jsonrpc: '2.0', id: served, ...message })}\n`);
    const base = { stream, time, offset: 0, bytes, packetEnd: false };
    const fd = (pid: number) => (pid === CLIENT.pid ? 20 + (stream % 4) : stream % 4 < 2 ? 0 : 1);
    // Both at once, so that nobody has to be looked for.
    for (const [pid, reader] of [
      [from, false],
      [to, true],
    ] as const)
      record({
        type: 'endpoint',
        stream,
        time,
        pid,
        reader,
        fd: fd(pid),
        comm: pid === CLIENT.pid ? 'client' : 'server',
      });
    record({ type: 'data', ...base, pid: from, fd: fd(from), fromReader: false });
    record({ type: 'data', ...base, pid: to, fd: fd(to), fromReader: true });
  }

  function serve(): void {
    const time = ++served * 180 * MS;
    const pid = 1000 + served;
    record({ type: 'fork', time, pid, parent: CLIENT.pid, comm: 'client' });
    const [input, output] = [socket(time), socket(time)];
    const argv = [
      '/usr/bin/env',
      'some-server',
      '--config',
      `/home/somebody/.config/server/${'x'.repeat(40)}`,
    ];
    record({ type: 'exec', time, pid, comm: 'server', exe: '/usr/bin/some-server', argv });
    say(input.there, CLIENT.pid, pid, { method: 'tools/call', params: { name: 'echo' } }, time + 1 * MS);
    say(output.back, pid, CLIENT.pid, { result: { content: [] } }, time + 2 * MS);
    record({ type: 'exit', time: time + 3 * MS, pid });
    record({ type: 'eof', time: time + 3 * MS, stream: output.back });
    settled(time + 10 * MS);
  }

  return { serve, messages: () => finish(++served * 180 * MS) };
}

/** Bytes of heap in use. */
function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

test('of 4,000 servers that have come and gone some hundred bytes each are kept', () => {
  const { serve, messages } = client();
  for (let index = 0; index < FIRST; index++) serve();
  const before = heap();
  for (let index = 0; index < MORE; index++) serve();
  const left = (heap() - before) / MORE;
  const { request, response } = messages();
  assert.deepEqual([request, response], [FIRST + MORE, FIRST + MORE]);

  assert.ok(left < LEFT_MAX, `${Math.round(left)} bytes are kept of each`);
});

/** A pipe and one message in it, as they lie in the rings: what is kept of them are the decoder's own numbers. */
function inRings(stream: number, time: number) {
  const head = (type: number, size: number) => {
    const bytes = Buffer.alloc(size);
    bytes.writeUInt16LE(type, HEAD.type);
    bytes.writeUInt32LE(CLIENT.pid, HEAD.tgid);
    bytes.writeBigUInt64LE(BigInt(time), HEAD.time);
    bytes.writeBigUInt64LE(BigInt(stream), HEAD.stream);
    return bytes;
  };
  const begin = head(RECORD.stream, STREAM.library + 4);
  begin.writeBigUInt64LE(BigInt(100_000 + stream), STREAM.inode);
  begin.writeUInt32LE(15, STREAM.device);
  begin.writeUInt32LE(PIPE, STREAM.kind);
  const message = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n');
  const data = head(RECORD.data, DATA.payload);
  data.writeUInt32LE(message.length, DATA.length);
  data.writeInt32LE(4 + 2 * stream, DATA.fd);
  return { begin, data: Buffer.concat([data, message]) };
}

test('a stream that holds still takes less than 1.2 kilobytes', () => {
  const { record, settled, finish } = capture();
  const before = heap();
  for (let stream = 1; stream <= IDLE; stream++) {
    const time = 3600e9 + stream * MS;
    const { begin, data } = inRings(stream, time);
    const announced = decodeControl(begin, 0);
    const bytes = decodeData(data, 0);
    assert.ok(announced?.type === 'stream' && bytes);
    record(announced);
    const ends = {
      type: 'endpoint',
      stream: announced.stream,
      time,
      pid: CLIENT.pid,
      comm: CLIENT.comm,
    } as const;
    record({ ...ends, reader: false, fd: 4 + 2 * stream });
    record({ ...ends, reader: true, fd: 3 + 2 * stream });
    record(bytes);
    if (stream % 100 === 0) settled(time + 10 * MS);
  }
  settled(3600e9 + (IDLE + 10) * MS);
  const each = (heap() - before) / IDLE;
  assert.equal(finish(3600e9 + (IDLE + 20) * MS).request, IDLE);
  assert.ok(each < IDLE_MAX, `${Math.round(each)} bytes each`);
});
