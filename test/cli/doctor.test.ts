// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { finish, mcpspy } from '../support/command.ts';
import { cannotCapture, MCPSPY } from '../support/mcpspy.ts';

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
const NAMES = [
  ...['system', 'node', 'koffi', 'libbpf', 'BPF object', 'setpriv', 'unprivileged account'],
  ...[
    'root',
    'capabilities',
    'seccomp',
    'lockdown',
    'unprivileged BPF',
    'pid namespace',
    'memory',
    'memory lock',
    'BTF',
  ],
  ...[
    '32-bit processes',
    'ring buffer',
    'load',
    'attach',
    'back end',
    'io_uring',
    'TLS',
    'capture',
    'TLS libraries',
  ],
];

interface TlsReport {
  looked_at: number;
  hidden: number;
  readable: { pid: number; comm: string; libraries: string[] }[];
  unreadable: { pid: number; comm: string; library: string; reason: string }[];
}

interface Report {
  ok: boolean;
  exit_code: number;
  mcpspy_version: string;
  checks: { name: string; status: string; detail: string; fix?: string; tls?: TlsReport }[];
}

test('every line is a status, a name and a detail; failures have a fix', async () => {
  const { stdout, stderr } = await mcpspy(['doctor']);
  const lines = stdout.split('\n').slice(0, NAMES.length);
  assert.equal(stderr, '');
  for (const [index, line] of lines.entries()) {
    assert.match(line, /^(?:ok {2}|warn|fail|skip) [^:]+: \S/);
    assert.ok(line.slice(5).startsWith(`${NAMES[index]}: `), line);
    assert.equal(/ — fix: \S/.test(line), /^(?:warn|fail)/.test(line), line);
  }
});

test('a machine that can is told so', { skip: cannotCapture }, async () => {
  const { stdout, code } = await mcpspy(['doctor']);
  assert.equal(code, 0, stdout);
  assert.doesNotMatch(stdout, /^(?:fail|skip)/m);
  assert.match(stdout, /^ok {3}capture: .*arrived whole.*uid 65534, without capabilities$/m);
  assert.match(stdout, /This machine can\.\n$/);
});

test('--json is one object that says the same', async () => {
  const { stdout, code, stderr } = await mcpspy(['doctor', '--json']);
  const report = JSON.parse(stdout) as Report;
  assert.equal(stderr, '');
  assert.equal(stdout.trim().split('\n').length, 1);
  assert.deepEqual(
    report.checks.map(({ name }) => name),
    NAMES,
  );
  assert.equal(report.exit_code, code);
  assert.equal(report.ok, code === 0);
  for (const check of report.checks)
    assert.equal('fix' in check, ['warn', 'fail'].includes(check.status), check.name);
});

test('without privileges it fails with status 3 and skips what rests on them', {
  skip: cannotCapture,
}, async () => {
  const { stdout, code } = await finish([...NOBODY, MCPSPY, 'doctor', '--json']);
  const report = JSON.parse(stdout) as Report;
  const status = Object.fromEntries(report.checks.map((check) => [check.name, check.status]));
  assert.equal(code, 3);
  assert.equal(status['root'], 'fail');
  for (const name of ['capabilities', 'ring buffer', 'load', 'attach', 'capture'])
    assert.equal(status[name], 'skip', name);
  assert.equal(status['libbpf'], 'ok');
  assert.equal(report.checks.find(({ name }) => name === 'root')?.fix, 'run it with sudo');
});

test('colours only for a terminal', async () => {
  const { NO_COLOR: _, ...env } = process.env;
  const terminal = { ...env, TERM: 'xterm' };
  const run = (own: NodeJS.ProcessEnv) =>
    finish(['script', '-qec', `"${MCPSPY}" doctor`, '/dev/null'], { env: own });
  assert.ok((await run(terminal)).stdout.includes('\u001b[32mok'));
  assert.ok(!(await run({ ...terminal, NO_COLOR: '1' })).stdout.includes('\u001b['));
});

test('a pid namespace of its own is warned of', { skip: cannotCapture }, async (context) => {
  const prefix = ['unshare', '--pid', '--fork', '--mount-proc'];
  if ((await finish([...prefix, 'true'])).code !== 0) return context.skip('no pid namespaces here');
  assert.match((await finish([...prefix, MCPSPY, 'doctor'])).stdout, /^warn pid namespace: .*--pid=host/m);
});

test('processes that run are told with their TLS libraries: what can be read, and what cannot, with the reason', async (context) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const client = spawn('gron', [`https://127.0.0.1:${port}/`], { stdio: 'ignore' });
  const [socket] = await once(silent, 'connection');
  // It would wait for 10 s only.
  client.kill('SIGSTOP');
  context.after(() => {
    client.kill('SIGKILL');
    socket.destroy();
    silent.close();
  });
  const report = JSON.parse((await mcpspy(['doctor', '--json'])).stdout) as Report;
  const tls = report.checks.find(({ name }) => name === 'TLS libraries')?.tls;
  const go = tls?.unreadable.find(({ pid }) => pid === client.pid);
  assert.deepEqual([go?.comm, go?.library], ['gron', 'Go crypto/tls']);
  assert.match(go?.reason ?? '', /cannot be probed/);
  const own = tls?.readable.find(({ pid }) => pid === process.pid);
  assert.deepEqual([own?.comm, own?.libraries], ['node', ['OpenSSL']]);
  assert.ok(!tls?.readable.some(({ pid }) => pid === client.pid));
  const { stdout } = await mcpspy(['doctor']);
  assert.match(
    stdout,
    new RegExp(`^ {7}cannot     (?:.* )?gron\\[${client.pid}\\].*  Go crypto/tls: its functions`, 'm'),
  );
});

test('without privileges it looks at the processes of its user, and says that there are others', {
  skip: cannotCapture,
}, async () => {
  const { stdout } = await finish([...NOBODY, MCPSPY, 'doctor', '--json']);
  const check = (JSON.parse(stdout) as Report).checks.find(({ name }) => name === 'TLS libraries');
  assert.equal(check?.status, 'warn');
  assert.equal(check?.fix, 'run it with sudo');
  assert.ok((check?.tls?.hidden ?? 0) > 0);
  assert.ok(!check?.tls?.readable.some(({ pid }) => pid === process.pid));
});
