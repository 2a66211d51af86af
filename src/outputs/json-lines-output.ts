// SPDX-License-Identifier: Apache-2.0
import type { Bus } from '../bus.ts';
import type { LineSink } from './file-writer.ts';
import {
  formatCapture,
  formatEnds,
  formatGap,
  formatHttp,
  formatInvalid,
  formatMessage,
  formatStderr,
  formatSummary,
} from './json-lines.ts';

/** Writes everything on the bus to a sink, one JSON object a line. */
export class JsonLinesOutput {
  constructor(bus: Bus, sink: LineSink) {
    bus.on('capture', (info) => sink.write(formatCapture(info)));
    bus.on('message', (event) => sink.write(formatMessage(event)));
    bus.on('invalid', (event) => sink.write(formatInvalid(event)));
    bus.on('stderr', (event) => sink.write(formatStderr(event)));
    bus.on('http', (event) => sink.write(formatHttp(event)));
    bus.on('ends', (event) => sink.write(formatEnds(event)));
    bus.on('gap', (event) => sink.write(formatGap(event)));
    bus.on('summary', (summary) => sink.write(formatSummary(summary)));
  }
}
