// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FENTRY_PROGRAMS, planHooks } from './backend.ts';

/** Functions of a kernel 6.12, without those that the plan should do without. */
const COMMON = [
  'unix_stream_sendmsg',
  'unix_stream_recvmsg',
  'unix_seqpacket_sendmsg',
  'unix_seqpacket_recvmsg',
  'tcp_sendmsg',
  'tcp_recvmsg',
  'do_splice',
];
const kernel = (...names: string[]) => {
  const has = new Set(names);
  return (name: string) => has.has(name);
};

test('an older kernel has one pair of functions for pipes, a newer one another', () => {
  const older = planHooks(kernel(...COMMON, 'pipe_read', 'pipe_write'));
  const newer = planHooks(
    kernel(...COMMON, 'anon_pipe_read', 'anon_pipe_write', 'fifo_pipe_read', 'fifo_pipe_write'),
  );
  const chosen = (plan: typeof older) => plan.hooks.slice(0, 2).map((hook) => hook.function);
  assert.deepEqual(chosen(older), ['pipe_read', 'pipe_write']);
  assert.deepEqual(chosen(newer), ['anon_pipe_read', 'anon_pipe_write']);
});

test('without a function that moves bytes there is no such back end', () => {
  const plan = planHooks(kernel(...COMMON, 'pipe_read'));
  assert.match(plan.refusal ?? '', /anon_pipe_write or pipe_write/);
  assert.deepEqual(plan.hooks, []);
});

test('what a kernel lacks besides is told, and no hook is planned for it', () => {
  const plan = planHooks(kernel(...COMMON, 'pipe_read', 'pipe_write', 'do_accept'));
  assert.equal(plan.refusal, undefined);
  assert.ok(plan.hooks.some(({ exit }) => exit === 'accepted'));
  assert.ok(!plan.hooks.some(({ exit }) => exit === 'pipe_born'));
  assert.ok(plan.missing.includes('the birth of pipes'));
  assert.ok(!plan.missing.includes('the birth of accepted connections'));
});

test('every program of this back end has a function', () => {
  const source = (name: string) => readFileSync(new URL(`../../bpf/${name}`, import.meta.url), 'utf8');
  const expand = (text: string) => [
    ...[...text.matchAll(/^FILE_CALL\((\w+),/gm)].flatMap(([, name]) => [`${name}_entry`, `${name}_exit`]),
    ...[...text.matchAll(/^SOCKET_CALLS\((\w+),/gm)].flatMap(([, name]) =>
      ['send', 'receive'].flatMap((way) => [`${name}_${way}_entry`, `${name}_${way}_exit`]),
    ),
    ...[...text.matchAll(/^SEC\("f(?:entry|exit)"\)\nint (\w+)\(/gm)].map(([, name = '']) => name),
  ];
  assert.deepEqual(
    [...expand(source('fentry.bpf.c')), ...expand(source('fentry-calls.bpf.c'))].sort(),
    [...FENTRY_PROGRAMS].sort(),
  );
});
