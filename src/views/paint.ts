// SPDX-License-Identifier: Apache-2.0
/** The colours of the display. */
import { styleText } from 'node:util';

export type Style = keyof typeof STYLES;
/** Puts text, which must be safe for the terminal, into a style. */
export type Paint = (style: Style, text: string) => string;

const STYLES = {
  time: sgr('gray'),
  method: sgr('bold'),
  request: sgr('cyan'),
  response: sgr('green'),
  notification: sgr('blue'),
  error: sgr('red'),
  bad: sgr('yellow'),
  http: sgr('blueBright'),
  log: sgr('gray'),
  lost: sgr('magenta'),
} as const;

/** The two sequences that begin and end a style: looked up once, not for each line. */
function sgr(style: Parameters<typeof styleText>[0]): readonly [string, string] {
  const [begin = '', end = ''] = styleText(style, '\0', { validateStream: false }).split('\0');
  return [begin, end];
}

export function inColour(style: Style, text: string): string {
  const [begin, end] = STYLES[style];
  return `${begin}${text}${end}`;
}

/** Without colours. */
export function asIs(_style: Style, text: string): string {
  return text;
}
