// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { test } from 'node:test';
import { assertFaithfulHttp } from '../support/http-compare.ts';
import { perform, plainServer, pythonClient } from '../support/http-stage.ts';
import { cannotCapture, scratch } from '../support/mcpspy.ts';
import { call } from '../support/truth.ts';

test('HTTP over a unix socket: curl and Python against node, both ends attributed, no addresses', {
  skip: cannotCapture,
}, async () => {
  const socket = join(scratch(), 'socket');
  const { capture, truth } = await perform([
    plainServer('http1', { SOCKET: socket }),
    pythonClient('http_client.py', socket),
    {
      command: {
        program: 'curl',
        url: 'http://localhost/mcp',
        options: [`unix-socket = ${socket}`],
        bodies: [call(1, 'echo', { text: 'größe' }), call(2, 'large', { bytes: 1_000_000 })],
      },
    },
  ]);
  assertFaithfulHttp(capture, truth);
});
