// SPDX-License-Identifier: Apache-2.0
/** Who runs as whom, and what is said where the kernel refuses. */
import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  childrenOf,
  finish,
  mcpspy,
  type Running,
  start,
  status,
  TALK,
  talker,
  until,
  watching,
} from '../support/command.ts';
import { cannotCapture, MCPSPY, SPY, scratch } from '../support/mcpspy.ts';

const directory = scratch();
const kernel = { skip: cannotCapture };
const ids = (pid: number, field: string) => status(pid, field).split(/\s+/).filter(Boolean);

/** An account of the machine's own with a home and a group besides its own, or one that nobody knows. */
const KNOWN = { SUDO_UID: '5', SUDO_GID: '60', SUDO_USER: 'games' };
const UNKNOWN = { SUDO_UID: '12345', SUDO_GID: '23456', SUDO_USER: 'somebody' };
const behind = (user: object): NodeJS.ProcessEnv => ({ ...process.env, ...user });

/** `mcpspy run` of a command that waits for its input to end. */
async function waiting(env: NodeJS.ProcessEnv): Promise<Running> {
  const running = start([...SPY, 'run', '-q', '--', '/bin/sh', '-c', 'echo ready; exec cat'], { env });
  await until(() => running.stdout().includes('ready'), 'the command');
  return running;
}

for (const [who, env, uid] of [
  ['nobody when root starts it', process.env, '65534'],
  ['the user behind sudo', behind(KNOWN), '5'],
  ['a user without an account', behind(UNKNOWN), '12345'],
] as const) {
  test(`the monitor runs as ${who}, without capabilities; only the sensor is root`, kernel, async () => {
    const running = await waiting(env);
    assert.deepEqual(new Set(ids(running.pid, 'Uid')), new Set([uid]));
    assert.equal(new Set(ids(running.pid, 'Gid')).has('0'), false);
    assert.deepEqual(ids(running.pid, 'Groups'), []);
    for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'])
      assert.match(status(running.pid, set), /^0+$/, set);
    assert.equal(status(running.pid, 'NoNewPrivs'), '1');
    const [sensor = 0, ...others] = childrenOf(running.pid);
    assert.deepEqual(others, []);
    assert.equal(ids(sensor, 'Uid')[1], '0');
    const [command = 0] = childrenOf(sensor);
    assert.equal(ids(command, 'Uid')[1], env === process.env ? '0' : uid);
    assert.equal(status(command, 'NoNewPrivs'), '0');
    running.child.stdin?.end();
    assert.equal((await running.ended).code, 0);
  });
}

test('a watch gives up root, too', kernel, async () => {
  const peer = await talker();
  const spy = await watching(peer.pid, [], { env: behind(KNOWN) });
  assert.deepEqual(new Set(ids(spy.pid, 'Uid')), new Set(['5']));
  spy.child.kill('SIGINT');
  await spy.ended;
  peer.child.kill();
});

const IDENTITY = ['/bin/sh', '-c', 'id -u; id -g; id -G; echo "$HOME $USER $LOGNAME"'];

test('behind sudo, CMD is the user: ids, groups, HOME', kernel, async () => {
  const known = await mcpspy(['run', '-q', '--', ...IDENTITY], { env: behind(KNOWN) });
  const home = readFileSync('/etc/passwd', 'utf8').match(/^games:.*:(.*):[^:]*$/m)?.[1];
  const groups = (await finish(['setpriv', '--reuid=5', '--regid=60', '--init-groups', 'id', '-G'])).stdout;
  assert.equal(known.stdout, `5\n60\n${groups}${home} games games\n`);
  const unknown = await mcpspy(['run', '-q', '--', ...IDENTITY], { env: behind(UNKNOWN) });
  assert.equal(unknown.stdout, '12345\n23456\n23456\n/ somebody somebody\n');
});

test("behind sudo, the file is the user's, and root's rights do not open it", kernel, async () => {
  chmodSync(directory, 0o755);
  const folder = join(directory, 'theirs');
  mkdirSync(folder);
  chownSync(folder, 12345, 23456);
  const file = join(folder, 'out');
  assert.equal((await mcpspy(['run', '-q', '-o', file, '--', ...TALK], { env: behind(UNKNOWN) })).code, 0);
  const { uid, gid, mode } = statSync(file);
  assert.deepEqual([uid, gid, mode & 0o777], [12345, 23456, 0o600]);
  const refused = await mcpspy(['run', '-q', '-o', '/root/mcpspy-test', '--', 'true'], {
    env: behind(UNKNOWN),
  });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /permission denied/);
});

/** Python, because Node cannot install a filter for the programs it becomes. */
const SECCOMP = `
import ctypes, os, platform, struct, sys
number = 321 if platform.machine() == 'x86_64' else 280
ops = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *op) for op in ops))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(ops), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, program, 0, 0) != 0: sys.exit('no seccomp here')
os.execv(sys.argv[1], sys.argv[1:])
`;

const REFUSALS: readonly (readonly [string, readonly string[], RegExp])[] = [
  [
    'no capabilities at all',
    ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'],
    /refused.*CAP_BPF.*--privileged/,
  ],
  [
    'a lack of CAP_SYS_ADMIN',
    ['setpriv', '--bounding-set=-sys_admin', '--'],
    /refused.*lacks CAP_SYS_ADMIN;/,
  ],
  [
    'a user namespace',
    ['unshare', '--user', '--map-root-user', '--'],
    /refused.*user namespace.*on the host/,
  ],
  ['a seccomp filter', ['python3', '-c', SECCOMP], /refused.*seccomp.*seccomp=unconfined/],
];

for (const [what, prefix, about] of REFUSALS) {
  test(`${what} ends run and doctor with status 3 and the fix`, kernel, async (context) => {
    const usable = await finish([...prefix, '/bin/true']);
    if (usable.code !== 0) return context.skip(usable.stderr.trim());
    const result = await finish([...prefix, MCPSPY, 'run', '--', 'echo', 'never']);
    const [sentence = '', json = '{}'] = result.stderr.split('\n');
    assert.equal(result.code, 3, result.stderr);
    assert.match(sentence, /^mcpspy: \S/);
    assert.match(sentence, about);
    assert.equal(JSON.parse(json).error.code, 3);
    assert.equal(result.stdout, '');
    const doctor = await finish([...prefix, MCPSPY, 'doctor']);
    assert.equal(doctor.code, 3, doctor.stdout);
    assert.match(doctor.stdout, /^fail .*— fix: /m);
  });
}
