// SPDX-License-Identifier: Apache-2.0
/** TCP sockets by their addresses, from /proc/PID/net/tcp and tcp6 (proc_pid_net(5)). */

import { readFileSync, readlinkSync } from 'node:fs';
import { formatIp } from '../source/address.ts';
import type { Address } from '../streams/frame.ts';
import { keepYoungest } from '../youngest.ts';
import type { TcpQuery } from './messages.ts';

/** A socket that is connected. */
export interface TcpConnection {
  readonly local: Address;
  readonly remote: Address;
  readonly inode: number;
}

/** The sockets of a network namespace. */
export interface TcpTable {
  readonly connections: readonly TcpConnection[];
  /** The one that has these addresses. */
  at(local: Address, remote: Address): TcpConnection | undefined;
}

interface Read extends TcpTable {
  /** By `performance.now()`, and how long it took; milliseconds. */
  readonly readAt: number;
  readonly took: number;
}

/** The kernel goes through all its table, some 10 ms, for each reading: one serves so many milliseconds … */
const FOUND_MS = 100;
/** … and for who is not found so many, or as long as it took: whoever asks asks again. */
const PAUSE_MS = 5;
const NAMESPACES_KEPT = 16;

/** By network namespace; the one read longest ago first. */
const kept = new Map<string, Read>();

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Inode of the socket that has these addresses, in the network namespace of `near`; `undefined` if there is none. */
export function findTcpSocket({ near, local, remote }: TcpQuery): number | undefined {
  const namespace = namespaceOf(near);
  if (namespace === undefined) return undefined;
  const table = kept.get(namespace);
  const found = table?.at(local, remote);
  if (table && performance.now() - table.readAt <= Math.max(found ? FOUND_MS : PAUSE_MS, table.took))
    return found?.inode;
  return read(near, namespace).at(local, remote)?.inode;
}

/** All in the network namespace of `near` that are connected and that somebody holds, as of now. */
export function tcpTable(near: number): TcpTable {
  const namespace = namespaceOf(near);
  return namespace === undefined ? tableOf([]) : read(near, namespace);
}

/** For each network namespace of these processes, its table as of now, read once. */
export function tcpTables(): (near: number) => TcpTable {
  const tables = new Map<string | undefined, TcpTable>();
  return (near) => {
    const namespace = namespaceOf(near);
    const table = tables.get(namespace) ?? tcpTable(near);
    tables.set(namespace, table);
    return table;
  };
}

function tableOf(connections: readonly TcpConnection[]): TcpTable {
  const byEnds = new Map(connections.map((each) => [endsOf(each.local, each.remote), each]));
  return { connections, at: (local, remote) => byEnds.get(endsOf(local, remote)) };
}

function endsOf(local: Address, remote: Address): string {
  return `${local.ip} ${local.port} ${remote.ip} ${remote.port}`;
}

function read(near: number, namespace: string): Read {
  const began = performance.now();
  const table = tableOf([`/proc/${near}/net/tcp`, `/proc/${near}/net/tcp6`].flatMap(connectionsIn));
  const now = performance.now();
  const entry = { ...table, readAt: now, took: now - began };
  kept.delete(namespace);
  kept.set(namespace, entry);
  keepYoungest(kept, NAMESPACES_KEPT);
  return entry;
}

/** TCP_LISTEN in include/net/tcp_states.h. */
const LISTEN = '0A';

function connectionsIn(file: string): TcpConnection[] {
  let rows: string[];
  try {
    rows = readFileSync(file, 'latin1').split('\n').slice(1);
  } catch {
    return [];
  }
  return rows.flatMap((row) => {
    const [, local, remote, state, , , , , , inode] = row.trim().split(/\s+/);
    // Without an inode: it waits for the last segments of a connection that is over.
    if (!local || !remote || state === LISTEN || !Number(inode)) return [];
    const [here, there] = [addressOf(local), addressOf(remote)];
    return here && there ? [{ local: here, remote: there, inode: Number(inode) }] : [];
  });
}

const AF_INET = 2;
const AF_INET6 = 10;
const MAPPED = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);

/** `0100007F:1F90`: words in the machine's order, here little endian. IPv4 in IPv6 as IPv4. */
function addressOf(hex: string): Address | undefined {
  const [ip = '', port = ''] = hex.split(':');
  const bytes = Buffer.from(ip, 'hex');
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  bytes.swap32();
  const plain = bytes.length === 16 && bytes.subarray(0, 12).equals(MAPPED) ? bytes.subarray(12) : bytes;
  const text = formatIp(plain, 0, plain.length === 4 ? AF_INET : AF_INET6);
  return text === undefined ? undefined : { ip: text, port: Number.parseInt(port, 16) };
}
