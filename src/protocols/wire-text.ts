// SPDX-License-Identifier: Apache-2.0
/** A large text as it came over the wire, decoded only when somebody asks for characters. */

/** Texts of so many bytes and more are kept as bytes. Below, a string is cheaper. */
export const LARGE_TEXT = 65536;

export class WireText {
  readonly type = 'text';
  /** Valid UTF-8, never written to again. */
  readonly bytes: Buffer;
  #text: string | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The exact text. Decoded once, and from then on in memory twice. */
  get text(): string {
    this.#text ??= this.bytes.toString('utf8');
    return this.#text;
  }
}
