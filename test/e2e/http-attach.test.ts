// SPDX-License-Identifier: Apache-2.0
/** `--pid`: HTTP connections, idle and streaming, that were open before the capture. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assertAnswered, assertExchanges, type HttpMatch } from '../support/http-compare.ts';
import { makeCertificate, sdkClient, sdkServer, stageCommand } from '../support/http-stage.ts';
import { HttpTruth, type Sighting, since } from '../support/http-truth.ts';
import { attach, type CaptureResult, cannotCapture, type OutputLine } from '../support/mcpspy.ts';
import { patience } from '../support/patience.ts';
import { assertOrderly, withEnds } from '../support/truth.ts';

const skip = cannotCapture;

interface Joined {
  readonly capture: CaptureResult;
  /** What was sent after mcpspy said that it watches. */
  readonly sightings: readonly Sighting[];
}

/** A session that is joined between two halves. */
async function joinSession(
  who: readonly ('client' | 'server')[],
  mode: string,
  tls: boolean,
): Promise<Joined> {
  const truth = new HttpTruth();
  const [arrived, gate] = ['arrived', 'gate'].map((name) => join(truth.directory, name)) as [string, string];
  const env = tls ? makeCertificate().env : {};
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:{server}${mode === 'sse' ? '/sse' : '/mcp'}`;
  const halves =
    mode === 'sse'
      ? 'basics,wait,basics,stream,linger'
      : 'basics,standalone,wait,basics,stream,standalone,linger,end';
  const [file = '', ...args] = stageCommand(truth, [
    sdkServer(mode, env),
    sdkClient(url, halves, env, [arrived, gate]),
  ]);
  const stage = spawn(file, args, {
    env: { ...process.env, ...truth.env },
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true,
  });
  const over = new Promise<number | null>((resolve) => stage.once('exit', resolve));
  try {
    for (let waited = 0; !existsSync(arrived); waited += 10) {
      assert.ok(waited < patience(30_000), 'the first half did not end');
      await sleep(10);
    }
    const pids = who.map(
      (role) => truth.accounts().find((account) => account.role === role)?.peer.pid ?? assert.fail(role),
    );
    const attached = await attach(pids);
    const moment = Number(process.hrtime.bigint());
    writeFileSync(gate, '');
    assert.equal(await over, 0, 'the peers failed');
    const late = setTimeout(() => attached.child.kill('SIGKILL'), patience(10_000));
    const capture = await attached.ended();
    clearTimeout(late);
    assert.equal(capture.code, 0, capture.stderr);
    const all = truth.sightings();
    const sightings = since(all, moment).map((sighting) => seenBy(who, sighting));
    assertOldConnections(all, moment);
    return { capture, sightings };
  } finally {
    try {
      if (stage.pid) process.kill(-stage.pid, 'SIGKILL');
    } catch {
      // All gone by themselves.
    }
    await over;
  }
}

/** Where only the receiving end is watched, what it hung up on is not there. */
function seenBy(who: readonly ('client' | 'server')[], sighting: Sighting): Sighting {
  const messages = sighting.messages.filter(({ side, received }) => {
    const [sender, receiver] =
      side === 'request' ? (['client', 'server'] as const) : (['server', 'client'] as const);
    return who.includes(sender) || !sighting.ends[receiver] || received !== undefined;
  });
  return { ...sighting, messages };
}

/** The second half really used connections, and an event stream, of the first. */
function assertOldConnections(sightings: readonly Sighting[], moment: number): void {
  const old = sightings.filter(({ time }) => time < moment);
  const clients = new Set(old.map(({ client }) => client));
  assert.ok(
    sightings.some(({ time, client }) => time > moment && clients.has(client)),
    'no connection was kept alive',
  );
  assert.ok(
    old.some(({ messages }) => messages.some(({ sent, received }) => (sent ?? received ?? 0) > moment)),
    'no event stream went on',
  );
}

function assertJoined({ capture, sightings }: Joined): HttpMatch[] {
  const matches = assertExchanges(withEnds(capture.lines), sightings);
  assertOrderly(capture);
  assertAnswered(matches);
  return matches;
}

const sessionTest = (who: readonly ('client' | 'server')[], tls: boolean, then: (joined: Joined) => void) =>
  test(
    `--pid of ${who.join(' and ')} in the middle of a session ${tls ? 'over TLS' : 'in clear'}: every message from then on, on old connections and on an open event stream`,
    {
      skip,
    },
    async () => then(await joinSession(who, 'session', tls)),
  );

function assertWhole(joined: Joined): void {
  const matches = assertJoined(joined);
  assert.ok(
    matches.some(({ sighting }) => sighting.joined),
    'nothing came on the open stream',
  );
}

for (const who of [['client', 'server'], ['client'], ['server']] as const)
  sessionTest(who, false, assertWhole);
for (const who of [['client', 'server'], ['server']] as const) sessionTest(who, true, assertWhole);

/*
 * A client that only reads, over a handshake older than the capture, gives nothing by which its TLS could be tied to
 * a connection: what it reads is shown, without addresses. Where the server's end is watched, too, it is known by what
 * it says as the same.
 */
const isTied = ({ http_transport }: OutputLine) => http_transport?.local !== undefined;

function assertUntiedShown(messages: readonly OutputLine[]): void {
  const untied = messages.filter((line) => !isTied(line)).map(({ method }) => method);
  assert.deepEqual(untied, ['roots/list', 'notifications/tools/list_changed']);
}

sessionTest(['client'], true, ({ capture, sightings }) => {
  assertUntiedShown(capture.messages);
  const tied = sightings.filter(({ joined }) => !joined);
  const matches = assertExchanges(withEnds(capture.lines).filter(isTied), tied);
  // The answer to what came on the open stream.
  assertAnswered(matches.filter(({ line }) => line['status'] !== 'orphan'));
  assertOrderly(capture);
});

test('--pid of both in the middle of HTTP+SSE of 2024-11-05: the answers on the open stream go on', {
  skip,
}, async () => {
  assertJoined(await joinSession(['client', 'server'], 'sse', false));
});
