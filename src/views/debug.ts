// SPDX-License-Identifier: Apache-2.0
import type { Bus } from '../bus.ts';
import type { BusEvents } from '../mcp/events.ts';
import { escapeControl } from './escape.ts';

/** Longest line, in characters: this is to follow what happens, not to read payload. */
const WIDTH = 400;

const EVENTS: readonly (keyof BusEvents)[] = [
  'capture',
  'message',
  'invalid',
  'stderr',
  'http',
  'gap',
  'ends',
  'server',
  'summary',
];

/** `--log-level debug`: what the bus carries, event by event. */
export class DebugView {
  constructor(bus: Bus, write: (line: string) => void) {
    for (const name of EVENTS) {
      bus.on(name, (event: object) => {
        const { kind: _, http, ...fields } = event as Record<string, unknown>;
        // Last, for it is long: what is cut off must not be what the event says.
        const shown = http === undefined ? fields : { ...fields, http };
        write(`bus ${name} ${escapeControl(JSON.stringify(shown), WIDTH)}`);
      });
    }
  }
}
