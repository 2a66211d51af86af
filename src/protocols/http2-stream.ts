// SPDX-License-Identifier: Apache-2.0
/** A stream of HTTP/2 (RFC 9113, section 5), and what its header fields say of its messages. */
import type { HeaderField } from './hpack.ts';
import type { MessageEnd, Side } from './http.ts';
import type { FrameHead } from './http2-frame-head.ts';
import type { HeaderBlock } from './http2-header-blocks.ts';

/** Of a header block, what a head is made of. */
export type Head = Pick<HeaderBlock, 'fields' | 'cut'> & { readonly head: Pick<FrameHead, 'offset'> };

/** What has been seen of an HTTP/2 stream. */
export interface Stream {
  readonly id: number;
  /** 0 until a message has begun. */
  exchange: number;
  /** Messages that have begun: their heads have been told. */
  readonly begun: Set<Side>;
  readonly over: Set<Side>;
  /** Of those begun: their heads were not seen, or may have been those of interim responses. */
  readonly inferred: Set<Side>;
  /** A head that may be that of an interim response. */
  perhaps: HeaderBlock | undefined;
  /** How and where a response without a head has ended, before its request was seen. */
  untold: { readonly how: MessageEnd; readonly offset: number } | undefined;
}

/** One that has just begun. @param exchange 0 if none of its messages has. */
export function newStream(id: number, exchange: number): Stream {
  const sides = { begun: new Set<Side>(), over: new Set<Side>(), inferred: new Set<Side>() };
  return { id, exchange, ...sides, perhaps: undefined, untold: undefined };
}

/** Is this, for certain, the head of a message that is not an interim response? */
export function isHead(side: Side, fields: readonly HeaderField[]): boolean {
  return side === 'request' ? has(fields, ':method') : (statusOf(fields) ?? 0) >= 200;
}

/** Is there a field of this name? */
export function has(fields: readonly HeaderField[], name: string): boolean {
  return fields.some(([each]) => each === name);
}

/** The status of a response; `undefined` if it is not told. */
export function statusOf(fields: readonly HeaderField[]): number | undefined {
  const text = fields.find(([name]) => name === ':status')?.[1];
  return text !== undefined && /^\d{3}$/.test(text) ? Number(text) : undefined;
}
