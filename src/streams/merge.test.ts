// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DataRecord, GapRecord } from '../source/records.ts';
import { type Hole, Merge } from './merge.ts';

/** Longer than a hole may stay open. */
const EXPIRED = 1e9;

const WRITER = { fromReader: false, pid: 1, fd: 1 };
const READER = { fromReader: true, pid: 2, fd: 0 };

function dataOf(offset: number, bytes: Buffer | string, end = WRITER, time = 0): DataRecord {
  return { type: 'data', stream: 1, packetEnd: false, time, offset, bytes: Buffer.from(bytes), ...end };
}

function gapOf(offset: number | undefined, bytes: number, more: Partial<GapRecord> = {}): GapRecord {
  return {
    type: 'gap',
    stream: 1,
    time: 0,
    offset,
    bytes,
    lines: undefined,
    endsLine: undefined,
    cause: 'ring-full',
    mayArrive: false,
    fromReader: false,
    ...more,
  };
}

/** What came out, in order: text, or the number of bytes lost and why. */
function collected(joined = false) {
  const out: (string | Hole)[] = [];
  const confirmed: [offset: number, length: number, pid: number][] = [];
  let position = 0;
  const merge = new Merge(
    {
      bytes: (_, bytes, offset) => {
        if (!joined) assert.equal(offset, position, 'bytes follow what was before them');
        position += bytes.length;
        out.push(bytes.toString('latin1'));
      },
      lost: (_, hole) => {
        assert.equal(hole.offset, position, 'a hole follows what was before it');
        assert.ok(hole.bytes > 0, 'a hole has bytes');
        position += hole.bytes;
        out.push(hole);
      },
      confirmed: (_, offset, length, { pid }) => void confirmed.push([offset, length, pid]),
    },
    joined,
  );
  const short = () =>
    out.map((each) => (typeof each === 'string' ? each : `${each.bytes} ${each.cause} ${each.lines ?? '?'}`));
  const text = () => out.map((each) => (typeof each === 'string' ? each : '_'.repeat(each.bytes))).join('');
  return { merge, out, confirmed, short, text, position: () => position };
}

describe('who wrote what the reader had supplied', () => {
  const other = { ...WRITER, pid: 3 };

  test('is told when its call returns, which adds no bytes', () => {
    const { merge, text, confirmed } = collected();
    merge.data(dataOf(0, 'first second', READER));
    merge.data(dataOf(0, 'first ', WRITER));
    merge.data(dataOf(6, 'second', other));
    assert.equal(text(), 'first second');
    assert.deepEqual(confirmed, [
      [0, 6, 1],
      [6, 6, 3],
    ]);
  });

  test('is told by the bytes where two calls return in another order than they wrote', () => {
    const { merge, text, confirmed } = collected();
    merge.data(dataOf(0, 'first\nsecond\n', READER));
    merge.data(dataOf(0, 'second\n', other));
    merge.data(dataOf(7, 'first\n', WRITER));
    assert.equal(text(), 'first\nsecond\n');
    assert.deepEqual(confirmed, [
      [6, 7, 3],
      [0, 6, 1],
    ]);
  });

  test('is told, too, of the one whose bytes were read, when another returns first whose bytes were not', () => {
    const { merge, text, confirmed } = collected();
    merge.data(dataOf(0, 'first\n', READER));
    merge.data(dataOf(0, 'second\n', other));
    merge.data(dataOf(7, 'first\n', WRITER));
    merge.data(dataOf(13, 'third\n', READER));
    assert.equal(text(), 'first\nsecond\nthird\n');
    assert.deepEqual(confirmed, [[0, 6, 1]]);
  });
});

describe('bytes of a stream', () => {
  test('pass as the writer wrote them', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.data(dataOf(3, 'two'));
    assert.deepEqual(short(), ['one', 'two']);
    assert.equal(merge.position, 6);
    assert.equal(merge.waiting, false);
  });

  test('that the reader supplied first are not repeated by the writer', () => {
    const { merge, text } = collected();
    merge.data(dataOf(0, 'one', READER));
    merge.data(dataOf(0, 'one'));
    merge.data(dataOf(3, 'two'));
    assert.equal(text(), 'onetwo');
  });

  test('of one call that wrote several messages, when the reader is far ahead, are told once', () => {
    for (const shared of [false, true]) {
      const { merge, text } = collected();
      const messages = [0, 1, 2, 3].map((id) => `{"id":${id},"${'x'.repeat(3900)}"}\n`);
      const all = messages.join('');
      for (let at = 0; at < all.length; at += 3000)
        merge.data({ ...dataOf(at, all.slice(at, at + 3000), READER), shared });
      let offset = 0;
      for (const message of messages) {
        merge.data({ ...dataOf(offset, message), shared, batch: true });
        offset += message.length;
      }
      merge.end(0);
      assert.equal(text(), all);
    }
  });

  test('on a joined stream: what the reader supplied a moment before the first writer returned is not repeated', () => {
    const { merge, text } = collected(true);
    merge.data(dataOf(0, 'queued', READER, 1e6));
    merge.data(dataOf(6, 'raced', READER, 2e6));
    merge.data(dataOf(11, 'raced', WRITER, 2.1e6));
    merge.data(dataOf(16, 'next', WRITER, 3e6));
    assert.equal(text(), 'queuedracednext');
  });

  test('on a joined stream: the same bytes written again later are kept', () => {
    const { merge, text } = collected(true);
    merge.data(dataOf(0, 'ping', READER, 1e6));
    merge.data(dataOf(4, 'ping', WRITER, 100e6));
    merge.data(dataOf(8, 'ping', WRITER, 100.1e6));
    assert.equal(text(), 'pingpingping');
  });

  test('that the reader had of the first part only are completed by the writer', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one', READER));
    merge.data(dataOf(0, 'onetwo'));
    assert.deepEqual(short(), ['one', 'two']);
  });

  test('that the reader had in pieces are confirmed by one write, and bytes of two writes by both', () => {
    const { merge, text } = collected();
    for (const [offset, piece] of ['ab', 'cd', 'ef'].entries()) merge.data(dataOf(2 * offset, piece, READER));
    merge.data(dataOf(0, 'abc'));
    merge.data(dataOf(3, 'defgh'));
    assert.equal(text(), 'abcdefgh');
  });

  test('of another writer that the reader has not had yet are kept', () => {
    const { merge, text } = collected();
    // Both have written; the one whose bytes are second in the pipe returned first.
    merge.data(dataOf(0, 'AAAA', READER));
    merge.data(dataOf(0, 'BBBB'));
    merge.data(dataOf(4, 'AAAA'));
    assert.equal(text(), 'AAAABBBB');
  });

  test('that the reader had longer ago than we remember are taken at their word', () => {
    const { merge, text } = collected();
    const long = 'x'.repeat(100_000);
    merge.data(dataOf(0, long, READER));
    merge.data(dataOf(0, `${long}end`));
    assert.equal(text(), `${long}end`);
  });

  test('that came too early wait for those before them', () => {
    const { merge, short } = collected();
    merge.data(dataOf(6, 'three'));
    merge.data(dataOf(3, 'two'));
    assert.deepEqual(short(), []);
    assert.equal(merge.waiting, true);
    merge.data(dataOf(0, 'one'));
    assert.deepEqual(short(), ['one', 'two', 'three']);
    assert.equal(merge.waiting, false);
  });

  test('that wait are a copy: their place in the ring is used again', () => {
    const { merge, text } = collected();
    const bytes = Buffer.from('two');
    merge.data({ ...dataOf(3, ''), bytes });
    bytes.fill('X');
    merge.data(dataOf(0, 'one'));
    assert.equal(text(), 'onetwo');
  });

  test('that the kernel numbers from 0 again go on without a gap', () => {
    const { merge, text } = collected();
    merge.data(dataOf(0, 'one', READER));
    merge.restart(false);
    const { merge: fresh } = collected();
    assert.equal(merge.position, fresh.position);
    assert.equal(text(), 'one');
  });
});

describe('a loss', () => {
  test('at a known place is told when the next bytes come', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.gap(gapOf(3, 10, { lines: 2 }));
    assert.deepEqual(short(), ['one']);
    assert.equal(merge.waiting, true);
    merge.data(dataOf(13, 'two'));
    assert.deepEqual(short(), ['one', '10 ring-full 2', 'two']);
  });

  test('is told without any more bytes, too, once its time is over or the stream ends', () => {
    for (const finish of ['expire', 'end'] as const) {
      const { merge, short } = collected();
      merge.gap(gapOf(0, 10));
      merge[finish](EXPIRED);
      assert.deepEqual(short(), ['10 ring-full ?']);
      assert.equal(merge.waiting, false);
    }
  });

  test('that adjoins another is one with it, and their lines are added', () => {
    const { merge, out } = collected();
    merge.gap(gapOf(0, 10, { lines: 2, endsLine: true, time: 1 }));
    merge.gap(gapOf(10, 5, { lines: 1, endsLine: false, time: 2 }));
    merge.data(dataOf(15, 'x'));
    assert.deepEqual(out, [
      { time: 1, offset: 0, bytes: 15, lines: 3, endsLine: false, cause: 'ring-full' },
      'x',
    ]);
  });

  test('that adjoins one whose lines are not known makes one whose lines are not known', () => {
    const { merge, short } = collected();
    merge.gap(gapOf(0, 10, { lines: 2 }));
    merge.gap(gapOf(10, 5));
    merge.end(0);
    assert.deepEqual(short(), ['15 ring-full ?']);
  });

  test('is not one with another of a different cause', () => {
    const { merge, short } = collected();
    merge.gap(gapOf(0, 10));
    merge.gap(gapOf(10, 5, { cause: 'unreadable' }));
    merge.end(0);
    assert.deepEqual(short(), ['10 ring-full ?', '5 unreadable ?']);
  });

  test('of which nobody tells is noticed by its hole, and told when it has stayed open too long', () => {
    const { merge, short } = collected();
    merge.data(dataOf(5, 'two', WRITER, 100));
    merge.expire(200);
    assert.deepEqual(short(), []);
    merge.expire(EXPIRED);
    assert.deepEqual(short(), ['5 unknown ?', 'two']);
  });

  test('whose place is not known explains the next hole, with its lines and its cause', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.gap(gapOf(undefined, 4, { lines: 1 }));
    merge.gap(gapOf(undefined, 3, { lines: 2 }));
    merge.data(dataOf(8, 'two'));
    merge.expire(EXPIRED);
    assert.deepEqual(short(), ['one', '5 ring-full 3', 'two']);
    merge.end(EXPIRED);
    assert.deepEqual(short(), ['one', '5 ring-full 3', 'two', '2 ring-full 0']);
  });

  test('whose place is not known, and that leaves no hole, was at the end', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.gap(gapOf(undefined, 4, { lines: 1 }));
    merge.end(7);
    assert.deepEqual(short(), ['one', '4 ring-full 1']);
  });

  test('of bytes moved unseen is none when the other end supplies them', () => {
    const { merge, short } = collected();
    merge.gap(gapOf(0, 6, { cause: 'splice', mayArrive: true }));
    merge.data(dataOf(6, 'three'));
    merge.data(dataOf(0, 'one', READER));
    merge.data(dataOf(3, 'two', READER));
    assert.deepEqual(short(), ['one', 'two', 'three']);
    assert.equal(merge.waiting, false);
  });

  test('of bytes moved unseen is what of them has not been supplied in time', () => {
    const { merge, short } = collected();
    merge.gap(gapOf(0, 6, { cause: 'splice', mayArrive: true, lines: 1 }));
    merge.data(dataOf(0, 'one', READER));
    merge.data(dataOf(6, 'three'));
    merge.expire(EXPIRED);
    assert.deepEqual(short(), ['one', '3 splice ?', 'three']);
  });

  test('of bytes moved unseen waits as long as the end that may supply them is given', () => {
    const patience = { reader: 5e9, writer: 0 };
    const { merge, short } = collected();
    merge.gap(gapOf(0, 6, { cause: 'splice', mayArrive: true }));
    merge.expire(2e9, patience);
    assert.deepEqual(short(), []);
    merge.expire(6e9, patience);
    assert.deepEqual(short(), ['6 splice ?']);
  });

  test('on purpose is told once, with all that was missed, when bytes come again', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.skip();
    merge.gap(gapOf(3, 100));
    merge.gap(gapOf(undefined, 100));
    merge.data(dataOf(1003, 'two'));
    merge.end(0);
    assert.deepEqual(short(), ['one', '1000 stopped ?', 'two']);
  });

  test('on purpose of nothing is none', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.skip();
    merge.data(dataOf(3, 'two'));
    assert.deepEqual(short(), ['one', 'two']);
  });

  test('that still waits when the kernel begins to count anew is told all the same', () => {
    const { merge, short } = collected();
    merge.data(dataOf(0, 'one'));
    merge.gap(gapOf(3, 10));
    merge.data(dataOf(20, 'two'));
    merge.restart(false);
    assert.deepEqual(short(), ['one', '10 ring-full ?', '7 unknown ?', 'two']);
    assert.equal(merge.waiting, false);
  });
});

// ---- against a model of the kernel programs -------------------------------------------

/** What becomes of the record of one call. */
type Fate = 'told' | 'gap' | 'unplaced';

interface Step {
  readonly actor: 'writer' | 'reader';
  readonly length: number;
  readonly fate: Fate;
  /** The call moves the bytes without passing them through user memory. */
  readonly unseen: boolean;
}

const CONTENT = Buffer.from(
  Array.from({ length: 4000 }, (_, index) => (index % 7 === 3 ? 10 : 97 + (index % 23))),
);

/** bpf/moved.h for one writer and one reader: who answers for which byte, and what is said of it. */
class Model {
  readonly records: (DataRecord | GapRecord)[] = [];
  /** Bytes said to be lost, at places known or not. */
  gapBytes = 0;
  unplacedBytes = 0;
  #pipe = 0;
  #written = 0;
  #read = 0;
  #owned = 0;
  #blindEnd = 0;
  #time = 0;
  #unplacedLines = 0;
  #untold = 0;
  /** The write that has filled the pipe and has not returned. */
  #pending: Step | undefined;

  get sent(): number {
    return this.#pipe;
  }

  step(step: Step): void {
    this.#time += 10;
    if (step.actor === 'reader') this.#reads(step);
    else if (this.#pending) this.#returns();
    else if (this.#pipe + step.length <= CONTENT.length) {
      this.#pending = step;
      this.#pipe += step.length;
    }
  }

  /** All calls return, and what has added up is told. */
  finish(): void {
    if (this.#pending) this.#returns();
    this.#tellUnplaced();
  }

  #returns(): void {
    const step = this.#pending;
    if (!step) return;
    this.#pending = undefined;
    const from = this.#written;
    const to = from + step.length;
    this.#written = to;
    const owned = this.#take(from, to);
    if (!step.unseen) this.#move(from, to, owned, step);
    else if (owned < to) {
      this.#blindEnd = to;
      this.#lose(owned, to, { mayArrive: true, cause: 'splice', fate: step.fate, known: false });
    }
  }

  #reads(step: Step): void {
    const from = this.#read;
    const to = Math.min(from + step.length, this.#pipe);
    if (to === from) return;
    this.#read = to;
    const owned = this.#take(from, to);
    if (step.unseen) {
      if (owned < to)
        this.#lose(owned, to, {
          mayArrive: true,
          cause: 'splice',
          fate: step.fate,
          fromReader: true,
          known: false,
        });
    } else this.#move(from < this.#blindEnd ? from : owned, to, owned, step);
  }

  #take(from: number, to: number): number {
    const before = Math.max(this.#owned, from);
    this.#owned = Math.max(this.#owned, to);
    return before;
  }

  #move(from: number, to: number, owned: number, step: Step): void {
    if (from >= to) return;
    if (this.#untold && step.fate === 'told') this.#tellUnplaced();
    const end = step.actor === 'writer' ? WRITER : READER;
    if (step.fate === 'told') {
      this.records.push(dataOf(from, CONTENT.subarray(from, to), end, this.#time));
      return;
    }
    const first = Math.max(from, owned);
    if (first < to) this.#lose(first, to, { fate: step.fate, fromReader: end.fromReader, known: true });
  }

  #lose(from: number, to: number, more: Partial<GapRecord> & { fate: Fate; known: boolean }): void {
    const { fate, known, ...rest } = more;
    const lines = CONTENT.subarray(from, to).filter((byte) => byte === 10).length;
    if (fate === 'unplaced') {
      this.#untold += to - from;
      this.unplacedBytes += to - from;
      this.#unplacedLines += lines;
      return;
    }
    const place = known ? { lines, endsLine: CONTENT[to - 1] === 10 } : {};
    this.gapBytes += to - from;
    this.records.push(gapOf(from, to - from, { time: this.#time, ...place, ...rest }));
  }

  #tellUnplaced(): void {
    if (!this.#untold) return;
    const lines = this.#unplacedLines;
    this.records.push(gapOf(undefined, this.#untold, { time: this.#time, lines }));
    this.#untold = 0;
    this.#unplacedLines = 0;
  }
}

/**
 * Moves each record by a few places at most, past those of the other end: each end is one thread, whose calls get
 * their room in the ring one after another.
 */
function reordered(records: readonly (DataRecord | GapRecord)[], shifts: readonly number[]) {
  const last = { reader: 0, writer: 0 };
  return records
    .map((record, index) => {
      const end = record.fromReader ? 'reader' : 'writer';
      last[end] = Math.max(last[end], index + (shifts[index % (shifts.length || 1)] ?? 0));
      return { record, at: last[end] };
    })
    .sort((a, b) => a.at - b.at)
    .map(({ record }) => record);
}

function stepOf(fates: readonly Fate[], unseen: fc.Arbitrary<boolean>): fc.Arbitrary<Step> {
  return fc.record({
    actor: fc.constantFrom('writer' as const, 'writer' as const, 'reader' as const),
    length: fc.integer({ min: 1, max: 40 }),
    fate: fc.constantFrom(...fates),
    unseen,
  });
}

/** Runs the model, and the merge on its records. @returns all that came out. */
function run(steps: readonly Step[], shifts: readonly number[]) {
  const model = new Model();
  for (const step of steps) model.step(step);
  model.finish();
  const { merge, out, position } = collected();
  for (const record of reordered(model.records, shifts)) {
    if (record.type === 'data') merge.data(record);
    else merge.gap(record);
  }
  merge.end(EXPIRED);
  assert.equal(merge.waiting, false);
  return { model, out, position: position() };
}

const shifts = fc.array(fc.nat(4), { maxLength: 10 });
const sometimes = fc.constantFrom(false, false, false, true);

test('what comes after all when it has been given up, and more was read, is not told again', () => {
  const { merge, out, position } = collected();
  merge.gap(gapOf(0, 2, { fromReader: true }));
  merge.data(dataOf(2, 'cd', READER));
  merge.data(dataOf(0, 'ab', WRITER));
  merge.data(dataOf(2, 'cdef', WRITER));
  merge.end(EXPIRED);
  assert.deepEqual(
    out.map((each) => (typeof each === 'string' ? each : each.bytes)),
    [2, 'cd', 'ef'],
  );
  assert.equal(position(), 6);
});

describe('whatever order the calls of both ends come in', () => {
  test('without losses all bytes come out, each once and in order', () => {
    const steps = fc.array(stepOf(['told'], fc.constant(false)), { maxLength: 100 });
    const property = fc.property(steps, shifts, (calls, moved) => {
      const { model, out } = run(calls, moved);
      assert.equal(out.join(''), CONTENT.toString('latin1', 0, model.sent));
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('each byte comes out or is lost, and every hole has its place, its lines and its end', () => {
    const steps = fc.array(stepOf(['told', 'told', 'gap'], sometimes), { maxLength: 100 });
    const property = fc.property(steps, shifts, (calls, moved) => {
      const { model, out, position } = run(calls, moved);
      assert.equal(position, model.sent);
      let at = 0;
      let lost = 0;
      for (const each of out) {
        if (typeof each === 'string') {
          assert.equal(each, CONTENT.toString('latin1', at, at + each.length));
          at += each.length;
          continue;
        }
        const bytes = CONTENT.subarray(at, at + each.bytes);
        if (each.lines !== undefined) assert.equal(each.lines, bytes.filter((byte) => byte === 10).length);
        if (each.endsLine !== undefined) assert.equal(each.endsLine, bytes.at(-1) === 10);
        assert.notEqual(each.cause, 'unknown');
        at += each.bytes;
        lost += each.bytes;
      }
      // What was moved unseen, or lost of the reader's, the other end may have supplied after all.
      assert.ok(lost <= model.gapBytes);
      const sure = calls.every(
        ({ actor, fate, unseen }) => !unseen && (actor === 'writer' || fate === 'told'),
      );
      if (sure) assert.equal(lost, model.gapBytes);
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('losses whose places are not known are neither forgotten nor counted twice', () => {
    const steps = fc.array(stepOf(['told', 'told', 'gap', 'unplaced'], fc.constant(false)), {
      maxLength: 100,
    });
    const property = fc.property(steps, (calls) => {
      // The writer hands over again what it finds the reader has supplied, even if that was lost.
      const ofWriter = calls.filter(({ actor, fate }) => actor === 'writer' || fate === 'told');
      const { model, out, position } = run(ofWriter, []);
      const lost = out.reduce((sum, each) => sum + (typeof each === 'string' ? 0 : each.bytes), 0);
      const told = out.reduce((sum, each) => sum + (typeof each === 'string' ? each.length : 0), 0);
      assert.equal(lost, model.gapBytes + model.unplacedBytes);
      assert.equal(told + lost, model.sent);
      assert.equal(position, model.sent);
    });
    fc.assert(property, { numRuns: 200 });
  });

  test('adjoining losses of one cause come out as one gap', () => {
    const steps = fc.array(stepOf(['told', 'gap', 'gap'], fc.constant(false)), { maxLength: 60 });
    const property = fc.property(steps, (calls) => {
      // The reader does not interfere: no loss is ever told in parts.
      const { out } = run(
        calls.filter(({ actor }) => actor === 'writer'),
        [],
      );
      for (const [index, each] of out.entries())
        assert.ok(typeof each === 'string' || typeof (out[index + 1] ?? '') === 'string');
    });
    fc.assert(property, { numRuns: 100 });
  });
});
