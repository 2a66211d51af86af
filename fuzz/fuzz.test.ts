// SPDX-License-Identifier: Apache-2.0
/** A short run of every target with a fixed seed, and what longer runs have found. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { COVERS, DECODES_NOTHING } from './covers.ts';
import { check } from './engine.ts';
import { calls, readCase, whole, writeCase } from './input.ts';
import { loopsOn } from './loops.ts';
import { fuzz, keep, REGRESSIONS } from './run.ts';
import type { Target } from './target.ts';
import { cutter } from './target.ts';
import { TARGETS } from './targets/all.ts';

const SOURCE = join(import.meta.dirname, '../src');
/** Each is run whole and cut. */
const EXECUTIONS = 2000;

describe('fuzzing', () => {
  test('has a target for each decoder, and knows its files', () => {
    assert.deepEqual(
      TARGETS.map(({ name }) => name),
      Object.keys(COVERS),
    );
    for (const file of Object.values(COVERS).flat()) assert.ok(existsSync(join(SOURCE, file)), file);
  });

  test('has a target for each file where decoders live, or a reason why not', () => {
    const files = ['protocols', 'http'].flatMap((room) =>
      readdirSync(join(SOURCE, room))
        .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
        .map((name) => `${room}/${name}`),
    );
    const covered = new Set(Object.values(COVERS).flat());
    const exempt = Object.keys(DECODES_NOTHING);
    assert.deepEqual(
      files.filter((file) => !covered.has(file) && !exempt.includes(file)),
      [],
      'decoders without a target',
    );
    assert.deepEqual(
      exempt.filter((file) => covered.has(file) || !files.includes(file)),
      [],
      'exempt, and covered or not there',
    );
  });

  for (const name of Object.keys(COVERS))
    test(`of ${name} finds nothing in ${EXECUTIONS} executions`, async () => {
      const { finding, executions } = await fuzz(name, EXECUTIONS, 1, false);
      assert.equal(finding?.what, undefined);
      assert.ok(executions >= EXECUTIONS);
    });

  for (const name of Object.keys(COVERS))
    test(`of ${name} reaches each of its files with its seeds alone`, async () => {
      const { unreached } = await fuzz(name, 1, 1, true);
      assert.deepEqual(unreached, []);
    });

  test('keeps what executes more, where that guides it', async () => {
    const { corpus, covered } = await fuzz('hello', 2000, 1, true);
    assert.ok(corpus > 3 && covered > 2000, `${corpus} inputs kept, ${covered} characters executed`);
  });

  test('what was found before is not found again', async () => {
    for (const file of existsSync(REGRESSIONS) ? readdirSync(REGRESSIONS) : []) {
      const { target: name, input, cuts } = readCase(readFileSync(join(REGRESSIONS, file), 'utf8'));
      const target = TARGETS.find((each) => each.name === name) ?? assert.fail(`${file}: no target ${name}`);
      assert.equal(await check(target, { input, cuts }), undefined, file);
    }
  });
});

describe('the fuzzer', () => {
  const broken = (run: Target['run']): Target => ({
    name: 'broken',
    tokens: [],
    steps: { perByte: 1, base: 1 },
    seeds: () => [],
    run,
  });
  const input = calls(5, [0, 'some bytes'], [1, 3], [1, '\xff']);

  test('sees what throws, and what depends on how it is cut', async () => {
    assert.equal(
      await check(
        broken(() => 'same'),
        { input, cuts: 1 },
      ),
      undefined,
    );
    const thrown = broken(() => {
      throw new Error('a fault');
    });
    assert.match((await check(thrown, { input, cuts: 1 })) ?? '', /^Error: a fault/);
    const counting = broken(({ calls: all }, cut) => `${all.map(({ bytes }) => cut(bytes).length)}`);
    assert.match(
      (await check(counting, { input, cuts: 1 })) ?? '',
      /^depends on how it is cut: line 0 is "1,1,1"/,
    );
  });

  test('reports and keeps an input that does not end', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mcpspy-fuzz-'));
    try {
      const targets = new URL('./loops.ts', import.meta.url);
      const { finding, executions } = await fuzz('loops', 1_000_000, 1, false, { targets, hangAfter: 500 });
      assert.ok(finding && executions > 0);
      assert.equal(finding.what, 'does not end within 500 ms');
      const file = keep('loops', finding, directory);
      assert.deepEqual(readdirSync(directory), [basename(file)]);
      const kept = readCase(readFileSync(file, 'utf8'));
      assert.deepEqual(kept, {
        target: 'loops',
        found: finding.what,
        cuts: finding.cuts,
        input: finding.input,
      });
      assert.ok(loopsOn(kept.input), 'what is kept is the input that did not end, not one before it');
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('cuts without losing or moving a byte', () => {
    const bytes = Buffer.from('0123456789'.repeat(20));
    for (let seed = 0; seed < 50; seed++) {
      const pieces = cutter(seed)(bytes, 13);
      assert.deepEqual(Buffer.concat(pieces), bytes);
      assert.ok((pieces[0]?.length ?? 0) >= 13);
    }
  });

  test('writes a case down as it was', () => {
    for (const each of [input, whole('x', 70_000)]) {
      const found = { target: 'lines', found: 'a fault', cuts: 7, input: each };
      assert.deepEqual(readCase(writeCase(found)), found);
    }
  });
});
