// SPDX-License-Identifier: Apache-2.0
/** nginx ends TLS in front of a clear-text server: one message, in front of it and behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertExchanges, assertHops } from '../support/http-compare.ts';
import {
  makeCertificate,
  nginxFront,
  perform,
  plainServer,
  type Stage,
  sdkClient,
  sdkServer,
} from '../support/http-stage.ts';
import { seenBy } from '../support/http-truth.ts';
import { cannotCapture, scratch } from '../support/mcpspy.ts';
import { assertOrderly, call, INITIALIZE } from '../support/truth.ts';

const skip = cannotCapture;

const BODIES = [
  INITIALIZE,
  ...Array.from({ length: 10 }, (_, id) => call(id + 1, 'echo', { text: `grüße ${id}` })),
  // Larger than what curl sends without asking first (Expect: 100-continue), and what nginx keeps in memory.
  call('large', 'echo', { text: 'größe '.repeat(300_000) }),
  call('larger', 'large', { bytes: 2_000_000 }),
];

async function exercise(server: Stage, client: (certificate: string) => Stage, version: string) {
  const certificate = makeCertificate();
  const { capture, truth } = await perform([
    server,
    ...nginxFront(scratch(), certificate),
    { ...client(certificate.certificate) },
  ]);
  assert.equal(capture.code, 0, capture.stderr);
  const nginx = truth.peer('nginx');
  const accounts = truth.accounts();
  const front = seenBy(
    nginx,
    'server',
    accounts.filter(({ role }) => role === 'client'),
  );
  const back = seenBy(
    nginx,
    'client',
    accounts.filter(({ role }) => role === 'server'),
  );
  const matches = assertExchanges(capture.messages, truth.sightings([...front, ...back]));
  assertOrderly(capture);
  const lines = matches.map(({ line }) => line).sort((a, b) => a['seq'] - b['seq']);
  for (const { tls, http_version: shown } of lines.map((line) => line['http_transport']))
    assert.equal(shown, tls ? version : '1.1');
  const texts = matches.filter(({ sighting }) => !sighting.tls).map(({ message }) => message.text);
  const single = texts.filter((text) => texts.indexOf(text) === texts.lastIndexOf(text));
  assert.ok(single.length > 4);
  assertHops(lines, single, 2);
}

for (const [version, option] of [
  ['1.1', 'http1.1'],
  ['2', 'http2'],
] as const)
  test(
    `curl over HTTP/${version} and TLS, nginx, node: every message once on each hop, linked`,
    { skip },
    () =>
      exercise(
        plainServer(),
        (certificate) => ({
          command: {
            program: 'curl',
            url: 'https://127.0.0.1:{front}/mcp',
            options: [`cacert = ${certificate}`, option],
            bodies: BODIES,
          },
        }),
        version,
      ),
  );

test('the SDK through nginx: event streams, the standalone stream and a resumed one', { skip }, () =>
  exercise(
    sdkServer('session'),
    (certificate) =>
      sdkClient('https://127.0.0.1:{front}/mcp', 'basics,stream,standalone,resume,end', {
        NODE_EXTRA_CA_CERTS: certificate,
      }),
    '1.1',
  ),
);
