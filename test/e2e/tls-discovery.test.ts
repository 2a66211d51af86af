// SPDX-License-Identifier: Apache-2.0
/**
 * TLS libraries are found wherever they come from: by the file that a process has really mapped, not by its path, in
 * processes that run already, that have just been started, or that load the library late.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { makeCertificate } from '../support/http-stage.ts';
import { attach, type CaptureResult, cannotCapture, captureRun, scratch } from '../support/mcpspy.ts';
import { collect } from '../support/run.ts';
import { assertTlsMessages, compileTlsCalls, portsOf, textsOf } from '../support/tls-calls.ts';

const skip = cannotCapture;
const SIZES = [10, 100, 1000, 10_000];
const directory = scratch();
const { certificate, key } = makeCertificate();
let dynamic = '';
let late = '';
let library = '';

before(() => {
  if (skip) return;
  dynamic = compileTlsCalls(directory, 'dynamic') ?? '';
  late = compileTlsCalls(directory, 'late') ?? '';
  library = compileTlsCalls(directory, 'library') ?? '';
});

const talk = (way: string) => [certificate, key, way, ...SIZES.map(String)];

interface Peer {
  readonly pid: number;
  /** Where it has mapped libssl: a line of /proc/PID/maps. */
  readonly mapped: string;
}

/** A peer that waits, what is done `meanwhile`, and what `--pid` sees of it from then on. */
async function attachTo(
  [file = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv = {},
  meanwhile: (peer: Peer) => void = () => {},
): Promise<{ capture: CaptureResult; output: string }> {
  const peer = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  try {
    await new Promise<void>((resolve, reject) => {
      peer.stdout.on('data', (chunk) => {
        output += chunk;
        if (output.includes('waiting')) resolve();
      });
      peer.once('exit', () => reject(new Error('the peer ended')));
    });
    const pid = peer.pid ?? 0;
    const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
    meanwhile({ pid, mapped: maps.find((line) => /r-xp .*libssl/.test(line)) ?? '' });
    const attached = await attach([pid]);
    peer.stdin.end('\n');
    const capture = await attached.ended();
    assert.equal(capture.code, 0, capture.stderr);
    return { capture, output };
  } finally {
    peer.kill('SIGKILL');
  }
}

/** Half of a conversation, from where its peer waits. */
async function assertSecondHalf(
  env: NodeJS.ProcessEnv,
  meanwhile: (peer: Peer) => void,
  prefix: readonly string[] = [],
  program = dynamic,
): Promise<void> {
  const { capture, output } = await attachTo([...prefix, program, ...talk('wait')], env, meanwhile);
  assertTlsMessages(capture, textsOf(SIZES.slice(2), 2), portsOf(output));
}

/** A copy of the libraries, for one process alone. */
function ownLibraries(): { libraries: string; env: NodeJS.ProcessEnv } {
  const libraries = mkdtempSync(join(directory, 'libraries-'));
  const used = spawnSync('ldd', [dynamic], { encoding: 'utf8' }).stdout;
  for (const [, name = '', path = ''] of used.matchAll(/^\s*(lib(?:ssl|crypto)\S*) => (\S+)/gm))
    copyFileSync(path, join(libraries, name));
  return { libraries, env: { LD_LIBRARY_PATH: libraries } };
}

/** In a mount namespace of its own, after these commands of the shell. */
const inside = (commands: string) => ['unshare', '--mount', '/bin/sh', '-ec', `${commands}\nexec "$@"`, 'sh'];

/** Why not, or false. */
function cannotMount(commands: string): string | false {
  const [file = '', ...args] = inside(commands);
  return spawnSync(file, [...args, 'true']).status === 0 ? false : 'not possible here';
}

const deviceOf = (mapped: string) => mapped.split(/\s+/)[3] ?? '';

test('a connection that was open before is followed from its next message', { skip }, async () => {
  await assertSecondHalf({}, () => {});
});

test('a connection that was open before and is used long after another one has its socket known from the first message', {
  skip,
}, async () => {
  const { capture, output } = await attachTo([dynamic, ...talk('idle')]);
  assertTlsMessages(capture, textsOf(SIZES), portsOf(output));
});

test('a running program that has to be searched for its functions is probed when mcpspy says that it watches', {
  skip,
}, async (context) => {
  const program = compileTlsCalls(directory, 'large');
  if (!program) return context.skip('no static OpenSSL here');
  await assertSecondHalf({}, () => {}, [], program);
});

test('and so is each of several that run it', { skip }, async (context) => {
  const program = compileTlsCalls(directory, 'large');
  if (!program) return context.skip('no static OpenSSL here');
  const peers = [0, 1, 2].map(() => spawn(program, talk('wait'), { stdio: ['pipe', 'pipe', 'inherit'] }));
  const outputs = peers.map((peer) => collect(peer));
  try {
    await Promise.all(peers.map((peer) => once(peer.stdout, 'data')));
    const attached = await attach(peers.map(({ pid }) => pid ?? 0));
    for (const peer of peers) {
      peer.stdin.end('\n');
      await once(peer, 'close');
    }
    const texts = textsOf(SIZES.slice(2), 2);
    assertTlsMessages(
      await attached.ended(),
      peers.flatMap(() => texts),
      outputs.flatMap(({ stdout }) => portsOf(stdout())),
    );
  } finally {
    for (const peer of peers) peer.kill('SIGKILL');
  }
});

test('a library that has been deleted is probed where it is mapped', { skip }, async () => {
  const { libraries, env } = ownLibraries();
  await assertSecondHalf(env, () => rmSync(libraries, { recursive: true }));
});

test('a library that has been replaced, as by an update: the old file is probed, which is the one in use', {
  skip,
}, async () => {
  const { libraries, env } = ownLibraries();
  await assertSecondHalf(env, () => {
    const file = join(libraries, 'libssl.so.3');
    copyFileSync('/bin/true', `${file}.new`);
    renameSync(`${file}.new`, file);
  });
});

test('a library that only another mount namespace has is probed there', { skip }, async (context) => {
  const { libraries, env } = ownLibraries();
  const there = mkdtempSync(join(directory, 'there-'));
  const commands = `mount -t tmpfs none '${there}'; cp '${libraries}'/* '${there}'`;
  if (cannotMount(commands)) return context.skip('no mount namespaces here');
  await assertSecondHalf(
    { ...env, LD_LIBRARY_PATH: there },
    () => rmSync(libraries, { recursive: true }),
    inside(commands),
  );
});

test('a file that is bound over another in a mount namespace: not the one that has the path outside', {
  skip,
}, async (context) => {
  const [seen, bound] = [ownLibraries(), ownLibraries()];
  for (const name of ['libssl.so.3', 'libcrypto.so.3']) copyFileSync('/bin/true', join(seen.libraries, name));
  const commands = `mount --bind '${bound.libraries}' '${seen.libraries}'`;
  if (cannotMount(commands)) return context.skip('no mount namespaces here');
  await assertSecondHalf(
    seen.env,
    ({ mapped }) => assert.ok(mapped.includes(join(seen.libraries, 'libssl')), mapped),
    inside(commands),
  );
});

/** Commands that lay an overlay over `lower`; what is written there lies on a file system of its own. */
function overlay(lower: string): { merged: string; commands: string } {
  const at = mkdtempSync(join(directory, 'overlay-'));
  const [merged, upper] = [join(at, 'merged'), join(at, 'upper')];
  for (const each of [merged, upper]) mkdirSync(each);
  const layers = `lowerdir=${lower},upperdir=${upper}/files,workdir=${upper}/work`;
  const commands = `mount -t tmpfs none '${upper}'; mkdir '${upper}/files' '${upper}/work'
    mount -t overlay none -o '${layers}' '${merged}'`;
  return { merged, commands };
}

test('a library in an overlay, as containers have it, though its maps name another device than its status', {
  skip,
}, async (context) => {
  const { libraries } = ownLibraries();
  const { merged, commands } = overlay(libraries);
  if (cannotMount(commands)) return context.skip('no overlays here');
  await assertSecondHalf(
    { LD_LIBRARY_PATH: merged },
    ({ pid, mapped }) => {
      const { dev } = statSync(`/proc/${pid}/root${join(merged, 'libssl.so.3')}`, { bigint: true });
      const [major = 0n, minor = 0n] = [(dev >> 8n) & 0xfffn, (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)];
      const device = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
      assert.notEqual(deviceOf(mapped), device, 'they are the same here: this tests nothing');
    },
    inside(commands),
  );
});

test('a library that was copied up in an overlay is another file, which is probed, too', {
  skip,
}, async (context) => {
  const { libraries } = ownLibraries();
  const { merged, commands } = overlay(libraries);
  if (cannotMount(commands)) return context.skip('no overlays here');
  await assertSecondHalf(
    { LD_LIBRARY_PATH: merged },
    ({ pid }) => {
      const { mtimeMs } = statSync(`/proc/${pid}/root${join(merged, 'libssl.so.3')}`);
      assert.equal(mtimeMs, 0);
      assert.notEqual(statSync(join(libraries, 'libssl.so.3')).mtimeMs, 0);
    },
    inside(`${commands}\n touch -d @0 '${merged}'/*`),
  );
});

/** At both ends, the client and the child that it forks: neither is found by what is known of the other. */
function assertBothEnds({ summary, messages }: CaptureResult): void {
  assert.equal(summary['repeats']?.both_ends, messages.length);
}

test('a library that a running process loads late (dlopen) is found then', { skip }, async () => {
  const { capture, output } = await attachTo([late, library, ...talk('plain')], { WAIT: '1' }, ({ mapped }) =>
    assert.equal(mapped, '', 'it is mapped already: this tests nothing'),
  );
  assertTlsMessages(capture, textsOf(SIZES), portsOf(output));
  assertBothEnds(capture);
});

test('the same in a process that was just started, twice, as two files with one library in them', {
  skip,
}, async () => {
  const again = `${library}-again`;
  copyFileSync(library, again);
  const capture = await captureRun([late, `${library},${again}`, ...talk('plain')]);
  assert.equal(capture.code, 0, capture.stderr);
  const connections = portsOf(capture.stdout);
  assert.equal(connections.length, 2);
  assertTlsMessages(capture, [...textsOf(SIZES), ...textsOf(SIZES)], connections);
  assertBothEnds(capture);
});
