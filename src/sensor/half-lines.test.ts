// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { HalfLines } from './half-lines.ts';

const directory = mkdtempSync(join(tmpdir(), 'mcpspy-test-'));
after(() => rmSync(directory, { recursive: true }));
const path = join(directory, 'file');

/** What is left of a file after its writer is gone. */
function cut(text: string, flags = 'a'): string {
  writeFileSync(path, text);
  const fd = openSync(path, flags);
  const files = new HalfLines();
  files.hold(process.pid, [fd]);
  closeSync(fd);
  files.cut();
  return readFileSync(path, 'utf8');
}

describe('the part of a line at the end of a file', () => {
  test('is taken away, however long it is', () => {
    assert.equal(cut('one\ntwo\nthr'), 'one\ntwo\n');
    assert.equal(cut(`one\n${'x'.repeat(300_000)}`), 'one\n');
    assert.equal(cut('x'.repeat(100_000)), '');
  });

  test('is none when the last line is whole', () => {
    for (const text of ['', 'one\n', `${'x'.repeat(70_000)}\n`]) assert.equal(cut(text), text);
  });

  test('is left alone in a file that the process may only read', () => {
    assert.equal(cut('one\ntw', 'r'), 'one\ntw');
  });

  test('is left to others once the process is done with the file', () => {
    writeFileSync(path, 'one\n');
    const fd = openSync(path, 'a');
    const files = new HalfLines();
    files.hold(process.pid, [fd]);
    closeSync(fd);
    files.hold(process.pid, []);
    writeFileSync(path, 'one\ntwo');
    files.cut();
    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo');
  });

  test('is nobody’s where there is no such descriptor, or no file behind it', () => {
    const files = new HalfLines();
    files.hold(process.pid, [9999, 1, openSync('/dev/null', 'w')]);
    files.cut();
  });
});
