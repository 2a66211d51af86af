// SPDX-License-Identifier: Apache-2.0
/** Is it the same server? By what is known of it: its process, its address, the name that its clients use. */
import type { Address } from '../streams/frame.ts';
import type { HttpExchangeState } from './http-exchange.ts';

export interface ServerIdentity {
  readonly pid: number | undefined;
  /** `ip port`. */
  readonly address: string | undefined;
  /** Host and port as its client names them, in lower case. */
  readonly authority: string | undefined;
  /** The client's process. */
  readonly client: number | undefined;
}

export function serverOf(state: HttpExchangeState): ServerIdentity {
  const { requests, responses } = state.exchange;
  return {
    pid: state.server?.pid,
    address: textOf(requests?.destination ?? responses?.source),
    authority: state.request?.authority?.toLowerCase(),
    client: state.client?.pid,
  };
}

/**
 * The same process is the same server, and so is the same address: its processes may share the work. Else the name
 * decides, which may stand for many addresses, but not for a process or address that is known to be another.
 */
export function sameServer(a: ServerIdentity, b: ServerIdentity): boolean {
  if (a.pid !== undefined && a.pid === b.pid) return true;
  if (relays(a, b) || relays(b, a)) return false;
  if (a.address !== undefined && a.address === b.address) return true;
  const seen = a.pid !== undefined || b.pid !== undefined;
  if (seen && (differ(a.pid, b.pid) || differ(a.address, b.address))) return false;
  return a.authority !== undefined && a.authority === b.authority;
}

/** Is `front` the client of `back`? A proxy has the same sessions with its client and with the server behind it. */
function relays(front: ServerIdentity, back: ServerIdentity): boolean {
  return front.pid !== undefined && front.pid === back.client;
}

function differ<T>(a: T | undefined, b: T | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Who is at the client's end of an exchange: process, else address without port, else only this connection. */
export function clientKey(state: HttpExchangeState): string {
  const { requests, responses, connection } = state.exchange;
  if (state.client) return `process ${state.client.pid}`;
  const ip = (requests?.source ?? responses?.destination)?.ip;
  return ip === undefined ? `connection ${connection}` : `address ${ip}`;
}

function textOf(address: Address | undefined): string | undefined {
  return address && `${address.ip} ${address.port}`;
}
