// SPDX-License-Identifier: Apache-2.0
/** Python's http.client, http.server and asyncio, in clear and with Python's two ways to TLS. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import { makeCertificate, perform, plainServer, pythonClient, pythonServer } from '../support/http-stage.ts';
import { cannotCapture } from '../support/mcpspy.ts';

const skip = cannotCapture;
const CLEAR = 'http://127.0.0.1:{server}/mcp';
const TLS = 'https://127.0.0.1:{server}/mcp';

for (const name of ['http_client.py', 'http_asyncio.py'] as const) {
  test(`${name} and http.server in clear: every message once, in order, both ends attributed`, {
    skip,
  }, async () => {
    const { capture, truth } = await perform([pythonServer(), pythonClient(name, CLEAR)]);
    assertFaithfulHttp(capture, truth);
  });

  test(`${name} and http.server over TLS: every message once, in order`, { skip }, async () => {
    const { env } = makeCertificate();
    const { capture, truth } = await perform([pythonServer(env), pythonClient(name, TLS, env)]);
    const matches = assertFaithfulHttp(capture, truth);
    assert.ok(matches.every(({ line }) => /openssl/i.test(line['http_transport'].tls)));
  });
}

test('http.client over TLS against node: a shared and a built-in OpenSSL', { skip }, async () => {
  const { env } = makeCertificate();
  const { capture, truth } = await perform([
    plainServer('http1', env),
    pythonClient('http_client.py', TLS, env),
  ]);
  assertFaithfulHttp(capture, truth);
});
