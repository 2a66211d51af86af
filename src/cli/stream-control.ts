// SPDX-License-Identifier: Apache-2.0
import type { StreamControl } from '../mcp/analyzer.ts';
import { writersOf } from '../streams/stream.ts';
import type { Tracker } from '../streams/tracker.ts';

/** What the analyzer may know and ask of the streams. */
export function streamControl(tracker: () => Tracker): StreamControl {
  const get = (id: number) => tracker().get(id);
  return {
    keep: (id) => tracker().keep(id),
    stop: (id) => tracker().stop(id),
    stopExchange: (id, exchange) => tracker().skipExchange(id, exchange),
    encrypts: (client, server) => tracker().encrypts(client, server),
    keepFrom: (pid) => tracker().keepFrom(pid),
    isStderr: (id) => get(id)?.stderr ?? false,
    pairOf: (id) => get(id)?.pair ?? 0,
    whoAt: (id, end, time) => tracker().whoAt(id, end, time),
    writersOf: (id) => {
      const stream = get(id);
      return stream ? writersOf(stream) : [];
    },
    isStdout: (id, writer, reader) => {
      const stream = get(id);
      return (
        stream !== undefined &&
        stream.writer.pid === writer &&
        stream.writer.fd === 1 &&
        stream.reader.pid === reader
      );
    },
    descends: (pid, ancestor) => tracker().processes.descends(pid, ancestor),
  };
}
