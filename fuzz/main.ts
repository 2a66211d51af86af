// SPDX-License-Identifier: Apache-2.0
/** `npm run fuzz -- [TARGET…] [--executions N] [--seed N]`: what is found is shown, and kept as a regression case. */
import { parseArgs } from 'node:util';
import { COVERS } from './covers.ts';
import { fuzz, keep } from './run.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    executions: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const names = Object.keys(COVERS);
const [executions, seed] = [Number(values.executions), Number(values.seed)];
const unknown = positionals.find((name) => !names.includes(name));
if (unknown !== undefined || !Number.isSafeInteger(executions) || !Number.isSafeInteger(seed)) {
  process.stderr.write(
    `usage: npm run fuzz -- [TARGET…] [--executions N] [--seed N]\ntargets: ${names.join(' ')}\n`,
  );
  process.exit(2);
}
process.stdout.write(`seed ${seed}\n`);
for (const name of positionals.length ? positionals : names) {
  const start = performance.now();
  const report = await fuzz(name, executions, seed, true);
  const seconds = (performance.now() - start) / 1000;
  const { corpus, covered, finding } = report;
  process.stdout.write(
    `${name.padEnd(12)} ${report.executions} executions, ${Math.round(report.executions / seconds)}/s, ` +
      `${corpus} inputs kept, ${covered} characters of source executed\n`,
  );
  if (!finding) continue;
  process.exitCode = 1;
  process.stdout.write(`${finding.what}\nkept as ${keep(name, finding)}\n`);
}
