// SPDX-License-Identifier: Apache-2.0
/**
 * Who is at the other end of connections on this machine, looked for as soon as there is one: by the time a
 * message has come, that process may be gone.
 */

import { type Holding, socketHolders, socketsOf } from './holders.ts';
import type { ConnectionMessage, HeldSocket } from './messages.ts';
import { readProcess } from './proc.ts';
import { type TcpConnection, type TcpTable, tcpTables } from './tcp-sockets.ts';

/** Of the time, so much may be spent on it, however many connections are made … */
const SHARE = 0.1;
/** … and so long passes at least between two looks, milliseconds. */
const PAUSE_MS = 5;
/** A new connection is often that of a new process: first its probes, which a look would keep waiting. */
const FIRST_MS = 30;
/** Connections that wait for the next look. */
const WAITING_MAX = 4096;

/** The one process that holds a socket, when it is only one. */
function onlyHolder(socket: TcpConnection | undefined, holders: Holding): HeldSocket | undefined {
  const [only, ...more] = socket ? (holders.get(socket.inode) ?? []) : [];
  if (!socket || !only || more.length) return undefined;
  const process = readProcess(only.pid);
  return process && { local: socket.local, remote: socket.remote, process };
}

/**
 * The other ends, on this machine, of what these processes hold.
 * @param own The sockets that they hold.
 */
export function peersOf(pids: readonly number[], own = socketsOf(pids)): HeldSocket[] {
  if (own.size === 0) return [];
  const tableOf = tcpTables();
  const seen = new Set<TcpTable>();
  const peers: TcpConnection[] = [];
  for (const pid of pids) {
    const table = tableOf(pid);
    if (seen.has(table)) continue;
    seen.add(table);
    for (const { local, remote, inode } of table.connections) {
      const peer = own.has(inode) ? table.at(remote, local) : undefined;
      if (peer) peers.push(peer);
    }
  }
  // Looking at everybody's descriptors takes long: only when somebody is looked for.
  const holders = peers.length ? socketHolders() : own;
  return peers.flatMap((peer) => onlyHolder(peer, holders) ?? []);
}

/** Looks for both ends of new connections, many at once, and not too often. */
export class PeerFinder {
  readonly #found: (held: HeldSocket[]) => void;
  #waiting: ConnectionMessage[] = [];
  #timer: NodeJS.Timeout | undefined;
  #next = 0;

  constructor(found: (held: HeldSocket[]) => void) {
    this.#found = found;
  }

  find(connection: ConnectionMessage): void {
    if (this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push(connection);
    this.#timer ??= setTimeout(
      () => this.#look(),
      Math.max(FIRST_MS, this.#next - performance.now()),
    ).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const began = performance.now();
    const tableOf = tcpTables();
    const holders = socketHolders();
    const held = this.#waiting.splice(0).flatMap(({ near, source, destination }) => {
      const table = tableOf(near);
      return [table.at(source, destination), table.at(destination, source)].flatMap(
        (socket) => onlyHolder(socket, holders) ?? [],
      );
    });
    if (held.length) this.#found(held);
    const now = performance.now();
    this.#next = now + Math.max(PAUSE_MS, (now - began) * (1 / SHARE - 1));
  }
}
