// SPDX-License-Identifier: Apache-2.0
/** splice, tee, vmsplice, sendfile and io_uring: recovered from the other end where it can be, else a gap. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { backend } from '../support/backend.ts';
import {
  attach,
  type CaptureResult,
  cannotCapture,
  captureRun,
  scratch,
  WATCHING,
} from '../support/mcpspy.ts';
import {
  assertCaptured,
  assertFrames,
  framesOf,
  INITIALIZE,
  linesOf,
  type Movement,
  Movers,
  request,
} from '../support/mover.ts';
import { assertOutput } from '../support/schema.ts';

const BLIND_WRITES = {
  pipe: ['splice', 'tee', 'vmsplice', 'sendfile', 'uring', 'uring-async', 'uring-fixed'],
  socketpair: ['splice', 'sendfile', 'uring', 'uring-send', 'uring-async', 'uring-fixed'],
} as const;
const BLIND_READS = {
  pipe: ['splice', 'uring', 'uring-async', 'uring-fixed', 'vmsplice'],
  socketpair: ['splice', 'uring', 'uring-recv', 'uring-async', 'uring-fixed'],
} as const;
/** fentry sees io_uring like everything else, but for buffers of which the kernel has the pages. */
const isSeenByFentry = (call: string) => call.startsWith('uring') && call !== 'uring-fixed';
const isBlind = (call: string) => backend !== 'fentry' || !isSeenByFentry(call);
const CARRIERS = ['pipe', 'socketpair'] as const;

const causeOf = (call: string) => (call.startsWith('uring') ? 'io_uring' : 'splice');

/** What is sent, what of it nobody can see, and the steps of a writer that hides it. */
class Script {
  readonly parts: Buffer[] = [INITIALIZE];
  readonly plan = [`${INITIALIZE.length} write`];
  readonly #call: string;
  #id = 0;

  constructor(call: string) {
    this.#call = call;
  }

  get data(): Buffer {
    return Buffer.concat(this.parts);
  }

  open(count = 3, size = 500): this {
    for (let n = 0; n < count; n++) this.#add(request(this.#id++, size + 3 * n), 'write');
    return this;
  }

  blind(count = 2, size = 700): this {
    this.#add(
      Buffer.concat(Array.from({ length: count }, (_, n) => request(this.#id++, size + 5 * n))),
      this.#call,
    );
    return this;
  }

  #add(bytes: Buffer, call: string): void {
    this.parts.push(bytes);
    this.plan.push(`${bytes.length} ${call}`);
  }
}

test('what goes in unseen is seen when it comes out', { skip: cannotCapture }, async () => {
  const movements: Record<string, Movement> = {};
  for (const carrier of CARRIERS) {
    for (const write of BLIND_WRITES[carrier]) {
      const { data, plan } = new Script(write).open().blind(1).blind(3, 9000).open().blind(40, 2000).open();
      for (const read of ['read', 'readv'])
        movements[`${carrier}-${write}-${read}`] = { carrier, data, plan, read, buffer: 3000 };
    }
  }
  await assertCaptured(movements);
});

test('also when the reader takes its time', { skip: cannotCapture }, async () => {
  const { data, plan } = new Script('splice').open().blind().open();
  const uring = new Script('uring').open().blind().open();
  await assertCaptured({
    'slow-splice': { data, plan, rplan: [`${INITIALIZE.length} read`, '700 sleep'] },
    'late-splice': { data, plan, rplan: ['3000 sleep'] },
    'slow-uring': {
      carrier: 'socketpair',
      data: uring.data,
      plan: uring.plan,
      rplan: [`${INITIALIZE.length} read`, '700 sleep'],
    },
  });
});

test('what comes out unseen was seen when it went in', { skip: cannotCapture }, async () => {
  const { data } = new Script('write').open(20).open(3, 30_000);
  const movements: Record<string, Movement> = {};
  for (const carrier of CARRIERS)
    for (const read of BLIND_READS[carrier])
      movements[`${carrier}-${read}`] = { carrier, data, each: 4000, read, buffer: 5000 };
  await assertCaptured(movements);
});

/** The one gap of this stream, and every frame beside it. */
function assertGap(
  result: CaptureResult,
  name: string,
  sent: Buffer,
  {
    from,
    bytes,
    causes,
  }: { readonly from: number; readonly bytes: number; readonly causes: readonly string[] },
): string {
  const lines = linesOf(result, name);
  const gaps = lines.filter((line) => line['kind'] === 'gap');
  assert.deepEqual(
    gaps.map((gap) => ({ offset: gap['offset'], bytes: gap['bytes'] })),
    [{ offset: from, bytes }],
    name,
  );
  const cause: string = gaps[0]?.['cause'];
  assert.ok(causes.includes(cause), `${name}: ${cause}`);
  const at = lines.findIndex((line) => line['kind'] === 'gap');
  assertFrames(lines.slice(0, at), framesOf(sent.subarray(0, from)), `${name}, before the gap`);
  assertFrames(lines.slice(at + 1), framesOf(sent.subarray(from + bytes)), `${name}, after the gap`);
  return cause;
}

test('what neither end shows is a gap of exactly so many bytes, and the next message is whole', {
  skip: cannotCapture,
}, async () => {
  const movers = new Movers(scratch());
  const movements: Record<string, Movement> = {};
  const holes: Record<string, { from: number; bytes: number; causes: string[] }> = {};
  for (const carrier of CARRIERS) {
    for (const write of BLIND_WRITES[carrier].filter(isBlind)) {
      const before = new Script(write).open();
      const from = before.data.length;
      const bytes = before.blind().data.length - from;
      const { data, plan } = before.open();
      for (const read of BLIND_READS[carrier].filter(isBlind)) {
        const name = `${carrier}-${write}-${read}`;
        movements[name] = { carrier, data, plan, rplan: [`${from} read`, `${bytes} ${read}`] };
        // Either end's call is a true cause.
        holes[name] = { from, bytes, causes: [causeOf(write), causeOf(read)] };
      }
    }
  }
  const result = await captureRun(movers.script(movements, 'in turn'), { options: ['-q'] });
  assert.equal(result.code, 0, result.stderr);
  assertOutput(result.lines, result.isPart);
  const lost: Record<string, number> = {};
  for (const [name, hole] of Object.entries(holes)) {
    assert.ok(movers.received(name).equals(movers.sent(name)), name);
    const cause = assertGap(result, name, movers.sent(name), hole);
    lost[cause] = (lost[cause] ?? 0) + hole.bytes;
  }
  for (const [cause, bytes] of Object.entries(lost))
    assert.equal(result.summary['losses'][cause]?.bytes, bytes, cause);
});

// Where the kernel shows its functions; elsewhere it is a gap, as above.
if (backend === 'fentry' || WATCHING.includes('fentry'))
  test('io_uring at both ends is captured, also where a worker thread moves the bytes', {
    skip: cannotCapture,
  }, async () => {
    const movements: Record<string, Movement> = {};
    for (const carrier of CARRIERS)
      for (const write of BLIND_WRITES[carrier].filter(isSeenByFentry))
        for (const read of BLIND_READS[carrier].filter(isSeenByFentry)) {
          const { data, plan } = new Script(write).open().blind(3, 9000).open().blind(40, 2000);
          movements[`${carrier}-${write}-${read}`] = { carrier, data, plan, read, buffer: 3000 };
        }
    await assertCaptured(movements, [], { seenBy: 'fentry' });
  });

test('a message cut by a gap is said to be cut, and the rest of the next is not taken for a message', {
  skip: cannotCapture,
}, async () => {
  const movers = new Movers(scratch());
  const frames = [INITIALIZE, ...Array.from({ length: 8 }, (_, id) => request(id, 1000 + id))];
  const data = Buffer.concat(frames);
  const begin = (index: number) => frames.slice(0, index).reduce((sum, frame) => sum + frame.length, 0);
  // From the middle of the third message to the middle of the fifth.
  const from = begin(3) + 400;
  const to = begin(5) + 300;
  const plan = [`${from} write`, `${to - from} splice`, '1000 write'];
  const rplan = [`${from} read`, `${to - from} splice`];
  const result = await captureRun(movers.script({ cut: { data, plan, rplan } }, 'in turn'), {
    options: ['-q'],
  });
  assertOutput(result.lines, result.isPart);
  assert.ok(movers.received('cut').equals(data));
  const lines = linesOf(result, 'cut');
  assertFrames(lines.slice(0, 3), framesOf(data.subarray(0, begin(3))), 'before the gap');
  assert.deepEqual(
    lines.slice(3, 5).map(({ kind, offset, size, bytes }) => ({ kind, offset, size, bytes })),
    [
      { kind: 'invalid', offset: begin(3), size: 400, bytes: undefined },
      { kind: 'gap', offset: from, size: undefined, bytes: to - from },
    ],
  );
  assertFrames(lines.slice(5), framesOf(data.subarray(begin(6))), 'after the gap');
});

/** Starts one end out of the capture's sight, or in it when its pid is given to `attach`. */
function start(command: readonly string[]): { child: ChildProcess; ended: Promise<unknown> } {
  const [program = '', ...rest] = command;
  const child = spawn(program, rest, { stdio: ['ignore', 'inherit', 'inherit'] });
  return { child, ended: once(child, 'exit') };
}

for (const carrier of ['fifo', 'named'] as const) {
  for (const seen of ['writer', 'reader'] as const) {
    test(`a ${carrier} of which only the ${seen} is in scope, and moves bytes unseen`, {
      skip: cannotCapture,
    }, async () => {
      const directory = scratch();
      const movers = new Movers(directory);
      const path = join(directory, 'channel');
      const go = join(directory, 'go');
      const script = new Script('splice').open();
      const from = script.data.length;
      const bytes = script.blind().data.length - from;
      const { data, plan } = script.open();
      if (carrier === 'fifo') assert.equal((await once(spawn('mkfifo', [path]), 'exit'))[0], 0);
      const name = `${carrier}-${seen}`;
      const rplan = seen === 'reader' ? [`${from} read`, `${bytes} splice`] : [`${from} read`];
      const reader = start(movers.command(name, { role: 'reader', carrier, path, rplan, wait: go }));
      const hiding = seen === 'writer' ? plan : [`${data.length} write`];
      const writer = start(
        movers.command(name, { role: 'writer', carrier, path, data, plan: hiding, wait: go }),
      );
      try {
        const pid = (seen === 'writer' ? writer : reader).child.pid ?? 0;
        const attached = await attach([pid]);
        writeFileSync(go, '');
        const result = await attached.ended();
        await Promise.all([reader.ended, writer.ended]);
        assertOutput(result.lines, result.isPart);
        assert.ok(movers.received(name).equals(data) && movers.sent(name).equals(data));
        assertGap(result, name, data, { from, bytes, causes: ['splice'] });
        assert.equal(result.summary['losses']['splice']?.bytes, bytes);
      } finally {
        reader.child.kill('SIGKILL');
        writer.child.kill('SIGKILL');
      }
    });
  }
}
