// SPDX-License-Identifier: Apache-2.0
/** Bridges between stdio and HTTP, which people use with clients that have only the one. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertAnswered, assertExchanges, assertHops } from '../support/http-compare.ts';
import { perform, type Stage, sdkClient, sdkServer } from '../support/http-stage.ts';
import { HttpTruth } from '../support/http-truth.ts';
import {
  type CaptureResult,
  cannotCapture,
  NODE,
  type OutputLine,
  ROOT,
  scratch,
} from '../support/mcpspy.ts';
import {
  ask,
  assertExactly,
  assertOrderly,
  CLIENT,
  call,
  INITIALIZE,
  type Match,
  notification,
  PYTHON,
  request,
  type Step,
  Truth,
  withEnds,
} from '../support/truth.ts';

const skip = cannotCapture;
const RECORD_STDIO = `--import=${join(ROOT, 'test', 'peers', 'record-stdio.ts')}`;
const REMOTE = join(ROOT, 'node_modules', 'mcp-remote', 'dist', 'proxy.js');
const PROXY = join(ROOT, 'node_modules', 'mcp-proxy', 'dist', 'bin', 'mcp-proxy.mjs');

/** Both transports against both truths. @returns What was on stdio. */
function assertBoth(capture: CaptureResult, http: HttpTruth, stdio: Truth): Match[] {
  assert.equal(capture.code, 0, capture.stderr);
  const all = withEnds(capture.lines);
  const of = (transport: string) => all.filter(({ transport_type: type }) => type === transport);
  assertAnswered(assertExchanges(of('http'), http.sightings()));
  const matches = assertExactly({ ...capture, lines: of('stdio') }, stdio.sent());
  // Held back until it was known for MCP, and shown behind it: what is logged, and errors that answer no id.
  const held = ({ kind, type, raw }: OutputLine) =>
    kind === 'stderr' || (type === 'response' && JSON.parse(raw).id === null);
  const lines = capture.lines.filter((line) => !held(line));
  assertOrderly({ ...capture, lines: renumbered(lines) });
  return matches;
}

function renumbered(lines: readonly OutputLine[]): OutputLine[] {
  let seq = 0;
  return lines.map((line) => ('seq' in line ? { ...line, seq: ++seq } : line));
}

/** What the bridge passed on as it was: on both sides the same text, once. */
function passedOn(http: HttpTruth, matches: readonly Match[]): string[] {
  const texts = http.sightings().flatMap(({ messages }) => messages.map(({ text }) => text));
  const once = (all: readonly string[], text: string) => all.filter((each) => each === text).length === 1;
  const near = matches.map(({ text }) => text);
  return near.filter((text) => once(near, text) && once(texts, text));
}

test('mcp-remote, from stdio to HTTP: every message on both hops, linked', { skip }, async () => {
  const stdio = new Truth();
  const http = new HttpTruth(stdio.directory);
  const script = join(stdio.directory, 'script.json');
  const url = 'http://127.0.0.1:{server}/mcp';
  const remote = [NODE, RECORD_STDIO, REMOTE, url, '--allow-http', '--transport', 'http-only'];
  const ready = join(stdio.directory, 'ready');
  const steps: Step[] = [
    { start: 'remote', command: remote },
    // It reads its standard input only once it is connected, which takes it seconds.
    { gate: ready },
    ...ask('remote', INITIALIZE),
    { send: 'remote', text: notification('notifications/initialized') },
    ...ask('remote', request(1, 'tools/list', {})),
    ...Array.from({ length: 10 }, (_, id) =>
      ask('remote', call(id + 2, 'echo', { message: `grüße ${id}` })),
    ).flat(),
    ...ask('remote', call('large', 'large', { bytes: 300_000 })),
    ...ask('remote', call('fails', 'none')),
    { close: 'remote' },
  ];
  const client: Stage = {
    run: [PYTHON, CLIENT, script],
    env: { MCP_REMOTE_CONFIG_DIR: scratch() },
  };
  const { capture } = await perform(
    [sdkServer('session', { READY: ready }), { touch: script, content: JSON.stringify(steps) }, client],
    {},
    http,
  );
  const matches = assertBoth(capture, http, stdio);
  const texts = passedOn(http, matches);
  // Answers it writes anew.
  assert.ok(texts.length >= 12, `${texts.length} passed on as they were`);
  assertHops(capture.messages, texts, 2);
});

test('mcp-proxy, from HTTP to stdio: every message on both hops', { skip }, async () => {
  const stdio = new Truth();
  const http = new HttpTruth(stdio.directory);
  const server = [PYTHON, join(ROOT, 'test', 'peers', 'tools_server.py')];
  const options = ['--host', '127.0.0.1', '--port', '{server}', '--server', 'stream'];
  const { capture } = await perform(
    [
      { start: [NODE, PROXY, ...options, '--', ...server], listens: '{server}', self: 'proxy' },
      sdkClient('http://127.0.0.1:{server}/mcp', 'proxied,end'),
    ],
    {},
    http,
  );
  // mcp-proxy tells nothing of its standard streams; what the server read is what it wrote.
  const told = readdirSync(stdio.directory)
    .filter((name) => name.endsWith('-server.jsonl'))
    .flatMap((name) => readFileSync(join(stdio.directory, name), 'utf8').split('\n').filter(Boolean))
    .map((line) => JSON.parse(line));
  const texts = (event: string) => told.filter((entry) => entry.event === event).map(({ text }) => text);
  stdio.add('client', 'link', http.peer('proxy'), { sent: texts('received'), received: texts('sent') });
  const matches = assertBoth(capture, http, stdio);
  const same = passedOn(http, matches);
  assertHops(capture.messages, same, 2);
});
