// SPDX-License-Identifier: Apache-2.0
/** Where MCP has been spoken: what else happens there is told as what it is. */
import { keepYoungest } from '../youngest.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import { type ServerIdentity, sameServer, serverOf } from './server-identity.ts';

/** Paths remembered; the oldest are forgotten first. */
const PATHS_MAX = 16384;
/** Servers remembered for each path. */
const SERVERS_MAX = 64;

export class HttpEndpoints {
  readonly #byPath = new Map<string, ServerIdentity[]>();

  /** MCP was spoken in this exchange. */
  add(state: HttpExchangeState): void {
    const { path } = state;
    if (path === undefined || this.has(state)) return;
    const servers = this.#byPath.get(path);
    if (!servers) {
      this.#byPath.set(path, [serverOf(state)]);
      keepYoungest(this.#byPath, PATHS_MAX);
      return;
    }
    servers.push(serverOf(state));
    if (servers.length > SERVERS_MAX) servers.shift();
  }

  has(state: HttpExchangeState): boolean {
    const { path } = state;
    const servers = path === undefined ? undefined : this.#byPath.get(path);
    if (!servers) return false;
    const server = serverOf(state);
    return servers.some((each) => sameServer(each, server));
  }
}
