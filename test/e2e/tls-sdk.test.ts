// SPDX-License-Identifier: Apache-2.0
/** The official SDK's client and server over HTTPS, read where it is in clear: inside the processes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAbsent, assertFaithfulHttp, type HttpMatch } from '../support/http-compare.ts';
import {
  http2Client,
  makeCertificate,
  perform,
  plainServer,
  sdkClient,
  sdkServer,
} from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';

const skip = cannotCapture;

/** The client and the server see the same clear text, each in its own OpenSSL: it is told once. */
function assertBothEnds(matches: readonly HttpMatch[]): void {
  assert.ok(matches.every(({ line }) => /openssl/i.test(line['http_transport'].tls)));
  for (const { line, message, sighting } of matches) {
    const asked = message.side === 'request';
    const [from, to] = asked
      ? [sighting.ends.client, sighting.ends.server]
      : [sighting.ends.server, sighting.ends.client];
    assert.ok(line['from']?.pid === from?.pid || line['to']?.pid === to?.pid, message.text.slice(0, 200));
  }
}

for (const [mode, path, steps] of [
  ['session', '/mcp', 'basics,stream,standalone,resume,replay,end'],
  ['json', '/mcp', 'basics,end'],
  ['stateless', '/mcp', 'basics'],
  ['sse', '/sse', 'basics,stream'],
] as const)
  test(`the SDK's server in mode ${mode}: seen at both ends, every message is told once`, {
    skip,
  }, async () => {
    const { env } = makeCertificate();
    const { capture, truth } = await perform([
      sdkServer(mode, env),
      sdkClient(`https://localhost:{server}${path}`, steps, env),
    ]);
    const matches = assertFaithfulHttp(capture, truth);
    assertBothEnds(matches);
    const session = matches.map(({ sighting }) => sighting.responseHeaders['mcp-session-id']).find(Boolean);
    assertAbsent(capture, ['not-to-be-shown-anywhere', ...(session ? [session] : [])]);
    const calls = capture.summary['methods'].find(({ name }: { name: string }) => name === 'tools/call');
    const asked = matches.filter(({ line }) => line['type'] === 'request' && line['method'] === 'tools/call');
    assert.equal(calls.calls, asked.length);
  });

test('HTTP/2 over TLS between two processes of node: 40 streams at once on one connection', {
  skip,
}, async () => {
  const { env } = makeCertificate();
  const { capture, truth } = await perform([
    plainServer('http2', env),
    http2Client('https://127.0.0.1:{server}/mcp', env),
  ]);
  const matches = assertFaithfulHttp(capture, truth);
  assertBothEnds(matches);
  assert.ok(matches.every(({ line }) => line['http_transport'].http_version === '2'));
});
