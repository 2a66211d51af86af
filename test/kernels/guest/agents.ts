// SPDX-License-Identifier: Apache-2.0
/** Two agents that know nothing of each other: one is there before anybody watches, one comes later. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaptureResult, OutputLine } from '../../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertPaired,
  call,
  clientCommand,
  openSlowly,
  request,
  type Sent,
  type Step,
  Truth,
} from '../../support/truth.ts';
import { appeared } from './guest.ts';

const conversation = (link: string): Step[] => [
  ...ask(link, call(1, 'echo', { from: link })),
  ...ask(link, call(2, 'fail')),
  ...ask(link, request(3, 'tools/list')),
  ...ask(link, call(4, 'echo', { text: 'large'.repeat(40_000) })),
  { burst: link, first: 10, count: 20 },
  // Long enough for /proc to be asked who it is.
  { sleep: 0.5 },
  { close: link },
];

export class Agents {
  readonly #early = new Truth();
  readonly #late = new Truth();
  readonly #gate = join(this.#early.directory, 'gate');
  readonly #children: ChildProcess[] = [];
  readonly #ends: Promise<unknown>[] = [];
  /** CLOCK_MONOTONIC, nanoseconds: from then on both are watched. */
  #moment = 0;

  /** A client that follows a script, in a session of its own as if nobody here had started it. */
  #start(truth: Truth, steps: readonly Step[]): void {
    const [file = '', ...args] = clientCommand(truth, steps);
    const agent = spawn(file, args, {
      env: { ...process.env, ...truth.env },
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    });
    this.#children.push(agent);
    this.#ends.push(once(agent, 'exit').then(([code]) => assert.equal(code, 0, 'an agent failed')));
  }

  /** Resolves when the first one has introduced itself to its server. */
  async startEarly(): Promise<void> {
    const arrived = join(this.#early.directory, 'arrived');
    this.#start(this.#early, [
      ...openSlowly(this.#early.directory, 'early'),
      { touch: arrived },
      { gate: this.#gate },
      ...conversation('early'),
    ]);
    await appeared(arrived);
  }

  /** Starts the other one, and lets the first go on. */
  goOn(): void {
    this.#moment = Number(process.hrtime.bigint());
    this.#start(this.#late, [
      ...openSlowly(this.#late.directory, 'late', { via: 'socketpair' }),
      ...conversation('late'),
    ]);
    writeFileSync(this.#gate, '');
  }

  /** Resolves when both have said all. */
  async ended(): Promise<void> {
    await Promise.all(this.#ends);
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #sent(): Sent[] {
    return [...this.#early.sent().filter(({ time }) => time > this.#moment), ...this.#late.sent()];
  }

  pids(): Set<number> {
    return new Set(this.#sent().flatMap(({ from, to }) => [from.pid, to.pid]));
  }

  /** Each message once, both ends attributed, answers with their requests. */
  assertIn(capture: CaptureResult): void {
    assertPaired(assertExactly(capture, this.#sent()));
  }
}

/** The summary knows these processes' two servers, and whose they are. */
export function assertSummedUp(capture: CaptureResult, pids: ReadonlySet<number>): void {
  const servers = (capture.summary.servers as OutputLine[]).filter(({ server }) =>
    pids.has(server.endpoint?.pid),
  );
  assert.deepEqual(
    servers.map(({ client }) => Boolean(client.endpoint)),
    [true, true],
  );
}
