// SPDX-License-Identifier: Apache-2.0
/** `sh scripts/node.sh fuzz/show.ts FILE…`: what a regression case gives, whole and cut. */
import { readFileSync } from 'node:fs';
import { readCase } from './input.ts';
import { cutter, uncut } from './target.ts';
import { TARGETS } from './targets/all.ts';

for (const file of process.argv.slice(2)) {
  const { target: name, cuts, input } = readCase(readFileSync(file, 'utf8'));
  const target = TARGETS.find((each) => each.name === name);
  if (!target) throw new Error(`there is no target ${name}`);
  const say = (text: string) => process.stdout.write(`${text}\n`);
  say(`${file}: flags ${input.flags}`);
  for (const { kind, side, bytes } of input.calls)
    say(`${kind} ${side} ${JSON.stringify(bytes.toString('latin1'))}`);
  say(`--- whole\n${await target.run(input, uncut)}`);
  say(`--- cut\n${await target.run(input, cutter(cuts))}`);
}
