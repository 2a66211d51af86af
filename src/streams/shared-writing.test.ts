// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DataRecord } from '../source/records.ts';
import { type Hole, Merge } from './merge.ts';

const READER = { fromReader: true, pid: 9, fd: 0 };

/** What came out, and who wrote what of it. */
function collected() {
  const out: Buffer[] = [];
  const writers: number[] = [];
  const holes: Hole[] = [];
  let end = 0;
  const wrote = (pid: number, at: number, length: number) => {
    for (let each = at; each < at + length; each++) writers[each] = pid;
  };
  const merge = new Merge({
    bytes: (_, bytes, at, { pid, fromReader }) => {
      assert.equal(at, end, 'bytes follow what was before them');
      end += bytes.length;
      out.push(Buffer.from(bytes));
      if (!fromReader) wrote(pid, at, bytes.length);
    },
    lost: (_, hole) => {
      end += hole.bytes;
      holes.push(hole);
    },
    confirmed: (_, at, length, { pid }) => wrote(pid, at, length),
  });
  return { merge, writers, holes, text: () => Buffer.concat(out).toString() };
}

/** bpf/moved.h for several writers and one reader. */
class Model {
  readonly #give: (record: DataRecord) => void;
  readonly #sent: { readonly pid: number; readonly bytes: Buffer; returned: boolean }[] = [];
  #pipe = Buffer.alloc(0);
  #counted = 0;
  #read = 0;
  #owned = 0;
  #time = 0;
  #last = 0;
  #shared = false;

  constructor(give: (record: DataRecord) => void) {
    this.#give = give;
  }

  get sent(): string {
    return this.#pipe.toString();
  }

  get read(): string {
    return this.#pipe.toString('utf8', 0, this.#read);
  }

  /** @returns its number, to let it return. */
  write(pid: number, text: string): number {
    const bytes = Buffer.from(text);
    this.#pipe = Buffer.concat([this.#pipe, bytes]);
    return this.#sent.push({ pid, bytes, returned: false }) - 1;
  }

  returns(number: number): void {
    const write = this.#sent[number];
    if (!write || write.returned) return;
    write.returned = true;
    const { pid, bytes } = write;
    if (this.#last && this.#last !== pid) this.#shared = true;
    this.#last = pid;
    const offset = this.#counted;
    this.#counted += bytes.length;
    this.#owned = Math.max(this.#owned, this.#counted);
    this.#record({ offset, bytes, pid, fd: 1, fromReader: false });
  }

  reads(length = Number.POSITIVE_INFINITY): void {
    const start = this.#read;
    this.#read = Math.min(this.#pipe.length, start + length);
    const offset = this.#shared ? start : Math.max(start, this.#owned);
    this.#owned = Math.max(this.#owned, this.#read);
    const bytes = this.#pipe.subarray(offset, this.#read);
    if (bytes.length) this.#record({ offset, bytes, ...READER });
  }

  /** Every call returns, and all is read. */
  finish(): void {
    for (const number of this.#sent.keys()) this.returns(number);
    this.reads();
  }

  #record(more: Pick<DataRecord, 'offset' | 'bytes' | 'pid' | 'fd' | 'fromReader'>): void {
    this.#time += 1000;
    const shared = this.#shared;
    this.#give({ type: 'data', stream: 1, packetEnd: false, time: this.#time, shared, ...more });
  }
}

/** Two processes have written before: the kernel programs know. */
function begun() {
  const collecting = collected();
  const model = new Model((record) => collecting.merge.data(record));
  for (const pid of [1, 2]) model.returns(model.write(pid, `hello of ${pid}\n`));
  model.reads();
  const end = () => {
    model.finish();
    collecting.merge.end(Number.POSITIVE_INFINITY);
    return collecting.text();
  };
  return { ...collecting, model, end };
}

const sorted = (text: string) => text.split('\n').sort();

describe('of several writers', () => {
  test('the second to write returns first, and the first has been read: both are told once', () => {
    const { model, text, end } = begun();
    const first = model.write(1, 'first\n');
    model.reads();
    const second = model.write(2, 'the second\n');
    const third = model.write(3, 'a third\n');
    model.returns(second);
    model.returns(third);
    model.returns(first);
    assert.equal(text(), 'hello of 1\nhello of 2\nfirst\nthe second\na third\n');
    assert.equal(end(), text());
  });

  test('the second to write returns first, and is read before the first returns: both are told once', () => {
    const { model, end } = begun();
    const first = model.write(1, 'first\n');
    model.returns(model.write(2, 'the second\n'));
    model.reads();
    model.returns(first);
    assert.deepEqual(sorted(end()), sorted('hello of 1\nhello of 2\nfirst\nthe second\n'));
  });

  test('what was read is told when it was read, whoever has returned', () => {
    const { model, text } = begun();
    model.write(1, 'first\n');
    model.returns(model.write(2, 'the second\n'));
    model.reads();
    assert.match(text(), /first/);
  });

  test('each is named, in whatever order they return', () => {
    const { model, writers, end } = begun();
    const numbers = [1, 2, 3].map((pid) => model.write(pid, `this is ${pid}\n`));
    model.reads();
    for (const number of numbers.reverse()) model.returns(number);
    const text = end();
    for (const pid of [1, 2, 3]) assert.equal(writers[text.indexOf(`this is ${pid}`)], pid);
  });

  test('the same words said twice are told twice', () => {
    const { model, end } = begun();
    const first = model.write(1, 'ping\n');
    model.returns(model.write(2, 'ping\n'));
    model.reads();
    model.returns(first);
    assert.equal(end(), 'hello of 1\nhello of 2\nping\nping\n');
  });

  test('the second is told first where the reader had no more than the beginning of a line', () => {
    const { model, end } = begun();
    const first = model.write(1, 'a line\n');
    model.reads(3);
    model.returns(model.write(2, 'a short line\n'));
    model.returns(first);
    assert.equal(end(), 'hello of 1\nhello of 2\na short line\na line\n');
  });

  test('the beginning of a line whose rest does not come is told after 200 ms', () => {
    const { merge, model, text } = begun();
    model.write(1, 'no line');
    model.reads();
    assert.equal(merge.waiting, true);
    merge.expire(3e8);
    assert.equal(merge.waiting, false);
    assert.equal(text(), 'hello of 1\nhello of 2\nno line');
  });

  test('one waits for the rest of a long line of which the reader had the beginning', () => {
    const { model, end } = begun();
    const line = `${'long '.repeat(2000)}\n`;
    const long = model.write(1, line);
    model.reads(6000);
    model.returns(model.write(2, 'short\n'));
    model.returns(long);
    assert.equal(end(), `hello of 1\nhello of 2\n${line}short\n`);
  });

  test('the rest of a long line is told by its writer or by pieces of its reader, whichever comes first', () => {
    for (const pieces of [[], [6], [6, 6]]) {
      const { merge, model, text } = begun();
      model.write(1, 'a long line in all\n');
      model.reads(6);
      for (const piece of pieces) model.reads(piece);
      // So far the kernel programs count, whose writer hands over only the rest.
      const offset = 22 + 6;
      const bytes = Buffer.from(' line in all\n');
      merge.data({
        type: 'data',
        ...{ time: 1, stream: 1, pid: 1, fd: 1, offset, bytes },
        fromReader: false,
        packetEnd: false,
        shared: true,
      });
      model.reads();
      merge.end(Number.POSITIVE_INFINITY);
      assert.equal(text(), 'hello of 1\nhello of 2\na long line in all\n');
    }
  });

  test('a long message is told once, by whichever end is first, in whatever pieces it is read', () => {
    const long = `${'x'.repeat(60_000)}\n`;
    for (const first of ['reader', 'writer'])
      for (const pieces of [1, 7]) {
        const { model, end } = begun();
        const number = model.write(1, long);
        if (first === 'writer') model.returns(number);
        for (let piece = 0; piece < pieces; piece++) model.reads(Math.ceil(long.length / pieces));
        model.returns(number);
        model.returns(model.write(2, 'short\n'));
        assert.equal(end(), `hello of 1\nhello of 2\n${long}short\n`, `${first} first, ${pieces} pieces`);
      }
  });

  test('what has been told long before it is read is told once, and so is what comes between', () => {
    const { model, end } = begun();
    for (let id = 0; id < 4000; id++) model.returns(model.write(1 + (id % 2), `this is the message ${id}\n`));
    const late = model.write(3, 'late\n');
    const [one, other] = [model.write(1, 'one\n'), model.write(2, 'other\n')];
    for (const each of [other, one]) model.returns(each);
    model.reads();
    model.returns(late);
    assert.deepEqual(sorted(end()), sorted(model.sent));
  });

  test('one waits for no longer than two seconds', () => {
    const { merge, model, text } = begun();
    const line = 'never ends '.repeat(1000);
    model.write(1, line);
    model.reads(5000);
    model.returns(model.write(2, 'short\n'));
    assert.equal(merge.waiting, true);
    merge.expire(3e9);
    assert.equal(merge.waiting, false);
    assert.equal(text(), `hello of 1\nhello of 2\n${line.slice(0, 5000)}short\n`);
  });

  test('what is lost of one leaves the others as they are', () => {
    const { merge, holes, text } = collected();
    const base = { type: 'data', stream: 1, packetEnd: false, shared: true, fd: 1 } as const;
    const lost = { type: 'gap', stream: 1, cause: 'ring-full', mayArrive: false, fromReader: false } as const;
    merge.data({ ...base, time: 1, pid: 1, fromReader: false, offset: 0, bytes: Buffer.from('one\n') });
    merge.gap({ ...lost, time: 2, offset: 4, bytes: 4, lines: 1, endsLine: true });
    merge.data({ ...base, time: 3, pid: 1, fromReader: false, offset: 8, bytes: Buffer.from('three\n') });
    merge.data({ ...base, ...READER, time: 4, offset: 0, bytes: Buffer.from('one\ntwo\nthree\n') });
    assert.equal(text(), 'one\nthree\n');
    assert.equal(holes[0]?.bytes, 4);
  });
});

describe('whatever order the calls of several writers return in', () => {
  type Step =
    | { do: 'write'; pid: number; length: number }
    | { do: 'return'; which: number }
    | { do: 'read'; length: number | undefined };

  const stepOf = (length: fc.Arbitrary<number | undefined>): fc.Arbitrary<Step> =>
    fc.oneof(
      fc.record({
        do: fc.constant('write' as const),
        pid: fc.integer({ min: 1, max: 4 }),
        length: fc.oneof(fc.nat(60), fc.nat(3900)),
      }),
      fc.record({ do: fc.constant('return' as const), which: fc.nat(3) }),
      fc.record({ do: fc.constant('read' as const), length }),
    );
  const step = stepOf(fc.constant(undefined));

  /** Calls as these steps say; `line` makes what is written. */
  function run(steps: readonly Step[], line: (length: number, index: number) => string, read = () => {}) {
    const all = begun();
    const pending: number[] = [];
    for (const [index, each] of steps.entries()) {
      if (each.do === 'write') pending.push(all.model.write(each.pid, line(each.length, index)));
      else if (each.do === 'read') all.model.reads(each.length);
      else all.model.returns(pending.splice(each.which % (pending.length || 1), 1)[0] ?? -1);
      if (each.do === 'read') read.call(all);
    }
    return all;
  }

  test('each line is told once and whole, even where some are the same', () => {
    const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { model, holes, end } = run(steps, (length, index) => `${'x'.repeat(length)}${index % 5}\n`);
      assert.deepEqual(sorted(end()), sorted(model.sent));
      assert.deepEqual(holes, []);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test('each line is told once and whole, whatever pieces it is read in', () => {
    const pieces = stepOf(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 9000 })));
    const property = fc.property(fc.array(pieces, { maxLength: 80 }), (steps) => {
      const { model, end } = run(steps, (length, index) => `{"id":${index},"${'x'.repeat(length)}"}\n`);
      assert.deepEqual(sorted(end()), sorted(model.sent));
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test('of threads of one process, which nobody knows to be several, none is missing', () => {
    const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { merge, text } = collected();
      const model = new Model((record) => merge.data(record));
      const pending: number[] = [];
      for (const [index, each] of steps.entries()) {
        if (each.do === 'write') pending.push(model.write(1, `${index} ${'x'.repeat(each.length)}\n`));
        else if (each.do === 'read') model.reads();
        else model.returns(pending.splice(each.which % (pending.length || 1), 1)[0] ?? -1);
      }
      model.finish();
      merge.end(Number.POSITIVE_INFINITY);
      for (const line of model.sent.split('\n')) assert.ok(text().split('\n').includes(line), line);
    });
    fc.assert(property, { numRuns: 2000 });
  });

  test('none is told later than it is read', () => {
    const property = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      run(
        steps,
        (length, index) => `${index} ${'x'.repeat(length)}\n`,
        function (this: ReturnType<typeof begun>) {
          const told = new Set(this.text().split('\n'));
          for (const line of this.model.read.split('\n')) assert.ok(told.has(line), line);
        },
      );
    });
    fc.assert(property, { numRuns: 500 });
  });
});
