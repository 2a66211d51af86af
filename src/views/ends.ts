// SPDX-License-Identifier: Apache-2.0
/** Who spoke to whom, as the display names them; safe for the terminal. */
import type { HttpInfo } from '../mcp/events.ts';
import type { Address, Endpoint } from '../streams/frame.ts';
import { escapeControl } from './escape.ts';
import { formatAddress, formatEndpoint } from './format.ts';

/** What is known of the two ends of an event. */
interface Ends {
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
  readonly http?: HttpInfo;
}

/** Characters of a host; the longest DNS name has 253 and is seldom meant to be read. */
const MAX_HOST = 100;
/** A host that names its port (RFC 9110, section 7.2). */
const WITH_PORT = /^(?:\[[^\]]*\]|[^:]*):\d+$/;

/** `node[99] → api.example.com:443`: the writer and the reader. */
export function formatEnds(ends: Ends): string {
  const { from, to, http } = ends;
  if (http === undefined) return `${formatEndpoint(from)} → ${formatEndpoint(to)}`;
  const [writer, reader] = namesOf(ends, http);
  return `${writer} → ${reader}`;
}

/** The same of an HTTP exchange: the client and the server, whichever of them wrote. */
export function formatClientAndServer(ends: Ends & { readonly http: HttpInfo }): string {
  const [writer, reader] = namesOf(ends, ends.http);
  return ends.http.isRequest ? `${writer} → ${reader}` : `${reader} → ${writer}`;
}

/** Of the writer and of the reader. */
function namesOf({ from, to }: Ends, http: HttpInfo): readonly [string, string] {
  const { isRequest, local, remote } = http;
  // `local` is the end at which it was seen: the reader's if only that one is known.
  const atReader = from === undefined && to !== undefined;
  return [
    nameOf(from, !isRequest, http, atReader ? remote : local),
    nameOf(to, isRequest, http, atReader ? local : remote),
  ];
}

/** The process; of an unknown one the host that the client named, if it is the server, else the address. */
function nameOf(
  process: Endpoint | undefined,
  isServer: boolean,
  { host, tls }: HttpInfo,
  address: Address | undefined,
): string {
  if (process !== undefined) return formatEndpoint(process);
  if (isServer && host) return hostName(host, tls !== undefined);
  return address === undefined ? '?' : formatAddress(address);
}

/**
 * A client leaves out the default port. Inside TLS it is shown, for then it is certain; clear text may come from
 * a proxy that passed on the host which its own client had named.
 */
function hostName(host: string, isTls: boolean): string {
  const name = escapeControl(host, MAX_HOST);
  return isTls && !WITH_PORT.test(host) ? `${name}:443` : name;
}
