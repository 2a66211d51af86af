// SPDX-License-Identifier: Apache-2.0
/** No output tells what opens something, though servers repeat it: file, display, raw boxes, debug view, summary. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAbsent } from '../support/http-compare.ts';
import {
  fetchClient,
  makeCertificate,
  perform,
  plainServer,
  sdkClient,
  sdkServer,
} from '../support/http-stage.ts';
import { type CaptureResult, cannotCapture } from '../support/mcpspy.ts';

const skip = cannotCapture;
const EVERYTHING = { options: ['-b', '-l', 'debug'] };
const SESSION = 'd3c0ffee-5e55-4a1d-9b1d-000000000001';
const TOKEN = 'eyJhbGciOiJub25lIn0/toKEN+with=signs';
const COOKIE = 'c00kie-Of-the-Session';
const API_KEY = 'sk-live-4242424242';
const IN_QUERY = 'in-the-query-8787';
const HEADERS = [
  `authorization: Bearer ${TOKEN}`,
  `cookie: theme=dark; sid="${COOKIE}"`,
  `mcp-session-id: ${SESSION}`,
  `x-api-key: ${API_KEY}`,
];
/** As they stand, as JSON has them, and as a URI has them. */
const SECRETS = [TOKEN, COOKIE, SESSION, API_KEY, IN_QUERY].flatMap((secret) => [
  secret,
  JSON.stringify(secret).slice(1, -1),
  encodeURIComponent(secret),
]);

/** Each output has said something: what is not there was not left out with it. */
function assertTold({ lines, stderr }: CaptureResult, bodies: number): void {
  const told = lines.filter(
    ({ kind, body, raw }) => (kind === 'http' && body) || (kind === 'invalid' && raw),
  );
  assert.equal(told.length, bodies);
  assert.match(stderr, /^bus http /m);
  assert.match(stderr, /HTTP POST .* 401 Unauthorized/);
  assert.match(stderr, /^│ no: 401 /m);
  assert.match(stderr, /^captured /m);
}

for (const tls of [false, true])
  test(`errors that repeat what was sent ${tls ? 'inside TLS' : 'in clear'} are shown without it`, {
    skip,
  }, async () => {
    const env = tls ? makeCertificate().env : {};
    const client = fetchClient('repeats', 1, env);
    const { capture } = await perform(
      [plainServer('http1', env), { ...client, run: [...(client.run ?? []), ...HEADERS] }],
      { ...EVERYTHING, env: { ACCESS_TOKEN: IN_QUERY } },
    );
    assert.equal(capture.code, 0, capture.stderr);
    assertTold(capture, 3);
    assertAbsent(capture, SECRETS);
    const bodies = capture.lines.flatMap(({ body, raw, kind }) =>
      kind === 'message' ? [] : [body ?? raw ?? ''],
    );
    for (const body of bodies.filter(Boolean)) {
      assert.match(body, /Bearer \*\*\*/);
      assert.match(body, /d3c0…[0-9a-f]{4}/);
      assert.match(body, /theme=\*\*\*; sid=\W+\*\*\*/);
      assert.match(body, /access_token=\*\*\*/);
      assert.match(body, /no: 401|unknown/);
    }
    // What is masked in the headers is the same there: it can be followed.
    const masked = bodies.map((body) => /d3c0…[0-9a-f]{4}/.exec(body)?.[0]).filter(Boolean);
    const [message] = capture.messages;
    assert.deepEqual(new Set(masked), new Set([message?.['http_transport'].session_id]));
    const argv = message?.['from']?.argv ?? capture.messages.find(({ from }) => from)?.['from'].argv;
    assert.ok(argv.includes('authorization: Bearer ***') && argv.includes('cookie: ***'), argv.join('\n'));
    // Messages stay exact.
    assert.ok(capture.messages.every(({ raw }) => JSON.parse(raw).jsonrpc === '2.0'));
  });

for (const [mode, path, steps] of [
  ['session', '/mcp', 'basics,stream,standalone,resume,end'],
  ['sse', '/sse', 'basics'],
] as const)
  test(`sessions of the SDK in mode ${mode} are masked in every output`, { skip }, async () => {
    const { capture, truth } = await perform(
      [sdkServer(mode), sdkClient(`http://127.0.0.1:{server}${path}`, steps)],
      EVERYTHING,
    );
    assert.equal(capture.code, 0, capture.stderr);
    const sessions = truth
      .accounts()
      .flatMap(({ responseHeaders, path: target }) => [
        responseHeaders['mcp-session-id'],
        new URL(target, 'http://x').searchParams.get('sessionId'),
      ])
      .filter((session) => session !== undefined && session !== null);
    assert.ok(sessions.length > 0);
    assert.match(capture.stderr, /^bus message /m);
    assertAbsent(capture, [...new Set(sessions), 'not-to-be-shown-anywhere']);
  });
