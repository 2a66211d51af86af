// SPDX-License-Identifier: Apache-2.0
/** The package: what is in it, and that installing it globally gives the same command, with no compiler. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { type Ended, finish, TALK } from '../support/command.ts';
import { cannotCapture, ROOT, scratch } from '../support/mcpspy.ts';

const directory = scratch();
/** A global prefix as npm lays it out: bin/mcpspy leads to lib/node_modules/mcpspy/bin/mcpspy. */
const prefix = join(directory, 'prefix');
const installed = join(prefix, 'lib', 'node_modules', 'mcpspy');
let files: string[] = [];

/** What a machine without compilers and without Node offers. */
const BARE = { PATH: bareBin(), HOME: '/' };

/** A folder with only those programs that bin/mcpspy and the test itself call. */
function bareBin(): string {
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  for (const name of ['sh', 'cat', 'readlink', 'uname', 'true', 'setpriv'])
    symlinkSync(`/usr/bin/${name}`, join(bin, name));
  return bin;
}

/** As `npm install -g ./mcpspy.tgz`, with the dependencies of this checkout: the tests need no network. */
async function install(tarball: string): Promise<void> {
  const unpacked = await finish(['tar', '-xzf', tarball, '-C', directory]);
  assert.equal(unpacked.code, 0, unpacked.stderr);
  mkdirSync(join(prefix, 'lib', 'node_modules'), { recursive: true });
  cpSync(join(directory, 'package'), installed, { recursive: true });
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
    readFileSync(join(installed, 'package.json'), 'utf8'),
  );
  const wanted = [...Object.keys(dependencies), ...Object.keys(optionalDependencies)];
  for (const name of [...wanted, '@koromix'])
    if (existsSync(join(ROOT, 'node_modules', name)))
      cpSync(join(ROOT, 'node_modules', name), join(installed, 'node_modules', name), { recursive: true });
  mkdirSync(join(prefix, 'bin'));
  symlinkSync('../lib/node_modules/mcpspy/bin/mcpspy', join(prefix, 'bin', 'mcpspy'));
}

const command = (...args: string[]): Promise<Ended> =>
  finish([join(prefix, 'bin', 'mcpspy'), ...args], { cwd: '/', env: BARE });

describe('npm pack', () => {
  before(async () => {
    const packed = await finish(['npm', 'pack', '--json', '--pack-destination', directory], { cwd: ROOT });
    assert.equal(packed.code, 0, packed.stderr);
    files = JSON.parse(packed.stdout)[0].files.map(({ path }: { path: string }) => path);
    const [tarball = ''] = readdirSync(directory).filter((name) => name.endsWith('.tgz'));
    await install(join(directory, tarball));
  });

  test('has the command, both BPF objects, their source and the licences', () => {
    for (const file of [
      ...['bin/mcpspy', 'dist/cli/main.js', 'dist/sensor/entry.js', 'package.json', 'LICENSE', 'LICENSE-BPF'],
      ...['dist/bpf/mcpspy-x86.bpf.o', 'dist/bpf/mcpspy-arm64.bpf.o', 'bpf/mcpspy.bpf.c'],
    ])
      assert.ok(files.includes(file), file);
  });

  test('has no tests and no TypeScript', () => {
    assert.deepEqual(
      files.filter((file) => /\.test\.|\.ts$|^(?:test|src|bench|demo|node_modules)\//.test(file)),
      [],
    );
  });

  test('asks for nothing to be compiled or run when installed', () => {
    const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
      assert.equal(scripts[name], undefined, name);
    assert.ok(!files.includes('binding.gyp'));
  });

  test('installed, says its version', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    assert.deepEqual(await command('--version'), {
      code: 0,
      signal: null,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  test('without what capturing needs, says so in one sentence', { skip: cannotCapture }, async () => {
    const koffi = join(installed, 'node_modules', 'koffi');
    renameSync(koffi, `${koffi}.away`);
    try {
      const { code, stderr } = await command('run', '--', 'true');
      assert.equal(code, 5);
      const [sentence, json, ...more] = stderr.trimEnd().split('\n');
      assert.match(sentence ?? '', /^mcpspy: cannot load all of mcpspy \(.*\); run "mcpspy doctor"/);
      assert.equal(JSON.parse(json ?? '').error.code, 5);
      assert.deepEqual(more, []);
    } finally {
      renameSync(`${koffi}.away`, koffi);
    }
  });

  test('installed, captures', { skip: cannotCapture }, async () => {
    assert.equal((await command('run', '-q', '--', 'true')).code, 0);
    const result = await command('run', '--', ...TALK);
    assert.match(result.stderr, /REQ.*tools\/list/);
    const doctor = await command('doctor');
    assert.equal(doctor.code, 0, doctor.stdout);
  });
});
