// SPDX-License-Identifier: Apache-2.0
/** Holds every line of a capture against the contract in docs/. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { OutputLine } from './mcpspy.ts';

const schema = JSON.parse(readFileSync(new URL('../../docs/output.schema.json', import.meta.url), 'utf8'));
const ajv = new Ajv2020({ allowUnionTypes: true });
const validate = ajv.compile(schema);

/** What the contract has against this line; `undefined` when it is as the contract says. */
export function objectionTo(line: OutputLine): string | undefined {
  if (validate(line)) return undefined;
  // Of the whole schema's errors most are about kinds that the line does not want to be.
  const ofKind = ajv.getSchema(`${schema.$id}#/$defs/${line['kind']}`);
  ofKind?.(line);
  return JSON.stringify(ofKind?.errors ?? 'a kind that is not known');
}

/**
 * A header, a summary, and between them nothing but what the schema knows, numbered without a hole.
 * @param isPart They are lines from between.
 */
export function assertOutput(lines: readonly OutputLine[], isPart = false): void {
  let seq = 0;
  for (const [index, line] of lines.entries()) {
    // Not the line itself in the report: it may be of 100 MB.
    const objection = objectionTo(line);
    if (objection !== undefined) assert.fail(`line ${index + 1} (${line['kind']}): ${objection}`);
    if ('seq' in line) assert.equal(line['seq'], ++seq, `line ${index + 1}`);
  }
  if (isPart) return;
  assert.equal(lines[0]?.['kind'], 'capture');
  assert.equal(lines.at(-1)?.['kind'], 'summary');
  const kinds = new Set(lines.slice(1, -1).map((line) => line['kind']));
  assert.ok(!kinds.has('capture') && !kinds.has('summary'));
}
