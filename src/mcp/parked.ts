// SPDX-License-Identifier: Apache-2.0
/** Frames kept while nobody knows yet whether their stream is worth showing. */
import type { Frame, Gap, StreamItem } from '../streams/frame.ts';
import type { Unseen } from './events.ts';

/** A stream that has not shown itself to be MCP within so many bytes, or frames, is given up. */
export const PARKED_BYTES = 256 << 10;
const PARKED_FRAMES = 2048;
/** Bytes of all streams, or conversations, together; those parked first go first. */
export const ALL_PARKED_BYTES = 16 << 20;
/** What an item takes beside its payload, about. */
const OVERHEAD = 512;

interface OfStream {
  items: StreamItem[];
  /** What of them says something of the stream: frames, and their bytes. */
  frames: number;
  bytes: number;
}

export class Parked {
  /** Oldest first. */
  readonly #byStream = new Map<number, OfStream>();
  #room = 0;
  /** Of those let go. */
  readonly #unseen = { streams: 0, bytes: 0 };

  /** Streams of which nothing but losses, and what these have cut, was ever known: those let go, and of those parked the ones that `counts` says. */
  unseen(counts: (stream: number) => boolean = () => true): Unseen {
    const all = { ...this.#unseen };
    for (const [stream, { items }] of this.#byStream) if (counts(stream)) addUnseen(all, items);
    return all;
  }

  /** @returns whether the stream is still within its allowance. */
  add(item: StreamItem): boolean {
    let parked = this.#byStream.get(item.stream.id);
    if (parked) parked.items.push(item);
    else {
      // Mostly it stays the only one: an empty array would make room for 17.
      parked = { items: [item], frames: 0, bytes: 0 };
      this.#byStream.set(item.stream.id, parked);
    }
    // What is lost, or was cut, might have shown it.
    if (item.kind === 'frame' && !isCut(item)) {
      parked.frames++;
      parked.bytes += item.size;
    }
    this.#room += roomOf(item);
    for (const oldest of this.#byStream.keys()) {
      if (this.#room <= ALL_PARKED_BYTES) break;
      const { items } = this.#byStream.get(oldest) ?? { items: [] };
      if (items.length === 1 && items[0]?.kind === 'gap') this.letGo(oldest);
      else this.forgo(oldest);
    }
    return parked.bytes <= PARKED_BYTES && parked.frames <= PARKED_FRAMES;
  }

  /** Streams with something parked. */
  streams(): number[] {
    return [...this.#byStream.keys()];
  }

  has(stream: number): boolean {
    return this.#byStream.has(stream);
  }

  /** All items of these streams, in time order; they are parked no longer. */
  take(streams: Iterable<number>): StreamItem[] {
    const items: StreamItem[] = [];
    for (const stream of streams) {
      items.push(...(this.#byStream.get(stream)?.items ?? []));
      this.drop(stream);
    }
    return items.sort((a, b) => a.time - b.time);
  }

  /** Its stream has not shown itself to be worth showing. Where all of it was lost, that is counted. */
  letGo(stream: number): void {
    addUnseen(this.#unseen, this.#byStream.get(stream)?.items ?? []);
    this.drop(stream);
  }

  drop(stream: number): void {
    const parked = this.#byStream.get(stream);
    if (!parked) return;
    this.#byStream.delete(stream);
    for (const item of parked.items) this.#room -= roomOf(item);
  }

  /** Keeps of a stream only how much there was: should it show itself later, that is a gap. */
  forgo(stream: number): void {
    const parked = this.#byStream.get(stream);
    if (!parked) return;
    this.drop(stream);
    const gap = gapInsteadOf(parked.items);
    if (!gap) return;
    this.#byStream.set(stream, { items: [gap], frames: 0, bytes: 0 });
    this.#room += roomOf(gap);
  }
}

type CutFrame = Frame & { readonly content: { readonly type: 'incomplete' } };

/** Has a loss cut it? Then what it was is not known. */
function isCut(frame: Frame): frame is CutFrame {
  return frame.content.type === 'incomplete' && frame.content.reason === 'gap';
}

function isLoss(item: StreamItem): item is Gap | CutFrame {
  if (item.kind === 'gap') return item.cause !== 'stopped' && item.cause !== 'joined';
  return item.kind === 'frame' && isCut(item) && /^[{[]/.test(item.content.head);
}

function roomOf(item: StreamItem): number {
  if (item.kind !== 'frame') return OVERHEAD;
  return OVERHEAD + ('head' in item.content ? item.content.head.length : item.size);
}

/** Counts what was lost of a stream, if all that has come of it is where its losses have cut something that may be JSON. */
function addUnseen(sum: { streams: number; bytes: number }, items: readonly StreamItem[]): void {
  if (!items.every(isLoss) || items[0]?.offset !== 0) return;
  const bytes = items.reduce((all, item) => all + (item.kind === 'gap' ? item.bytes : 0), 0);
  if (bytes > 0) sum.streams++;
  sum.bytes += bytes;
}

/** What is not kept was not wanted at the time, as what the kernel has not copied; unless all of it was lost anyway. */
export function gapInsteadOf(items: readonly StreamItem[]): Gap | undefined {
  let gap: Gap | undefined;
  const lost = items.every(isLoss) ? items.find(({ kind }) => kind === 'gap') : undefined;
  const cause = lost?.kind === 'gap' ? lost.cause : 'stopped';
  for (const item of items) {
    if (item.kind !== 'frame' && item.kind !== 'gap') continue;
    // The gap that has cut a frame counts it.
    const [bytes, frames] =
      item.kind === 'frame' ? [item.size, isCut(item) ? 0 : 1] : [item.bytes, item.frames];
    const { time, stream, offset, from, to } = item;
    gap ??= { kind: 'gap', time, stream, offset, bytes: 0, frames: 0, cause, from, to };
    const all = gap.frames === undefined || frames === undefined ? undefined : gap.frames + frames;
    gap = { ...gap, time, bytes: gap.bytes + bytes, frames: all };
  }
  return gap;
}
