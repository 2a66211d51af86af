// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

/** Where the kernel's headers number the calls (Debian's linux-libc-dev). */
const HEADERS = {
  x86: '/usr/include/x86_64-linux-gnu/asm/unistd_64.h',
  arm64: '/usr/include/asm-generic/unistd.h',
} as const;

/** What the headers in bpf/ say for one architecture. */
function ours(arch: keyof typeof HEADERS): Map<string, number> {
  const text = ['kernel.h', 'news.h']
    .map((name) => readFileSync(new URL(`../../bpf/${name}`, import.meta.url), 'utf8'))
    .join('');
  const parts = text.matchAll(
    /^#(?:el)?if defined\(__TARGET_ARCH_(\w+)\)\n((?:.*\n)*?)(?=#(?:elif|endif))/gm,
  );
  return new Map(
    [...parts]
      .filter(([, name]) => name === arch)
      .flatMap(([, , part = '']) => [...part.matchAll(/\bNR_(\w+)(?: =)? (\d+)/g)])
      .map(([, name = '', number]) => [name, Number(number)]),
  );
}

/** A call that counts bytes in 64 bits has a name of its own where 32 bits are possible, too. */
function kernels(file: string): Map<string, number> {
  const defines = readFileSync(file, 'utf8').matchAll(/^#define __NR(?:3264)?_(\w+) (\d+)$/gm);
  return new Map([...defines].map(([, name = '', number]) => [name, Number(number)]));
}

// When a call is missed at one end, the other end supplies its bytes: no capture tells that a number is wrong.
describe('the numbers of system calls in bpf/ are the kernel’s', () => {
  for (const [arch, file] of Object.entries(HEADERS) as [keyof typeof HEADERS, string][])
    test(arch, { skip: !existsSync(file) && `there is no ${file}` }, () => {
      const [found, known] = [ours(arch), kernels(file)];
      assert.ok(found.has('mmap') && found.has('sendmmsg'));
      for (const [name, number] of found) assert.equal(number, known.get(name), name);
    });
});
