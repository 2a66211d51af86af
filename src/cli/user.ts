// SPDX-License-Identifier: Apache-2.0
/** Who started us, and how the monitor stops being root. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import type { Account } from '../sensor/messages.ts';
import { CliError, EXIT } from './errors.ts';

/** The first account in the lines of passwd(5) that matches. */
function find(lines: string, matches: (fields: readonly string[]) => boolean): Account | undefined {
  for (const line of lines.split('\n')) {
    const fields = line.split(':');
    const [name, , uid, gid, , home] = fields;
    if (fields.length >= 7 && name && matches(fields))
      return { name, uid: Number(uid), gid: Number(gid), home: home || '/', listed: true };
  }
  return undefined;
}

/** The name or uid `key` in /etc/passwd; getent(1), which is slower, knows the accounts of directory services. */
function lookUp(key: string, field: 0 | 2): Account | undefined {
  const matches = (fields: readonly string[]) => fields[field] === key;
  const local = find(readFileSync('/etc/passwd', 'utf8'), matches);
  return local ?? find(spawnSync('getent', ['passwd', key], { encoding: 'utf8' }).stdout ?? '', matches);
}

let invoking: { readonly user: Account | undefined } | undefined;

/** The user behind sudo; `undefined` when root itself started us. */
export function invokingUser(): Account | undefined {
  invoking ??= { user: behindSudo() };
  return invoking.user;
}

function behindSudo(): Account | undefined {
  const uid = Number(process.env['SUDO_UID']);
  const gid = Number(process.env['SUDO_GID']);
  if (!Number.isInteger(uid) || !Number.isInteger(gid) || uid <= 0) return undefined;
  const known = lookUp(String(uid), 2);
  if (known) return { ...known, gid };
  return { uid, gid, name: process.env['SUDO_USER'] ?? String(uid), home: '/', listed: false };
}

/** The account the monitor runs as when there is nobody else to be. */
export function unprivileged(): Account {
  return lookUp('nobody', 0) ?? { uid: 65534, gid: 65534, name: 'nobody', home: '/', listed: false };
}

const PR_SET_NO_NEW_PRIVS = 38;

/**
 * Gives up root for good: from here on this process handles bytes that others chose.
 * @throws CliError when the kernel does not let us.
 */
export function dropPrivileges(user: Account | undefined): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = user ?? unprivileged();
  try {
    process.setgroups?.([]);
    process.setgid?.(gid);
    process.setuid?.(uid);
    const prctl = koffi.load('libc.so.6').func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  } catch (error) {
    throw new CliError(
      EXIT.captureFailed,
      `cannot give up root: ${(error as Error).message}; start mcpspy where setuid is allowed`,
    );
  }
  if (process.getuid?.() === 0 || process.geteuid?.() === 0)
    throw new CliError(
      EXIT.captureFailed,
      'cannot give up root: the ids did not change; start mcpspy where setuid is allowed',
    );
}
