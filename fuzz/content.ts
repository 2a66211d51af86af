// SPDX-License-Identifier: Apache-2.0
import type { FrameContent } from '../src/streams/frame.ts';
import { brief } from './target.ts';

/** What a content says, to compare. */
export function told(content: FrameContent): string {
  if (content.type === 'text') return `text ${brief(content.text)}`;
  if (content.type === 'binary') return `binary ${brief(content.bytes.toString('latin1'))}`;
  return `${content.type} ${brief(content.head)}`;
}
