// SPDX-License-Identifier: Apache-2.0
/** Which TCP connections a process holds, from /proc/PID/fd (proc_pid_fd(5)) and /proc/PID/net/tcp. */
import { readdirSync, readlinkSync } from 'node:fs';
import { tcpTable } from './tcp-sockets.ts';

/** The socket of a connection. */
export interface OpenSocket {
  readonly fd: number;
  /** As the link reads: `socket:[INODE]`. */
  readonly link: string;
}

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** Those that it holds now, of TCP and connected; none when it is gone. */
export function openConnections(pid: number): OpenSocket[] {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
  const sockets = names.flatMap((name) => {
    const fd = Number(name);
    const link = linkOf(pid, fd);
    return link?.startsWith('socket:') ? [{ fd, link }] : [];
  });
  if (!sockets.length) return [];
  const connected = new Set(tcpTable(pid).connections.map(({ inode }) => inode));
  return sockets.filter(({ link }) => connected.has(Number(link.slice('socket:['.length, -1))));
}

/** Is one of these still open, by the same number? */
export function anyOpen(pid: number, sockets: readonly OpenSocket[]): boolean {
  return sockets.some(({ fd, link }) => linkOf(pid, fd) === link);
}
