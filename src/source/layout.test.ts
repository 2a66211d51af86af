// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { STREAM as KERNEL_STREAM, LOSS_CAUSES, PROGRAM_INFO, VERDICT_SLOTS } from '../sensor/programs.ts';
import { CAUSES } from './decode.ts';
import {
  ADDRESSES,
  COMM_LENGTH,
  DATA,
  ENDPOINT,
  FLAG,
  GAP,
  HEAD,
  NEWS,
  PATH_LENGTH,
  PAYLOAD_CHUNK,
  PROCESS,
  RECORD,
  STREAM,
  TIE,
} from './layout.ts';

const BPF = fileURLToPath(new URL('../../bpf/', import.meta.url));

/** The names `kernel.h` gives the integers. */
const TYPES = `
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
`;

const compiler = ['clang', 'gcc', 'cc'].find((name) => spawnSync(name, ['--version']).status === 0);
const skip = compiler === undefined && 'no C compiler';

/** Nothing is linked or run, so no C library is needed. @returns the compiler's complaints. */
function complaints(declarations: string, facts: Readonly<Record<string, number>>): string[] {
  const asserts = Object.entries(facts).map(
    ([expression, value]) => `_Static_assert((${expression}) == ${value}, "is not ${value}");`,
  );
  const source = [TYPES, declarations, ...asserts].join('\n');
  const { stderr } = spawnSync(compiler ?? '', ['-fsyntax-only', '-Werror', '-I', BPF, '-xc', '-'], {
    input: source,
    encoding: 'utf8',
  });
  return stderr.split('\n').filter((line) => line.includes('error:'));
}

const at = (struct: string, member: string) => `__builtin_offsetof(struct ${struct}, ${member})`;

/** A structure of state.h by itself: the rest of that header needs libbpf's. */
function structOf(header: string, name: string): string {
  const found = new RegExp(`^struct ${name} \\{\\n(?:\\t.*\\n)+\\};`, 'm').exec(
    readFileSync(`${BPF}${header}`, 'utf8'),
  );
  assert.ok(found, `struct ${name} in ${header}`);
  return found[0];
}

describe('what src/source/layout.ts says of bpf/record.h is what the compiler makes of it', { skip }, () => {
  const agrees = (facts: Readonly<Record<string, number>>) =>
    assert.deepEqual(complaints('#include "record.h"', facts), []);

  test('the numbers of the records and flags', () => {
    agrees({
      RECORD_DATA: RECORD.data,
      RECORD_GAP: RECORD.gap,
      RECORD_STREAM: RECORD.stream,
      RECORD_ENDPOINT: RECORD.endpoint,
      RECORD_EOF: RECORD.eof,
      RECORD_FORK: RECORD.fork,
      RECORD_EXEC: RECORD.exec,
      RECORD_EXIT: RECORD.exit,
      RECORD_TIE: RECORD.tie,
      RECORD_MAPPED: RECORD.mapped,
      FLAG_READ: FLAG.read,
      FLAG_PACKET_END: FLAG.packetEnd,
      FLAG_ENDS_LINE: FLAG.endsLine,
      FLAG_LINES_KNOWN: FLAG.linesKnown,
      FLAG_PLACED: FLAG.placed,
      FLAG_MAY_ARRIVE: FLAG.mayArrive,
      FLAG_RESUMED: FLAG.resumed,
      FLAG_STRANGER: FLAG.stranger,
      FLAG_SHARED: FLAG.shared,
      FLAG_BATCH: FLAG.batch,
      COMM_LEN: COMM_LENGTH,
      PATH_LEN: PATH_LENGTH,
      PAYLOAD_CHUNK,
    });
  });

  test('the causes of losses, in their order', () => {
    const names = {
      'ring-full': 'RING_FULL',
      unreadable: 'UNREADABLE',
      'map-full': 'MAP_FULL',
      splice: 'SPLICE',
      io_uring: 'IO_URING',
      compat: 'COMPAT',
      skipped: 'SKIPPED',
    } as Readonly<Record<string, string>>;
    agrees({
      ...Object.fromEntries(CAUSES.map((cause, number) => [`LOSS_${names[cause]}`, number])),
      LOSS_CAUSES: CAUSES.length,
    });
    assert.equal(LOSS_CAUSES, CAUSES.length);
  });

  test('where the kernel counts how often it left a program out', () => {
    const facts = { [at('bpf_prog_info', 'recursion_misses')]: PROGRAM_INFO.recursionMisses };
    assert.deepEqual(complaints('#include <linux/bpf.h>', facts), []);
    assert.equal(PROGRAM_INFO.size, PROGRAM_INFO.recursionMisses + 8);
  });

  test('the head of every record', () => {
    agrees({
      [at('record_head', 'type')]: HEAD.type,
      [at('record_head', 'flags')]: HEAD.flags,
      [at('record_head', 'tgid')]: HEAD.tgid,
      [at('record_head', 'time')]: HEAD.time,
      [at('record_head', 'stream')]: HEAD.stream,
      'sizeof(struct record_head)': HEAD.size,
    });
  });

  test('a record of data, and its payload behind it', () => {
    agrees({
      [at('record_data', 'offset')]: DATA.offset,
      [at('record_data', 'length')]: DATA.length,
      [at('record_data', 'fd')]: DATA.fd,
      'sizeof(struct record_data)': DATA.payload,
    });
  });

  test('a gap', () => {
    agrees({
      [at('record_gap', 'offset')]: GAP.offset,
      [at('record_gap', 'bytes')]: GAP.bytes,
      [at('record_gap', 'lines')]: GAP.lines,
      [at('record_gap', 'cause')]: GAP.cause,
    });
  });

  test('a stream', () => {
    agrees({
      [at('record_stream', 'inode')]: STREAM.inode,
      [at('record_stream', 'peer_inode')]: STREAM.peerInode,
      [at('record_stream', 'pair')]: STREAM.pair,
      [at('record_stream', 'device')]: STREAM.device,
      [at('record_stream', 'kind')]: STREAM.kind,
      [at('record_stream', 'joined')]: STREAM.joined,
      [at('record_stream', 'addresses')]: STREAM.addresses,
      [at('record_stream', 'library')]: STREAM.library,
    });
  });

  test('addresses, and what ties TLS to them', () => {
    agrees({
      [at('addresses', 'source')]: ADDRESSES.source,
      [at('addresses', 'destination')]: ADDRESSES.destination,
      [at('addresses', 'source_port')]: ADDRESSES.sourcePort,
      [at('addresses', 'destination_port')]: ADDRESSES.destinationPort,
      [at('addresses', 'family')]: ADDRESSES.family,
      [at('record_tie', 'carrier')]: TIE.carrier,
      [at('record_tie', 'addresses')]: TIE.addresses,
    });
  });

  test('an endpoint', () => {
    agrees({ [at('record_endpoint', 'fd')]: ENDPOINT.fd, [at('record_endpoint', 'comm')]: ENDPOINT.comm });
  });

  test('a process, and its command line behind it', () => {
    agrees({
      [at('record_process', 'other')]: PROCESS.other,
      [at('record_process', 'argv_length')]: PROCESS.argvLength,
      [at('record_process', 'comm')]: PROCESS.comm,
      [at('record_process', 'exe')]: PROCESS.exe,
      'sizeof(struct record_process)': PROCESS.argv,
    });
  });

  test('what only the sensor is told', () => {
    agrees({
      [at('record_mapped', 'inode')]: NEWS.inode,
      [at('record_mapped', 'device')]: NEWS.device,
      [at('record_mapped', 'parent')]: NEWS.parent,
      [at('record_executed', 'path')]: NEWS.path,
      'sizeof(struct record_executed)': NEWS.size,
    });
  });

  test('and a wrong offset would be noticed', () => {
    assert.equal(complaints('#include "record.h"', { [at('record_gap', 'bytes')]: 33 }).length, 1);
  });
});

describe('what src/sensor/programs.ts says of bpf/state.h is what the compiler makes of it', { skip }, () => {
  test('the state of a stream', () => {
    const facts = {
      'sizeof(struct stream)': KERNEL_STREAM.size,
      [at('stream', 'id')]: KERNEL_STREAM.id,
      [at('stream', 'lost_bytes')]: KERNEL_STREAM.lostBytes,
      [at('stream', 'lost_lines')]: KERNEL_STREAM.lostLines,
      [at('stream', 'lost_cause')]: KERNEL_STREAM.lostCause,
      [at('stream', 'held_offset')]: KERNEL_STREAM.heldOffset,
      [at('stream', 'held_bytes')]: KERNEL_STREAM.heldBytes,
      [at('stream', 'held_lines')]: KERNEL_STREAM.heldLines,
      [at('stream', 'held_flags')]: KERNEL_STREAM.heldFlags,
      [at('stream', 'held_cause')]: KERNEL_STREAM.heldCause,
    };
    assert.deepEqual(complaints(structOf('state.h', 'stream'), facts), []);
  });

  test('the losses of one cause: bytes, records and lines', () => {
    const facts = {
      'sizeof(struct loss)': 24,
      [at('loss', 'bytes')]: 0,
      [at('loss', 'records')]: 8,
      [at('loss', 'lines')]: 16,
    };
    assert.deepEqual(complaints(structOf('state.h', 'loss'), facts), []);
  });

  test('the number of verdicts', () => {
    const [define] = /^#define VERDICT_SLOTS .*$/m.exec(readFileSync(`${BPF}state.h`, 'utf8')) ?? [];
    assert.deepEqual(complaints(define ?? '', { VERDICT_SLOTS }), []);
  });
});
