// SPDX-License-Identifier: Apache-2.0
/**
 * Records of streams that are not announced yet. Both ends may meet a new stream in the same moment: one of them
 * announces it, and what the other one moves meanwhile may come before.
 */
import type { DataRecord, EndpointRecord, EofRecord, GapRecord } from '../source/records.ts';

export type Early = DataRecord | GapRecord | EndpointRecord | EofRecord;

/** After so long the announcement is lost, for want of room. */
export const LOST_NS = 200e6;
/** More is not kept for it. */
const BYTES_MAX = 8 << 20;

export class Unannounced {
  /** In the order in which they came; the stream of which something came first is the first. */
  readonly #byStream = new Map<number, Early[]>();
  #bytes = 0;

  /** Of how many streams. */
  get size(): number {
    return this.#byStream.size;
  }

  has(stream: number): boolean {
    return this.#byStream.has(stream);
  }

  add(record: Early): void {
    const kept = record.type === 'data' ? { ...record, bytes: Buffer.from(record.bytes) } : record;
    this.#bytes += bytesOf(kept);
    const records = this.#byStream.get(record.stream);
    if (records) records.push(kept);
    else this.#byStream.set(record.stream, [kept]);
  }

  /** What has come of this stream, which is followed from now on. */
  take(stream: number): readonly Early[] {
    const records = this.#byStream.get(stream) ?? [];
    this.#byStream.delete(stream);
    for (const record of records) this.#bytes -= bytesOf(record);
    return records;
  }

  /** Streams that at `time` will not be announced any more. */
  overdue(time: number): readonly number[] {
    const ids: number[] = [];
    for (const [id, [first]] of this.#byStream) {
      if (first && first.time + LOST_NS >= time && this.#bytes <= BYTES_MAX) break;
      ids.push(id);
    }
    return ids;
  }
}

function bytesOf(record: Early): number {
  return record.type === 'data' ? record.bytes.length : 0;
}
