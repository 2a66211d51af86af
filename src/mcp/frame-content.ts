// SPDX-License-Identifier: Apache-2.0
/** From a frame's content to JSON-RPC, and words for a frame that is none. */
import { WireText } from '../protocols/wire-text.ts';
import type { Frame } from '../streams/frame.ts';
import { type ParsedFrame, parseFrame } from './jsonrpc.ts';
import { LargeMessage } from './large-message.ts';

/** A frame that holds JSON-RPC messages. */
export type Messages = Extract<ParsedFrame, { type: 'messages' }>;

/**
 * Large messages are looked at as bytes; what is odd about one, the parser finds out.
 * @returns `undefined` for content that is no text.
 */
export function parse({ content }: Frame): ParsedFrame | undefined {
  if (content.type !== 'text') return undefined;
  const large = content instanceof WireText ? LargeMessage.from(content) : undefined;
  return large
    ? { type: 'messages', messages: [large], invalid: [], batch: false }
    : parseFrame(content.text);
}

/** The text, or as much as there is of it; `undefined` when it is not UTF-8. */
export function textOf({ content }: Frame): string | undefined {
  if (content.type === 'text') return content.text;
  return content.type === 'binary' ? undefined : content.head;
}

/** Why it is not JSON-RPC, in words that quote nothing. */
export function reasonOf({ content }: Frame, parsed: ParsedFrame | undefined): string {
  if (parsed?.type === 'json') return `not JSON-RPC: ${parsed.reason}`;
  if (parsed?.type === 'not-json') return `not JSON: ${parsed.reason}`;
  switch (content.type) {
    case 'oversize':
      return content.crowded
        ? 'too large beside the others that were not complete; --max-message allows for more'
        : 'larger than --max-message';
    case 'binary':
      return 'not UTF-8';
    case 'incomplete':
      return {
        end: 'cut off by the end of the stream',
        gap: 'cut off by a gap',
        stop: 'not complete when the capture stopped',
      }[content.reason];
    default:
      return 'not JSON-RPC';
  }
}
