// SPDX-License-Identifier: Apache-2.0
/** The first record of a TLS connection (RFC 8446, section 4.1.2): all of it that is not encrypted is of use to us. */

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

/** A host name is no longer (RFC 1035, section 2.3.4). */
const NAME_MAX = 255;

/** Reads lengths and what they count; `undefined` once the bytes are too few. */
class Reader {
  readonly #bytes: Buffer;
  #at: number;
  #end: number;
  /** Not all is there that its length counts. */
  readonly #cut: boolean;

  constructor(bytes: Buffer, at = 0, end = bytes.length, cut = false) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#cut = cut;
  }

  get done(): boolean {
    return this.#at >= this.#end;
  }

  number(width: 1 | 2 | 3): number | undefined {
    if (this.#at + width > this.#end) return undefined;
    const value = this.#bytes.readUIntBE(this.#at, width);
    this.#at += width;
    return value;
  }

  /** What a length of this width counts; cut where the bytes end. */
  vector(width: 1 | 2): Reader | undefined {
    const length = this.number(width);
    if (length === undefined) return undefined;
    const end = this.#at + length;
    const part = new Reader(this.#bytes, this.#at, Math.min(this.#end, end), end > this.#end);
    this.#at = end;
    return part;
  }

  skip(length: number): void {
    this.#at += length;
  }

  /** `undefined` if it is cut. */
  text(): string | undefined {
    return this.#cut ? undefined : this.#bytes.toString('latin1', this.#at, this.#end);
  }
}

/**
 * The server name that a client asks for (SNI, RFC 6066, section 3).
 * @param bytes What the client sent first; may be cut.
 * @returns `undefined` when this is no ClientHello, or names no server, or is cut before it does.
 */
export function serverNameOf(bytes: Buffer): string | undefined {
  const record = new Reader(bytes);
  if (record.number(1) !== HANDSHAKE) return undefined;
  record.skip(2 + 2);
  if (record.number(1) !== CLIENT_HELLO) return undefined;
  // Length of the message, version, random.
  record.skip(3 + 2 + 32);
  record.vector(1); // session id
  record.vector(2); // cipher suites
  record.vector(1); // compression methods
  const extensions = record.vector(2);
  while (extensions && !extensions.done) {
    const type = extensions.number(2);
    const extension = extensions.vector(2);
    if (!extension) return undefined;
    if (type !== SERVER_NAME) continue;
    const names = extension.vector(2);
    if (names?.number(1) !== HOST_NAME) return undefined;
    const name = names.vector(2)?.text();
    return name && name.length <= NAME_MAX ? name : undefined;
  }
  return undefined;
}
