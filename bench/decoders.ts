// SPDX-License-Identifier: Apache-2.0
/** Our decoders on one processor, against JSON.parse on the same messages. */
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { runJson } from './measure.ts';
import { ROOT } from './monitors.ts';
import { factor, spread } from './table.ts';

/** Name in the table, and what bench/peers/decode.ts is told. */
const KINDS: readonly (readonly [name: string, args: readonly string[]])[] = [
  ['JSON.parse alone', ['parse']],
  ['from UTF-8, JSON.parse', ['text']],
  ['HTTP/1', ['http1']],
  ['HTTP/1 + JSON', ['http1', 'json']],
  ['HTTP/2', ['http2']],
  ['HTTP/2 + JSON', ['http2', 'json']],
  ['SSE', ['sse']],
  ['SSE + JSON', ['sse', 'json']],
];

export async function decoders({ rounds, table }: Bench): Promise<void> {
  const speeds = new Map<string, number[]>(KINDS.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, args] of KINDS) {
      // With the monitor's own setting of the garbage collector (bin/mcpspy).
      const command = [
        process.execPath,
        '--max-semi-space-size=2',
        join(ROOT, 'bench/peers/decode.ts'),
        ...args,
      ];
      speeds.get(name)?.push((await runJson(command))['mb_per_s'] ?? 0);
    }
  const [base = []] = speeds.values();
  for (const [name, each] of speeds)
    table.row('decoding MCP', name, spread(each, 'MB/s'), factor(each, base));
}
