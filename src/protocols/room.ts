// SPDX-License-Identifier: Apache-2.0
/**
 * How much memory the contents that are being put together may hold, those of all streams together. Each is limited
 * by itself; but who is watched may begin as many as it likes, and never end one.
 */

/** Up to so many bytes are nobody's business. */
const FREE = 8192;

let limit = 512 << 20;
let claimed = 0;

/** @param bytes The limit from now on. */
export function limitRoom(bytes: number): void {
  limit = bytes;
}

/** Bytes that are claimed now. */
export function roomTaken(): number {
  return claimed;
}

/** What whoever forgot to give back had. */
const forgotten = new FinalizationRegistry<{ bytes: number }>((share) => {
  claimed -= share.bytes;
});

/** Buffers are as long as powers of two, so that a content that grows is moved O(log n) times. */
export function capacityFor(length: number): number {
  return 2 ** (32 - Math.clz32(length - 1));
}

/** One content's share of the room. Nothing is made for those that are small, as most are. */
export class Share {
  #share: { bytes: number } | undefined;

  /**
   * Makes it so large, or leaves it as it was.
   * @param bytes Of memory; few cost nothing.
   * @returns false when there is no room for them.
   */
  resize(bytes: number): boolean {
    const wanted = bytes > FREE ? bytes : 0;
    const more = wanted - (this.#share?.bytes ?? 0);
    if (more === 0) return true;
    if (more > 0 && claimed + more > limit) return false;
    claimed += more;
    if (!this.#share) {
      this.#share = { bytes: 0 };
      forgotten.register(this, this.#share);
    }
    this.#share.bytes = wanted;
    return true;
  }
}
