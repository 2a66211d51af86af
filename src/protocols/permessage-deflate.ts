// SPDX-License-Identifier: Apache-2.0
/** Compressed messages of WebSockets (RFC 7692): what was agreed upon, and undoing it. */
import { Decompressor } from './decompressor.ts';
import type { Side } from './http.ts';

/** How the messages of one direction are compressed. */
export interface DeflateParameters {
  /** Base 2 logarithm of the sender's window, 8 to 15. */
  readonly windowBits: number;
  /** May a message refer to earlier ones? */
  readonly contextTakeover: boolean;
}

/** Of a header of hostile length, so much is looked at. */
const HEADER_MAX = 4096;

/** A token, then perhaps `=` and a token or a quoted string (RFC 6455, section 9.1). */
const PARAMETER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*=[ \t]*"?([!#$%&'*+\-.^_`|~0-9A-Za-z]*)"?)?$/;

/**
 * @param accepted The value of `Sec-WebSocket-Extensions` in the response: what the server chose.
 * @returns For what the client sends (`request`) and for what the server sends (`response`); `undefined` if
 *   permessage-deflate was not chosen or its parameters are not valid.
 */
export function parsePermessageDeflate(
  accepted: string | undefined,
): Readonly<Record<Side, DeflateParameters>> | undefined {
  for (const extension of (accepted ?? '').slice(0, HEADER_MAX).split(',')) {
    const [name, ...parameters] = extension.split(';').map((part) => part.trim());
    if (name?.toLowerCase() === 'permessage-deflate') return parametersOf(parameters);
  }
  return undefined;
}

function parametersOf(parameters: readonly string[]): Readonly<Record<Side, DeflateParameters>> | undefined {
  const windowBits = { client: 15, server: 15 };
  const contextTakeover = { client: true, server: true };
  for (const parameter of parameters) {
    const [, name = '', value] = PARAMETER.exec(parameter) ?? [];
    const party = name.toLowerCase().startsWith('client_') ? 'client' : 'server';
    switch (name.toLowerCase()) {
      case 'client_no_context_takeover':
      case 'server_no_context_takeover':
        contextTakeover[party] = false;
        break;
      case 'client_max_window_bits':
      case 'server_max_window_bits':
        if (!/^(?:8|9|1[0-5])$/.test(value ?? '')) return undefined;
        windowBits[party] = Number(value);
        break;
      default:
        return undefined;
    }
  }
  return {
    request: { windowBits: windowBits.client, contextTakeover: contextTakeover.client },
    response: { windowBits: windowBits.server, contextTakeover: contextTakeover.server },
  };
}

/** What the sender cuts off each message (RFC 7692, section 7.2.1). */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** Broken messages before all later ones are given up, too: after each a new engine is made, which costs much. */
const BROKEN_MAX = 100;

/** Undoes the compression of one direction's messages. Holds native memory until it is closed. */
export class MessageInflater {
  readonly #contextTakeover: boolean;
  readonly #decompressor: Decompressor;
  #usable = true;
  #broken = 0;

  constructor({ windowBits, contextTakeover }: DeflateParameters) {
    this.#contextTakeover = contextTakeover;
    this.#decompressor = new Decompressor('deflate-raw', windowBits);
  }

  /** False after a loss that later messages may refer to: they cannot be read any more. */
  get usable(): boolean {
    return this.#usable;
  }

  /** Takes a piece of a message's payload. See `Decompressor.write`; after false, `lost` has to be called. */
  write(bytes: Buffer, take: (bytes: Buffer) => boolean): boolean {
    if (this.#decompressor.write(bytes, take)) return true;
    this.#broken++;
    return false;
  }

  /** The message is over. See `write`. */
  endMessage(take: (bytes: Buffer) => boolean): boolean {
    if (!this.write(TAIL, take)) return false;
    // A sender that ends with a final block has begun anew, too (RFC 7692, section 7.2.3.4).
    if (!this.#contextTakeover || this.#decompressor.unread > 0) this.#decompressor.reset();
    return true;
  }

  /** A message, or a part of one, is missing or broken. */
  lost(): void {
    if (this.#contextTakeover || this.#broken >= BROKEN_MAX) this.close();
    else this.#decompressor.reset();
  }

  /** Releases the memory. */
  close(): void {
    this.#usable = false;
    this.#decompressor.close();
  }
}
