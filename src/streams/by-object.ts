// SPDX-License-Identifier: Apache-2.0
import type { StreamRecord } from '../source/records.ts';
import type { Address } from './frame.ts';
import { addressKey, type Stream } from './stream.ts';

/** Streams by what carries them, so that one is recognised when the kernel numbers it anew. */
export class ByObject {
  /** Of TCP, by `addressKey`. Network namespaces may have the same: then the youngest counts. */
  readonly #byAddresses = new Map<string, Stream>();
  /** Others, by carrier and device, then by inode. They are many, and a number takes less memory than its text. */
  readonly #byInode = new Map<string, Map<number, Stream>>();

  /** The TCP stream between two addresses. */
  between(source: Address, destination: Address): Stream | undefined {
    return this.#byAddresses.get(addressKey(source, destination));
  }

  /** The stream of the same object as this one. */
  same({ carrier, device, inode, peerInode, addresses }: StreamRecord): Stream | undefined {
    if (addresses) return this.between(addresses.source, addresses.destination);
    const found = this.#byInode.get(`${carrier} ${device}`)?.get(inode);
    return found?.peerInode === peerInode ? found : undefined;
  }

  /** One whose object is not known is not found. */
  add(stream: Stream): void {
    const { carrier, device, inode, source, destination } = stream;
    if (carrier === 'tcp' && source && destination)
      this.#byAddresses.set(addressKey(source, destination), stream);
    else if (inode > 0) {
      const key = `${carrier} ${device}`;
      const streams = this.#byInode.get(key);
      if (streams) streams.set(inode, stream);
      else this.#byInode.set(key, new Map([[inode, stream]]));
    }
  }

  /** It is found no longer, unless another stream has taken its place. */
  delete(stream: Stream): void {
    const { carrier, device, inode, source, destination } = stream;
    if (carrier === 'tcp' && source && destination) {
      if (this.between(source, destination) === stream)
        this.#byAddresses.delete(addressKey(source, destination));
      return;
    }
    const key = `${carrier} ${device}`;
    const streams = this.#byInode.get(key);
    if (streams?.get(inode) !== stream) return;
    streams.delete(inode);
    if (streams.size === 0) this.#byInode.delete(key);
  }
}
