// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ElfFile } from '../../src/sensor/elf.ts';
import { bytesOf, type Input, whole } from '../input.ts';
import type { Target } from '../target.ts';

const SOURCE = `int variable = 1; int imported(void);
__attribute__((noinline)) int first(int a) { return a + variable; }
int second(int a) { return first(a) + imported(); }`;
const OPTIONS = ['-shared', '-fPIC', '-O1', '-nostdlib', '-Wl,-z,noseparate-code', '-Wl,--build-id=none'];

/** A library of a few KiB. */
function library(...options: readonly string[]): Input {
  const directory = mkdtempSync(join(tmpdir(), 'mcpspy-fuzz-'));
  try {
    const file = join(directory, 'x.so');
    const gcc = spawnSync('gcc', [...OPTIONS, ...options, '-o', file, '-x', 'c', '-'], {
      input: SOURCE,
      encoding: 'utf8',
    });
    assert.equal(gcc.status, 0, gcc.stderr);
    return whole(readFileSync(file));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const noPause = () => Promise.resolve();

export const elf: Target = {
  name: 'elf',
  tokens: [
    '\x7fELF\x02\x01\x01',
    'first\0',
    'second\0',
    Buffer.alloc(8, 0xff),
    Buffer.alloc(8),
    '\x06\0\0\0\0\0\0\0',
    '\x50\xe5\x74\x64',
  ],
  maxSize: 8192,
  steps: { perByte: 100, base: 60_000 },
  seeds: () => [
    library('-Wl,--hash-style=gnu'),
    library('-Wl,--hash-style=sysv', '-Wl,-soname,x.so'),
    library('-Wl,--hash-style=both', '-s'),
  ],
  async run(input) {
    const bytes = bytesOf(input);
    let read = 0;
    const file = ElfFile.open({
      read(offset, length) {
        assert.ok(length >= 0 && length <= 64 << 20, `a read of ${length} bytes`);
        const part = offset >= 0 ? bytes.subarray(offset, offset + length) : Buffer.alloc(0);
        read += part.length;
        return part;
      },
    });
    if (!file) return 'none';
    const names = ['first', 'second', 'imported', 'absent'];
    const found = [...file.functions(names), ...(await file.functionsBySymtab(names, noPause))];
    for (const { offset } of found) assert.ok(Number.isSafeInteger(offset) && offset >= 0);
    const needed = file.needed();
    const compilers = file.compilers();
    assert.ok(compilers.length <= 4096);
    for (const section of file.sections().slice(0, 20)) {
      const { found: texts } = await file.search(section, ['first', 'second'], 1 << 20, noPause);
      assert.ok(texts.size <= 2);
    }
    assert.ok(read < 300 * bytes.length + (1 << 20), `${read} bytes read`);
    return `${found.map(({ name, offset }) => `${name}@${offset}`)} ${needed} ${compilers}`;
  },
};
