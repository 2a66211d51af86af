// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeControl, decodeData, decodeGap } from './decode.ts';
import { FLAG, RECORD } from './layout.ts';

/** Fields in the order of the structures of bpf/record.h. */
function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
function s32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
function chars(text: string, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.write(text);
  return bytes;
}

const TIME = 2 ** 52 + 1;

function head(type: number, flags = 0, stream: number | bigint = 7): Buffer[] {
  return [u16(type), u16(flags), u32(42), u64(TIME), u64(stream)];
}

/** A record somewhere in a ring, with something else before and behind it. */
const AT = 24;
function inRing(...fields: Buffer[]): Buffer {
  return Buffer.concat([Buffer.alloc(AT, 0xaa), ...fields, Buffer.alloc(64, 0xbb)]);
}

describe('a record of data', () => {
  const data = (flags: number) =>
    inRing(...head(RECORD.data, flags), u64(2 ** 40 + 3), u32(5), s32(-1), Buffer.from('hello and more'));

  test('says which bytes moved where', () => {
    assert.deepEqual(decodeData(data(0), AT), {
      type: 'data',
      time: TIME,
      pid: 42,
      stream: 7,
      fd: -1,
      offset: 2 ** 40 + 3,
      fromReader: false,
      packetEnd: false,
      resumed: false,
      shared: false,
      batch: false,
      bytes: Buffer.from('hello'),
    });
  });

  test('says whose call supplied them and whether a packet ends', () => {
    assert.equal(decodeData(data(FLAG.read), AT)?.fromReader, true);
    assert.equal(decodeData(data(FLAG.packetEnd), AT)?.packetEnd, true);
    assert.equal(decodeData(data(FLAG.shared), AT)?.shared, true);
    assert.equal(decodeData(data(FLAG.batch), AT)?.batch, true);
  });

  test('lies in the ring: nothing is copied', () => {
    const ring = data(0);
    const bytes = decodeData(ring, AT)?.bytes;
    ring.write('J', AT + 40);
    assert.equal(bytes?.toString(), 'Jello');
  });

  test('of a type of a newer object is none', () => {
    assert.equal(decodeData(inRing(...head(3)), AT), undefined);
  });
});

describe('a gap', () => {
  const gap = (flags: number, cause = 0) =>
    inRing(...head(RECORD.gap, flags), u64(99), u64(1000), u32(3), u32(cause));

  test('has a place, lines and an end as far as its flags say', () => {
    const flags = FLAG.placed | FLAG.linesKnown | FLAG.endsLine | FLAG.mayArrive | FLAG.read;
    const full = { type: 'gap', time: TIME, stream: 7, bytes: 1000, cause: 'ring-full' };
    assert.deepEqual(decodeGap(gap(flags), AT), {
      ...full,
      offset: 99,
      lines: 3,
      endsLine: true,
      mayArrive: true,
      fromReader: true,
    });
    assert.deepEqual(decodeGap(gap(0), AT), {
      ...full,
      offset: undefined,
      lines: undefined,
      endsLine: undefined,
      mayArrive: false,
      fromReader: false,
    });
    assert.equal(decodeGap(gap(FLAG.placed | FLAG.linesKnown), AT)?.endsLine, false);
  });

  test('names its cause, and an unknown one is unknown', () => {
    const causes = [0, 1, 2, 3, 4, 5, 6, 7, 4_000_000_000].map(
      (cause) => decodeGap(gap(0, cause), AT)?.cause,
    );
    assert.deepEqual(causes, [
      'ring-full',
      'unreadable',
      'map-full',
      'splice',
      'io_uring',
      'compat',
      'skipped',
      'unknown',
      'unknown',
    ]);
  });

  test('of a type of a newer object is none', () => {
    assert.equal(decodeGap(inRing(...head(3)), AT), undefined);
  });
});

describe('a record of the control ring', () => {
  const ends = (family: number) => [
    chars('\x7f\0\0\x01', 16),
    chars('\x7f\0\0\x02', 16),
    u16(4000),
    u16(80),
    u32(family),
  ];
  const stream = (kind: number, joined = 0, family = 0, library = 0) =>
    inRing(
      ...head(RECORD.stream),
      ...[u64(11), u64(12), u64(13), u32(14), u32(kind), u64(joined), ...ends(family), u32(library)],
    );

  test('announces a stream', () => {
    assert.deepEqual(decodeControl(stream(2, 1), AT), {
      type: 'stream',
      time: TIME,
      pid: 42,
      stream: 7,
      carrier: 'unix',
      inode: 11,
      peerInode: 12,
      device: 14,
      pair: 13,
      joined: true,
      addresses: undefined,
      tls: undefined,
    });
  });

  test('says between which addresses a TCP stream runs, and which library encrypts a TLS one', () => {
    const tcp = decodeControl(stream(5, 0, 2), AT);
    assert.deepEqual(tcp?.type === 'stream' && tcp.addresses, {
      source: { ip: '127.0.0.1', port: 4000 },
      destination: { ip: '127.0.0.2', port: 80 },
    });
    const libraries = [0, 1, 2, 99].map((library) => {
      const record = decodeControl(stream(6, 0, 0, library), AT);
      return record?.type === 'stream' && record.tls;
    });
    assert.deepEqual(libraries, [undefined, 'OpenSSL', 'GnuTLS', undefined]);
  });

  test('ties clear text to the addresses that carry it', () => {
    assert.deepEqual(decodeControl(inRing(...head(RECORD.tie), u64(3), ...ends(2)), AT), {
      type: 'tie',
      time: TIME,
      stream: 7,
      addresses: { source: { ip: '127.0.0.1', port: 4000 }, destination: { ip: '127.0.0.2', port: 80 } },
    });
    assert.equal(decodeControl(inRing(...head(RECORD.tie), u64(3), ...ends(0)), AT), undefined);
  });

  test('names every carrier', () => {
    const carriers = [1, 2, 3, 4, 5, 6].map((kind) => {
      const record = decodeControl(stream(kind), AT);
      return record?.type === 'stream' && record.carrier;
    });
    assert.deepEqual(carriers, ['pipe', 'unix', 'unix-seqpacket', 'stderr', 'tcp', 'tls']);
  });

  test('says who was seen at an end', () => {
    const fields = [s32(3), u32(0), chars('python', 16)];
    assert.deepEqual(decodeControl(inRing(...head(RECORD.endpoint, FLAG.read), ...fields), AT), {
      type: 'endpoint',
      time: TIME,
      stream: 7,
      pid: 42,
      fd: 3,
      reader: true,
      comm: 'python',
    });
  });

  test('reads a name that fills its room, and one that is not ASCII', () => {
    const comm = (name: string) => {
      const record = decodeControl(inRing(...head(RECORD.endpoint), s32(3), u32(0), chars(name, 16)), AT);
      return record?.type === 'endpoint' && record.comm;
    };
    assert.equal(comm('0123456789abcdef'), '0123456789abcdef');
    assert.equal(comm('größe'), 'größe');
    assert.equal(comm(''), '');
  });

  test('says that a stream has ended', () => {
    assert.deepEqual(decodeControl(inRing(...head(RECORD.eof)), AT), { type: 'eof', time: TIME, stream: 7 });
  });

  const process = (type: number, other: number, argv: string, exe = '/bin/x') =>
    inRing(
      ...head(type, 0, 0),
      u32(other),
      u32(Buffer.byteLength(argv)),
      chars('x', 16),
      chars(exe, 256),
      Buffer.from(argv),
    );

  test('tells a fork, an exec and an exit', () => {
    assert.deepEqual(decodeControl(process(RECORD.fork, 41, ''), AT), {
      type: 'fork',
      time: TIME,
      pid: 42,
      parent: 41,
      comm: 'x',
    });
    assert.deepEqual(decodeControl(process(RECORD.exec, 0, 'x\0--flag\0\0ü\0'), AT), {
      type: 'exec',
      time: TIME,
      pid: 42,
      comm: 'x',
      exe: '/bin/x',
      argv: ['x', '--flag', '', 'ü'],
    });
    assert.deepEqual(decodeControl(process(RECORD.exit, 9, ''), AT), { type: 'exit', time: TIME, pid: 42 });
  });

  test('reads a command line that was cut, and one that is missing', () => {
    const argv = (text: string) => {
      const record = decodeControl(process(RECORD.exec, 0, text), AT);
      return record?.type === 'exec' && record.argv;
    };
    assert.deepEqual(argv('x\0--lon'), ['x', '--lon']);
    assert.deepEqual(argv(''), []);
  });

  test('reads a path that fills its room', () => {
    const record = decodeControl(process(RECORD.exec, 0, '', '/'.padEnd(256, 'p')), AT);
    assert.equal(record?.type === 'exec' && record.exe.length, 256);
  });

  test('of a type of a newer object is none', () => {
    assert.equal(decodeControl(inRing(...head(99)), AT), undefined);
  });
});
