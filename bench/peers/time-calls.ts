// SPDX-License-Identifier: Apache-2.0
/** Times `tools/call echo`, one call after the other, and prints one JSON object: microseconds. */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';

const WARM_UP = 500;

/** @param calls How many are timed, after 500 to warm up. */
export async function timeCalls(client: Client, calls: number): Promise<void> {
  const times: number[] = [];
  for (let call = 0; call < WARM_UP + calls; call++) {
    const start = performance.now();
    await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
    if (call >= WARM_UP) times.push((performance.now() - start) * 1000);
  }
  times.sort((a, b) => a - b);
  const at = (quantile: number) => times[Math.floor(calls * quantile)];
  console.log(JSON.stringify({ p50_us: at(0.5), p99_us: at(0.99) }));
}
