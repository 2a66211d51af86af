// SPDX-License-Identifier: Apache-2.0
/** MCP over HTTP and HTTPS between two node processes, both watched: round trip and throughput. */
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { makeCertificate } from './certificate.ts';
import { median, removeLogs, runJson, takeSummary } from './measure.ts';
import { MCPSPY, ROOT } from './monitors.ts';
import { excess, factor, spread } from './table.ts';

/** Bytes of each body. */
const SIZE = 256 << 10;
/** Bodies a second in both directions together that have to be held without loss: 105 MB/s. */
const RATE = 400;
const SECONDS = 4;

export async function http(bench: Bench): Promise<void> {
  const { env } = makeCertificate(bench.directory);
  const schemes = [['HTTP', {}] as const, ['HTTPS', env] as const];
  for (const [scheme, variables] of schemes) await roundTrip(bench, scheme, variables);
  for (const [scheme, variables] of schemes) {
    const label = `256 KiB over ${scheme}`;
    await throughput(bench, `${label} at ${((RATE * SIZE) / 1e6).toFixed(0)} MB/s`, RATE, variables);
    await throughput(bench, `${label}, unbounded`, 0, variables);
  }
}

/** Unwatched and watched in turn, in every round. `captures`: what each capture says of itself. */
async function inTurn({ rounds, log }: Bench, peer: readonly string[], env: NodeJS.ProcessEnv) {
  const [name = '', ...args] = peer;
  const command = [process.execPath, join(ROOT, 'bench/peers', name), ...args];
  const plain: Record<string, number>[] = [];
  const watched: Record<string, number>[] = [];
  const captures: ReturnType<typeof takeSummary>[] = [];
  for (let round = 0; round < rounds; round++) {
    plain.push(await runJson(command, env));
    watched.push(await runJson([MCPSPY, 'run', '-q', '-o', log, '--', ...command], env));
    captures.push(takeSummary(log));
    removeLogs(log);
  }
  return { plain, watched, captures };
}

async function roundTrip(bench: Bench, scheme: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { plain, watched } = await inTurn(bench, ['http-echo-client.ts'], env);
  const label = `SDK tools/call echo over ${scheme}, p50`;
  const p50 = (results: typeof plain) => results.map((result) => result['p50_us'] ?? 0);
  for (const [name, results] of [['no monitor', plain] as const, ['mcpspy', watched] as const])
    bench.table.row(label, name, spread(p50(results), 'us'), excess(p50(results), p50(plain)));
}

async function throughput(bench: Bench, label: string, rate: number, env: NodeJS.ProcessEnv): Promise<void> {
  const peer = ['http-load.ts', 'client', String(SIZE), String(rate), String(SECONDS)];
  const { plain, watched, captures } = await inTurn(bench, peer, env);
  const bytes = (result: Record<string, number>) => (result['messages'] ?? 0) * SIZE;
  const speeds = (results: typeof plain) =>
    results.map((result) => bytes(result) / 1e6 / (result['seconds'] ?? 1));
  bench.table.row(label, 'no monitor', spread(speeds(plain), 'MB/s'), 'x 1.00');
  // Only whole messages count: what a gap has cut is not captured, though not all of it is lost.
  const kept = median(captures.map(({ captured }, round) => captured / bytes(watched[round] ?? {})));
  const lost = median(captures.map(({ lost }, round) => lost / 1e6 / (watched[round]?.['seconds'] ?? 1)));
  bench.table.row(
    label,
    'mcpspy',
    spread(speeds(watched), 'MB/s'),
    factor(speeds(watched), speeds(plain)),
    `${(kept * 100).toFixed(kept === 1 ? 0 : 2)} % captured, ` +
      `${(kept * median(speeds(watched))).toFixed(0)} MB/s; lost ${lost.toFixed(0)} MB/s`,
  );
}
