// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { surveyTls, type TlsOfProcess } from './tls-survey.ts';

const isRoot = process.getuid?.() === 0;
const directory = mkdtempSync(join(tmpdir(), 'mcpspy-survey-'));
const children: ChildProcess[] = [];
after(async () => {
  for (const child of children) {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.kill('SIGKILL')) await gone;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** A program that says that it runs, and waits. `declarations`: beside its main(). */
function build(name: string, declarations: string, options: readonly string[] = []): string {
  const file = join(directory, name);
  const source = `#include <unistd.h>
    ${declarations}
    int main(void) { return write(1, "x", 1) + pause(); }`;
  const gcc = spawnSync('gcc', [...options, '-o', file, '-x', 'c', '-'], { input: source, encoding: 'utf8' });
  assert.equal(gcc.status, 0, gcc.stderr);
  return file;
}

/** Its pid, once it runs. */
async function start(file: string, prefix: readonly string[] = []): Promise<number> {
  const [program = file, ...args] = [...prefix, file];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error(`${file} ended`)));
  });
  return child.pid ?? 0;
}

const OPENSSL = 'void SSL_read(void) {} void SSL_write(void) {}';
const RUSTLS = 'const char text[] = "/registry/src/x/rustls-0.23.1/src/conn.rs";';

const told = ({ libraries }: TlsOfProcess) => libraries.map(({ library, readable }) => [library, readable]);

test('processes are told with the libraries in them: those that can be read, and those that cannot, with a reason', async () => {
  const plain = await start(build('has-none', ''));
  const readable = await start(build('has-openssl', OPENSSL));
  const stripped = await start(build('has-rustls', RUSTLS, ['-s']));
  const both = await start(build('has-both', OPENSSL + RUSTLS));
  const survey = await surveyTls([plain, readable, stripped, both, 2 ** 22 + 1]);
  assert.deepEqual([survey.looked, survey.hidden], [4, 0]);
  assert.deepEqual(
    survey.processes.map((each) => [each.process.pid, each.process.comm, told(each), each.unknown]),
    [
      [readable, 'has-openssl', [['OpenSSL', true]], undefined],
      [stripped, 'has-rustls', [['rustls', false]], undefined],
      [
        both,
        'has-both',
        [
          ['OpenSSL', true],
          ['rustls', false],
        ],
        undefined,
      ],
    ],
  );
  const reasons = survey.processes.flatMap(({ libraries }) => libraries).filter((each) => !each.readable);
  assert.ok(reasons.every(({ reason }) => reason));
});

test('what there was no time for is not known, which is not the same as nothing', async () => {
  const pid = await start(build('has-large', `const char text[${4 << 20}] = { 1 };`, ['-s']));
  const [only] = (await surveyTls([pid], -1)).processes;
  assert.deepEqual(only?.libraries, []);
  assert.match(only?.unknown ?? '', /^there was no time to search \/.*/);
  assert.deepEqual((await surveyTls([pid])).processes, []);
});

test('a process that ends while it is looked at has nothing that is not known', async () => {
  const pid = await start(build('has-ended', `const char text[${64 << 20}] = { 1 };`, ['-s']));
  const survey = surveyTls([pid]);
  // The program is being searched; its libraries come then.
  process.kill(pid, 'SIGKILL');
  assert.deepEqual((await survey).processes, []);
});

test('a program that has been deleted is looked at all the same', {
  skip: isRoot ? false : 'not root',
}, async () => {
  const file = build('has-gone', OPENSSL);
  const pid = await start(file);
  rmSync(file);
  const [only] = (await surveyTls([pid])).processes;
  assert.deepEqual(only && told(only), [['OpenSSL', true]]);
});

test('another user sees only that there are processes', { skip: isRoot ? false : 'not root' }, async () => {
  const pid = await start(build('has-secret', OPENSSL));
  const module = new URL('tls-survey.ts', import.meta.url);
  const script = `import('${module}').then(async (all) => console.log(JSON.stringify(await all.surveyTls([${pid}]))))`;
  const { stdout, stderr } = spawnSync(
    'setpriv',
    ['--reuid=65534', '--regid=65534', '--clear-groups', '--', process.execPath, '-e', script],
    { encoding: 'utf8', cwd: '/' },
  );
  assert.deepEqual(JSON.parse(stdout || stderr), { processes: [], looked: 0, hidden: 1 });
});

test('one of its own it looks at without privileges', { skip: isRoot ? false : 'not root' }, async () => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
  spawnSync('chmod', ['755', directory]);
  const pid = await start(build('has-own', OPENSSL), nobody);
  const module = new URL('tls-survey.ts', import.meta.url);
  const script = `import('${module}').then(async (all) => console.log(JSON.stringify(await all.surveyTls([${pid}]))))`;
  const { stdout, stderr } = spawnSync(
    nobody[0] ?? '',
    [...nobody.slice(1), process.execPath, '-e', script],
    {
      encoding: 'utf8',
      cwd: '/',
    },
  );
  assert.equal(stderr, '');
  const [only, ...others] = JSON.parse(stdout).processes;
  assert.deepEqual(others, []);
  assert.equal(only.process.pid, pid);
  assert.deepEqual(told(only), [['OpenSSL', true]]);
});
