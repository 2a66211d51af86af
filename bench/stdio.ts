// SPDX-License-Identifier: Apache-2.0
/** MCP over stdio: round trip and throughput, unwatched, watched, and with the tools one would use instead. */
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { median, removeLogs, runJson, takeSummary } from './measure.ts';
import { MONITORS, ROOT } from './monitors.ts';
import { excess, factor, spread } from './table.ts';

export async function stdio(bench: Bench): Promise<void> {
  await roundTrip(bench);
  await throughput(bench, 300, 100_000, 10, '300 B at 100,000 msg/s');
  await throughput(bench, 300, 0, 3, '300 B, unbounded');
  await throughput(bench, 256 << 10, 2000, 4, '256 KiB at 524 MB/s');
  await throughput(bench, 256 << 10, 0, 3, '256 KiB, unbounded');
}

/** Each monitor in turn, in every round; the values by monitor. */
async function inTurn(
  { rounds, log }: Bench,
  client: readonly string[],
  server: readonly string[],
  value: (result: Record<string, number>) => number,
) {
  const values = new Map<string, number[]>(MONITORS.map(({ name }) => [name, []]));
  const kept: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const monitor of MONITORS) {
      const result = await runJson(monitor.command(client, server, log));
      values.get(monitor.name)?.push(value(result));
      if (monitor.name === 'mcpspy') {
        const { captured, lost } = takeSummary(log);
        kept.push(captured / (captured + lost));
      }
      removeLogs(log);
    }
  }
  return { kept: median(kept), values };
}

async function roundTrip(bench: Bench): Promise<void> {
  const client = [process.execPath, join(ROOT, 'bench/peers/echo-client.ts')];
  const server = [
    process.execPath,
    join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js'),
    'stdio',
  ];
  const { values } = await inTurn(bench, client, server, (result) => result['p50_us'] ?? 0);
  const base = values.get('no monitor') ?? [];
  for (const [name, us] of values)
    bench.table.row('SDK tools/call echo, p50', name, spread(us, 'us'), excess(us, base));
}

/** As fast as it goes, and at the promised rate. */
async function throughput(
  bench: Bench,
  size: number,
  rate: number,
  seconds: number,
  label: string,
): Promise<void> {
  const client = [join(bench.peers, 'load'), 'client', String(size), String(rate), String(seconds)];
  const { kept, values } = await inTurn(
    bench,
    client,
    [join(bench.peers, 'load'), 'serve', String(size)],
    (result) => (result['messages'] ?? 0) / (result['seconds'] ?? 1),
  );
  const base = values.get('no monitor') ?? [];
  for (const [name, perSecond] of values) {
    const megabytes = (median(perSecond) * size) / 1e6;
    const loss =
      name === 'mcpspy'
        ? `${(kept * 100).toFixed(kept === 1 ? 0 : 2)} % captured, ${(kept * megabytes).toFixed(0)} MB/s`
        : '';
    bench.table.row(
      label,
      name,
      `${spread(perSecond, 'msg/s')}, ${megabytes.toFixed(0)} MB/s`,
      factor(perSecond, base),
      loss,
    );
  }
}
