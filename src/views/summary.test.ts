// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Summary } from '../mcp/events.ts';
import { formatSummaryText } from './summary.ts';

const nothing: Summary = {
  time: 0,
  seconds: 0.5,
  bytes: 0,
  frames: { request: 0 },
  methods: [],
  tools: [],
  pending: 0,
  cancelled: 0,
  orphans: 0,
  servers: [],
  losses: {},
};

test('a capture of nothing says so', () => {
  assert.equal(
    formatSummaryText(nothing),
    'captured  0 frames, 0 bytes in 500 ms\nlost      nothing was lost\n',
  );
});

test('everything that was counted is shown', () => {
  const summary: Summary = {
    time: 0,
    backend: 'fentry',
    seconds: 12.34,
    bytes: 3 << 20,
    frames: { request: 1200, response: 1199, notification: 0, invalid: 1, stderr: 0, gap: 1 },
    methods: [
      { name: 'tools/call', calls: 1100, errors: 2, p50: 101.2, p95: 250, max: 12000 },
      { name: 'ping', calls: 1, errors: 0, p50: undefined, p95: undefined, max: undefined },
    ],
    tools: [{ name: 'evil\x1b[2J', calls: 1100, errors: 2, p50: 0.5, p95: 1, max: 2 }],
    pending: 1,
    cancelled: 2,
    orphans: 3,
    servers: [
      {
        connection: 1,
        server: { name: 'everything', version: '1.0', endpoint: { pid: 12, comm: 'node' } },
        client: { name: 'sdk', version: undefined, endpoint: { pid: 11, comm: 'python' } },
        protocolVersion: '2025-11-25',
        messages: 2400,
      },
    ],
    losses: {
      'ring-full': { bytes: 12345, records: 4, frames: 3 },
      joined: { bytes: 0, records: 0, frames: 0 },
    },
  };
  assert.equal(
    formatSummaryText(summary),
    `captured  2,401 frames, 3 MiB in 12.3 s
back end  fentry
frames    1,200 request, 1,199 response, 1 invalid, 1 gap
requests  1 without an answer, 2 cancelled, 3 answered without having been seen
lost      12,345 bytes, 4 records, 3 frames: ring full

method      calls  errors     p50     p95   max
tools/call  1,100       2  101 ms  250 ms  12 s
ping            1       0       -       -     -

tool         calls  errors     p50   p95   max
evil\\x1b[2J  1,100       2  0.5 ms  1 ms  2 ms

server          process   protocol    client          messages
everything 1.0  node[12]  2025-11-25  sdk python[11]     2,400
`,
  );
});

test('TLS that could not be read is told with its process, library, reason, connections and hosts', () => {
  const undecoded = [
    {
      process: { pid: 77, comm: 'codex' },
      library: 'rustls',
      reason: 'there is no function to attach to',
      connections: 1200,
      hosts: ['a.example', 'evil\x1b[2J'],
    },
    {
      process: { pid: 78, comm: 'x' },
      library: 'Go\n',
      reason: 'r\u202e',
      connections: 1,
      hosts: [],
    },
  ];
  const text = formatSummaryText({ ...nothing, undecoded });
  assert.equal(
    text.split('\n\n')[1],
    `TLS that could not be read:
  codex[77]  rustls: there is no function to attach to; 1,200 connections to a.example, evil\\x1b[2J
  x[78]  Go\\n: r\\u{202e}; 1 connection
`,
  );
  const [first] = undecoded;
  const many = formatSummaryText({
    ...nothing,
    undecoded: Array.from({ length: 41 }, () => first ?? assert.fail()),
  });
  assert.ok(many.endsWith('\nand 1 more\n'));
  assert.doesNotMatch(formatSummaryText({ ...nothing, undecoded: [] }), /TLS/);
});

test('what was lost as a whole is told, and that nobody knows what it was', () => {
  const text = formatSummaryText({ ...nothing, unseen: { streams: 2, bytes: 12345 } });
  assert.match(text, /\nunseen {4}12\.1 KiB, all of 2 streams: lost before it was known what it is\n$/);
});

test('HTTP exchanges are counted, and what was seen again and shown once', () => {
  const frames = { request: 2, response: 1, http: 1 };
  const text = formatSummaryText({ ...nothing, frames, repeats: { replayed: 1200, bothEnds: 3 } });
  assert.match(text, /^captured {2}4 frames, .*\nframes {4}2 request, 1 response, 1 http\n/);
  assert.match(
    text,
    /\nrepeats {3}1,200 sent again to a client that resumed, 3 seen at both ends of TLS; shown once\n/,
  );
  assert.match(
    formatSummaryText({ ...nothing, repeats: { replayed: 0, bothEnds: 3 } }),
    /\nrepeats {3}3 seen at both ends of TLS; shown once\n/,
  );
  assert.doesNotMatch(formatSummaryText({ ...nothing, repeats: { replayed: 0, bothEnds: 0 } }), /repeats/);
});

test('long tables are cut, and say so', () => {
  const row = { calls: 1, errors: 0, p50: 1, p95: 1, max: 1 };
  const tools = Array.from({ length: 50 }, (_, index) => ({ ...row, name: `t${index}` }));
  const text = formatSummaryText({ ...nothing, tools });
  assert.ok(text.includes('t39') && !text.includes('t40') && text.endsWith('\nand 10 more\n'));
});
