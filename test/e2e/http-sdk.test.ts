// SPDX-License-Identifier: Apache-2.0
/** The official SDK's client and server over clear HTTP. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { assertAbsent, assertFaithfulHttp, type HttpMatch } from '../support/http-compare.ts';
import { everythingServer, perform, sdkClient, sdkServer } from '../support/http-stage.ts';
import { type CaptureResult, cannotCapture, type OutputLine } from '../support/mcpspy.ts';

const skip = cannotCapture;
const SECRET = 'not-to-be-shown-anywhere';

const sessionsOf = (matches: readonly HttpMatch[]) =>
  new Set(matches.map(({ sighting }) => sighting.responseHeaders['mcp-session-id'] ?? ''));

/** Who talked to whom, by their own words and by the kernel's. */
function assertServer(capture: CaptureResult, matches: readonly HttpMatch[]): void {
  const [shown, ...others] = capture.summary['servers'];
  assert.deepEqual(others, []);
  const answer = matches.find(({ line }) => line['type'] === 'response' && line['method'] === 'initialize');
  const { serverInfo, protocolVersion } = JSON.parse(answer?.message.text ?? '{}').result;
  const { ends } = answer?.sighting ?? {};
  assert.deepEqual(
    [shown.server.name, shown.server.version, shown.server.endpoint.pid],
    [serverInfo.name, serverInfo.version, ends?.server?.pid],
  );
  assert.deepEqual([shown.client.name, shown.client.endpoint.pid], ['sdk-http-client', ends?.client?.pid]);
  assert.equal(shown.protocol_version, protocolVersion);
  assert.equal(shown.messages, matches.length);
}

const shown = (matches: readonly HttpMatch[], type: string, method: string): OutputLine[] =>
  matches.map(({ line }) => line).filter((line) => line['type'] === type && line['method'] === method);

/** An address of this machine that is not loopback's, if it has one. */
const OWN = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .filter(({ internal, family }) => !internal && family === 'IPv4')
  .map(({ address }) => address)
  .slice(0, 1);

for (const host of ['127.0.0.1', '::1', ...OWN])
  test(`a session over ${host}: answers as event streams, notifications and requests of the server on every stream, a stream resumed, events that come again, DELETE`, {
    skip,
  }, async () => {
    const url = `http://${host.includes(':') ? `[${host}]` : host}:{server}/mcp`;
    const { capture, truth } = await perform([
      sdkServer('session', { HOST: host }),
      sdkClient(url, 'basics,stream,standalone,resume,replay,end'),
    ]);
    const matches = assertFaithfulHttp(capture, truth);
    assertServer(capture, matches);

    // What makes this session special was really there.
    const requests = truth.accounts().filter(({ role }) => role === 'client');
    assert.ok(requests.filter(({ headers }) => headers['last-event-id']).length >= 2, 'nobody resumed');
    assert.equal(requests.at(-1)?.method, 'DELETE');
    const standalone = matches.filter(
      ({ sighting, message }) => sighting.method === 'GET' && message.form === 'sse',
    );
    assert.ok(standalone.some(({ line }) => line['method'] === 'roots/list' && line['type'] === 'request'));
    assert.ok(standalone.some(({ line }) => line['method'] === 'notifications/tools/list_changed'));
    assert.equal(shown(matches, 'response', 'sampling/createMessage').length, 1);
    const [resumed] = shown(matches, 'response', 'tools/call').filter(({ target }) => target === 'drop');
    assert.equal(resumed?.['http_transport'].method, 'GET');

    const sessions = [...sessionsOf(matches)].filter(Boolean);
    assert.equal(sessions.length, 1);
    const masks = new Set(
      matches.slice(2).map(({ line }) => line['http_transport'].session_id as string | undefined),
    );
    assert.deepEqual([masks.size, masks.has(undefined)], [1, false], 'one session, one mask');
    assertAbsent(capture, [...sessions, SECRET]);

    const ends = capture.lines.filter(
      ({ kind, http_transport: http }) => kind === 'http' && http.method === 'DELETE',
    );
    assert.deepEqual(
      ends.map(({ http_transport: http }) => http.status),
      [200],
      'the end of the session',
    );
  });

test('answers as JSON: every message exactly once, paired and attributed', { skip }, async () => {
  const { capture, truth } = await perform([
    sdkServer('json'),
    sdkClient('http://127.0.0.1:{server}/mcp', 'basics,end'),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  assertServer(capture, matches);
  assert.ok(matches.every(({ message }) => message.form === 'body'));
  const echoes = shown(matches, 'response', 'tools/call').filter(({ target }) => target === 'echo');
  assert.equal(echoes.length, 21);
  const statuses = ['fail', 'none'].map(
    (tool) => shown(matches, 'response', 'tools/call').find(({ target }) => target === tool)?.['status'],
  );
  assert.deepEqual(statuses, ['tool_error', 'error']);
  assertAbsent(capture, [...sessionsOf(matches)].filter(Boolean).concat(SECRET));
});

test('a server without sessions, and a transport of its own for every request', { skip }, async () => {
  const { capture, truth } = await perform([
    sdkServer('stateless'),
    sdkClient('http://127.0.0.1:{server}/mcp', 'basics'),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  assert.deepEqual([...sessionsOf(matches)], ['']);
  assert.ok(matches.every(({ line }) => line['http_transport'].session_id === undefined));
  assert.equal(shown(matches, 'response', 'tools/call').length, 24);
});

test('HTTP+SSE of 2024-11-05: answers come on another connection than their requests', { skip }, async () => {
  const { capture, truth } = await perform([
    sdkServer('sse'),
    sdkClient('http://127.0.0.1:{server}/sse', 'basics,stream'),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  assertServer(capture, matches);
  const answers = matches.filter(({ message }) => message.side === 'response');
  assert.ok(answers.length > 30 && answers.every(({ sighting }) => sighting.method === 'GET'));
  const sessions = matches.flatMap(({ sighting: { path } }) => /sessionId=(.*)/.exec(path)?.[1] ?? []);
  assertAbsent(capture, [...new Set(sessions), SECRET]);
});

for (const [mode, path, session] of [
  ['streamableHttp', '/mcp', ',end'],
  ['sse', '/sse', ''],
] as const)
  test(`server-everything ${mode}: every message exactly once, in order, paired and attributed`, {
    skip,
  }, async () => {
    const { capture, truth } = await perform([
      everythingServer(mode),
      sdkClient(`http://127.0.0.1:{server}${path}`, `everything${session}`),
    ]);
    const matches = assertFaithfulHttp(capture, truth);
    assertServer(capture, matches);
    assert.ok(matches.some(({ message }) => message.text.length > 1 << 20));
    assert.ok(shown(matches, 'notification', 'notifications/progress').length >= 2);
    assert.equal(shown(matches, 'response', 'sampling/createMessage').length, 1);
    assert.equal(
      shown(matches, 'response', 'roots/list')[0]?.['from'].pid,
      matches[0]?.sighting.ends.client?.pid,
    );
  });
