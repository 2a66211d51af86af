// SPDX-License-Identifier: Apache-2.0
/** What the peers say they did (test/peers/truth.py, truth.ts), and whether a capture says the same. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import {
  type CaptureOptions,
  type CaptureResult,
  captureRun,
  type OutputLine,
  ROOT,
  scratch,
} from './mcpspy.ts';
import { isSlow } from './patience.ts';

/** Who a peer is, by its own account. */
export interface Peer {
  readonly pid: number;
  readonly comm: string;
  readonly exe: string;
  readonly argv: readonly string[];
}

/** One line that went from one peer to another. */
export interface Sent {
  readonly link: string;
  readonly direction: 'to server' | 'to client';
  readonly text: string;
  readonly from: Peer;
  readonly to: Peer;
  /** CLOCK_MONOTONIC just before it was sent, nanoseconds. */
  readonly time: number;
}

interface Entry {
  readonly role: 'client' | 'server';
  readonly link: string;
  readonly time: number;
  readonly event: 'start' | 'sent' | 'received' | 'stderr';
  readonly text: string;
  readonly peer: Peer;
}

/** Where the peers of one test leave their accounts. */
export class Truth {
  readonly directory = mkdtempSync(join(tmpdir(), 'mcpspy-truth-'));
  readonly env = { MCPSPY_TRUTH: this.directory };

  constructor() {
    after(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** Adds the account of a peer that cannot write one itself. */
  add(
    role: Entry['role'],
    link: string,
    peer: Peer,
    lines: Partial<Record<Entry['event'], readonly string[]>>,
  ): void {
    const about = { role, link, time: 0 };
    const entries: object[] = [{ ...about, event: 'start', ...peer }];
    for (const [event, texts] of Object.entries(lines))
      for (const text of texts) entries.push({ ...about, event, text });
    const name = `${String(0).padStart(20, '0')}-${peer.pid}-${role}.jsonl`;
    writeFileSync(join(this.directory, name), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  }

  #entries(): Entry[] {
    return readdirSync(this.directory)
      .filter((name) => name.endsWith('.jsonl'))
      .sort()
      .flatMap((name) => {
        // The last line may be only half written.
        const lines = readFileSync(join(this.directory, name), 'utf8').split('\n').slice(0, -1);
        const [start, ...rest] = lines.map((line) => JSON.parse(line));
        const { pid, comm, exe, argv } = start ?? {};
        // Node calls its main thread this; mcpspy shows the program's name.
        const peer = { pid, comm: comm === 'MainThread' ? basename(exe) : comm, exe, argv };
        return [start, ...rest].map((entry) => ({ ...entry, peer }));
      });
  }

  /** Every process that has begun an account: `role link` to peer; the first image when one became another. */
  peers(): Map<string, Peer> {
    const peers = new Map<string, Peer>();
    for (const { role, link, peer } of this.#entries())
      if (!peers.has(`${role} ${link}`)) peers.set(`${role} ${link}`, peer);
    return peers;
  }

  /** What went over each link, checked to be the same by the accounts of both peers. */
  sent(): Sent[] {
    const entries = this.#entries();
    const sent: Sent[] = [];
    for (const link of new Set(entries.map((entry) => entry.link)))
      for (const [from, to] of [
        ['client', 'server'],
        ['server', 'client'],
      ] as const) {
        const of = (role: string, event: string) =>
          entries.filter((entry) => entry.link === link && entry.role === role && entry.event === event);
        const written = of(from, 'sent');
        const read = of(to, 'received');
        assert.deepEqual(
          read.map(({ text }) => text),
          written.map(({ text }) => text),
          `the peers themselves disagree on ${link}`,
        );
        for (const [index, { text, peer, time }] of written.entries())
          sent.push({ link, direction: `to ${to}`, text, from: peer, to: read[index]?.peer ?? peer, time });
      }
    return sent;
  }

  /** Lines on standard error, by peer. */
  logged(): { text: string; peer: Peer }[] {
    return this.#entries().filter(({ event }) => event === 'stderr');
  }
}

/** One captured line and what it should be. */
export interface Match extends Sent {
  readonly line: OutputLine;
}

/** A batch counts as its elements; the peers write them without white space. */
function messagesOf(sent: Sent): Sent[] {
  if (!sent.text.startsWith('[{')) return [sent];
  return JSON.parse(sent.text).map((element: unknown) => ({ ...sent, text: JSON.stringify(element) }));
}

function isRpc(text: string): boolean {
  try {
    return JSON.parse(text).jsonrpc === '2.0';
  } catch {
    return false;
  }
}

function byEnds<T>(items: readonly T[], ends: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(ends(item));
    if (group) group.push(item);
    else groups.set(ends(item), [item]);
  }
  return groups;
}

export function assertIsPeer(shown: OutputLine | undefined, peer: Peer, which: string): void {
  assert.equal(shown?.pid, peer.pid, which);
  assert.equal(shown?.comm, peer.comm, which);
  assert.deepEqual(shown?.argv, peer.argv, which);
  // The kernel knows the path that was executed, /proc the file it led to.
  assert.equal(realpathSync(shown?.exe), peer.exe, which);
}

const firstDifference = (a: readonly string[], b: readonly string[]) => {
  const at = a.findIndex((text, index) => text !== b[index]);
  const index = at < 0 ? a.length : at;
  return `at ${index}: captured ${a[index]?.slice(0, 200)}, sent ${b[index]?.slice(0, 200)}`;
};

/** Lines with what has turned out about them later: who reads them may take longer to start than mcpspy waits for that. */
export function withEnds(lines: readonly OutputLine[]): readonly OutputLine[] {
  const ends = new Map(lines.filter(({ kind }) => kind === 'ends').map((line) => [line['message'], line]));
  return lines
    .filter(({ kind }) => kind === 'message' || kind === 'invalid')
    .map((line) => {
      const known = ends.get(line['seq']);
      if (!known) return line;
      ends.delete(line['seq']);
      const { from, to } = known;
      const both = { from_pid: from?.pid, from_comm: from?.comm, to_pid: to?.pid, to_comm: to?.comm };
      return { ...line, from, to, ...(line['stdio_transport'] && { stdio_transport: both }) };
    });
}

/**
 * The capture holds exactly these lines: between the right two processes, in order, each
 * once, byte for byte, on one connection a link.
 * @param late May it have turned out only later who they were? An emulated machine needs it.
 */
export function assertExactly(capture: CaptureResult, truth: readonly Sent[], late = isSlow): Match[] {
  if (!late)
    assert.deepEqual(
      capture.lines.filter(({ kind }) => kind === 'ends'),
      [],
    );
  const wanted = byEnds(truth.flatMap(messagesOf), ({ from, to }) => `${from.pid} → ${to.pid}`);
  const captured = byEnds(withEnds(capture.lines), ({ from, to }) => `${from?.pid} → ${to?.pid}`);
  const counts = (groups: ReadonlyMap<string, readonly unknown[]>) =>
    Object.fromEntries([...groups].map(([ends, { length }]) => [ends, length]));
  assert.deepEqual(counts(captured), counts(wanted), 'who sent how many lines to whom');

  const matches: Match[] = [];
  for (const [ends, lines] of captured) {
    const sent = wanted.get(ends) ?? [];
    const raws = lines.map(({ raw }) => raw);
    const texts = sent.map(({ text }) => text);
    if (raws.some((raw, index) => raw !== texts[index]))
      assert.fail(`${ends} ${firstDifference(raws, texts)}`);
    for (const [index, line] of lines.entries()) {
      const expected = sent[index];
      if (expected) matches.push({ ...expected, line });
    }
  }
  let [shownFrom, shownTo]: [unknown, unknown] = [undefined, undefined];
  for (const { line, from, to, text } of matches) {
    assert.equal(line.kind, isRpc(text) ? 'message' : 'invalid', text.slice(0, 200));
    const { stdio_transport: ends } = line;
    assert.deepEqual(
      [ends.from_pid, ends.from_comm, ends.to_pid, ends.to_comm],
      [line.from.pid, line.from.comm, line.to.pid, line.to.comm],
    );
    // Looking up paths costs; the same two processes need it once.
    const [nextFrom, nextTo] = [JSON.stringify([line.from, from]), JSON.stringify([line.to, to])];
    if (nextFrom !== shownFrom) assertIsPeer(line.from, from, 'from');
    if (nextTo !== shownTo) assertIsPeer(line.to, to, 'to');
    [shownFrom, shownTo] = [nextFrom, nextTo];
  }
  const pairs = new Set(matches.map(({ link, line }) => `${link} ${line.connection}`));
  assert.equal(
    pairs.size,
    new Set(matches.map(({ link }) => link)).size,
    `one connection a link: ${[...pairs].join(', ')}`,
  );
  assert.equal(
    pairs.size,
    new Set(matches.map(({ line }) => line.connection)).size,
    'no connection for two links',
  );
  return matches;
}

const microseconds = (line: OutputLine) => {
  const [second = '', fraction = ''] = String(line.timestamp).slice(0, -1).split('.');
  return Date.parse(`${second}Z`) * 1000 + Number(fraction);
};

/** Every response names its request's method and has its outcome and its duration; every request is pending. */
export function assertPaired(matches: readonly Match[]): void {
  const asked = new Map<string, OutputLine>();
  const key = ({ link, direction, text }: Sent, other: boolean) => {
    const to = (direction === 'to server') === other ? 'client' : 'server';
    return `${link} ${to} ${JSON.stringify(JSON.parse(text).id)}`;
  };
  const inOrder = [...matches].sort((a, b) => a.line.seq - b.line.seq);
  for (const match of inOrder) {
    const { line } = match;
    if (line.type === 'request') {
      assert.equal(line.status, 'pending');
      asked.set(key(match, false), line);
    } else if (line.type === 'response') {
      const request = asked.get(key(match, true));
      assert.ok(request, `no request before its response: ${match.text.slice(0, 200)}`);
      const { error, result } = JSON.parse(match.text);
      assert.equal(line.method, request.method);
      assert.equal(line.target, request.target);
      assert.equal(
        line.status,
        error ? 'error' : result.isError ? 'tool_error' : 'ok',
        match.text.slice(0, 200),
      );
      const between = (microseconds(line) - microseconds(request)) / 1000;
      assert.ok(
        Math.abs(line.duration_ms - between) < 0.003,
        `${line.duration_ms} ms, timestamps say ${between}`,
      );
    } else if (line.kind === 'message') {
      assert.equal(line.type, 'notification');
      assert.equal(line.duration_ms, undefined);
    }
  }
}

/** In time order, numbered in output order, nothing lost, and as the schema says. */
export function assertOrderly(capture: CaptureResult): void {
  const seen = capture.lines.filter((line) => 'seq' in line);
  let before: OutputLine | undefined;
  for (const [index, line] of seen.entries()) {
    assert.equal(line.seq, index + 1);
    const what = `${line.raw ?? line.text} at ${line.timestamp} after ${before?.timestamp}`;
    // What is late says so, and nothing else is.
    if (line['late']) assert.ok(before && line.timestamp <= before.timestamp, `not late: ${what}`);
    else {
      if (before) assert.ok(line.timestamp >= before.timestamp, what);
      before = line;
    }
  }
  assert.deepEqual(capture.gaps, []);
  assert.deepEqual(capture.summary.losses, {});
  assert.equal(capture.summary['unseen'], undefined);
  if (!capture.isPart) assert.equal(capture.lines[0]?.kind, 'capture');
  for (const line of capture.lines.slice(0, 500).concat(capture.isPart ? [] : capture.summary))
    if (!validate(line))
      assert.fail(`${JSON.stringify(validate.errors)} ${JSON.stringify(line).slice(0, 500)}`);
}

const validate = new Ajv2020({ strict: false }).compile(
  JSON.parse(readFileSync(join(ROOT, 'docs', 'output.schema.json'), 'utf8')),
);

/** All of the above: what every conversation that runs well has to pass. */
export function assertFaithful(capture: CaptureResult, truth: Truth, late = isSlow): Match[] {
  assert.equal(capture.code, 0, capture.stderr);
  const matches = assertExactly(capture, truth.sent(), late);
  assertOrderly(capture);
  return matches;
}

// ---- peers ------------------------------------------------------------------

const peer = (name: string) => join(ROOT, 'test', 'peers', name);

/** The interpreter itself: `python3` may be a script that looks for it. */
export const PYTHON = spawnSync(
  'python3',
  ['-c', 'import os, sys; print(os.path.realpath(sys.executable))'],
  { encoding: 'utf8' },
).stdout.trim();
export const CLIENT = peer('client.py');
export const SERVER = [PYTHON, peer('server.py')];
export const ASYNCIO_CLIENT = peer('asyncio_client.py');
export const RELAY = [PYTHON, peer('relay.py')];
export const INHERIT = peer('inherit.ts');
export const SDK_CLIENT = peer('sdk-client.ts');
export const PINGPONG = peer('pingpong.c');

/** For `sh -c`. */
export function shellWords(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}

export function request(id: unknown, method: string, params?: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params });
}

export function notification(method: string, params?: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}

export function call(id: unknown, name: string, args: object = {}): string {
  return request(id, 'tools/call', { name, arguments: args });
}

export const INITIALIZE = request(0, 'initialize', {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'python-client', version: '7' },
});

/** A step of test/peers/client.py. */
export type Step = Record<string, unknown>;

/** Sends, and waits for the answer. */
export function ask(link: string, text: string): Step[] {
  return [
    { send: link, text },
    { answer: link, id: JSON.parse(text).id },
  ];
}

/** Starts a server and introduces the two to each other. */
export function open(link: string, command: readonly string[] = SERVER, more: Step = {}): Step[] {
  if (isSlow && command[1] === SERVER[1])
    return openSlowly(scratch(), link, more, (server) => [
      ...command.slice(0, 2),
      ...server.slice(-2),
      ...command.slice(2),
    ]);
  return [{ start: link, command, ...more }, ...introduction(link)];
}

/**
 * The same, with the introduction when the server is there: an emulated machine takes longer to start one than mcpspy
 * waits for who reads a message. `become`: its command from the server's own.
 * @param directory For a file that tells when.
 */
export function openSlowly(
  directory: string,
  link: string,
  more: Step = {},
  become = (server: readonly string[]) => server,
): Step[] {
  const ready = join(directory, `${link}.ready`);
  const command = become([...SERVER, '--name', link, '--touch', ready]);
  return [{ start: link, command, ...more }, { gate: ready }, ...introduction(link)];
}

function introduction(link: string): Step[] {
  return [...ask(link, INITIALIZE), { send: link, text: notification('notifications/initialized') }];
}

/** The command of a client that follows these steps. */
export function clientCommand(truth: Truth, steps: readonly Step[]): string[] {
  const script = join(truth.directory, 'script.json');
  writeFileSync(script, JSON.stringify(steps));
  return [PYTHON, CLIENT, script];
}

/** A scripted conversation under `mcpspy run`. */
export async function converse(
  steps: readonly Step[],
  given: CaptureOptions = {},
): Promise<{ capture: CaptureResult; truth: Truth }> {
  const truth = new Truth();
  const capture = await captureRun(clientCommand(truth, steps), {
    timeout: 60_000,
    ...given,
    env: { ...truth.env, ...given.env },
  });
  return { capture, truth };
}
