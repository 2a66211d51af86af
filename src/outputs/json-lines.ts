// SPDX-License-Identifier: Apache-2.0
/** JSON Lines: one event, one line. The contract is `docs/output.schema.json`. */
import type {
  CallStatistics,
  CaptureInfo,
  EndsEvent,
  GapEvent,
  HttpEvent,
  InvalidEvent,
  LeftRequest,
  MessageEvent,
  Party,
  StderrEvent,
  Summary,
} from '../mcp/events.ts';
import { onOneLine, pushQuoted, pushQuotedBytes, quoteName } from './json-text.ts';
import { endpointObject, formatOrigin, type SeenEvent } from './origin.ts';

/** Version of the schema; raised when a key changes its meaning or goes away. */
export const SCHEMA_VERSION = 1;

/**
 * One MCP message, in parts: joining them would copy the payload twice. `params`, `result`, `error` and `id`
 * are the exact text of the wire, so that numbers of any size survive; they and `raw` must therefore be
 * valid JSON, as in every `MessageEvent`.
 */
export function formatMessage(event: MessageEvent): readonly (string | Buffer)[] {
  let line = `${head(event)},"type":"${event.type}"`;
  if (event.id !== undefined) line += `,"id":${event.id.text}`;
  if (event.method !== undefined) line += `,"method":${quoteName(event.method)}`;
  if (event.known === false) line += ',"known":false';
  if (event.target !== undefined) line += `,"target":${quoteName(event.target)}`;
  if (event.status !== undefined) line += `,"status":"${event.status}"`;
  if (event.durationMs !== undefined) line += `,"duration_ms":${milliseconds(event.durationMs)}`;
  if (event.batch !== undefined) line += `,"batch":{"index":${event.batch.index},"size":${event.batch.size}}`;
  if (event.hop !== undefined) {
    const { number, previous, origin } = event.hop;
    line += `,"hop":{"number":${number},"previous":${previous},"origin":${origin}}`;
  }
  if (event.foreign) line += ',"foreign":true';
  if (event.warnings.length > 0) line += `,"warnings":${JSON.stringify(event.warnings)}`;
  if (event.wire) return largeMessage(line, event.wire, event);
  const parts = [line];
  if (event.params !== undefined) parts.push(',"params":', onOneLine(event.params));
  if (event.result !== undefined) parts.push(',"result":', onOneLine(event.result));
  if (event.errorText !== undefined) parts.push(',"error":', onOneLine(event.errorText));
  parts.push(',"raw":');
  pushQuoted(parts, event.raw);
  parts.push('}');
  return parts;
}

/** A large message goes from the frame's bytes to the output without ever having been a string. */
function largeMessage(
  line: string,
  wire: NonNullable<MessageEvent['wire']>,
  event: MessageEvent,
): (string | Buffer)[] {
  const parts: (string | Buffer)[] = [line];
  // No line break can be in them: `wire` is text without control characters.
  if (wire.params) parts.push(',"params":', wire.params);
  if (wire.result) parts.push(',"result":', wire.result);
  if (wire.error) parts.push(',"error":', wire.error);
  parts.push(',"raw":');
  if (!pushQuotedBytes(parts, wire.raw)) parts.push(JSON.stringify(event.raw));
  parts.push('}');
  return parts;
}

/** A frame on an MCP stream that is no JSON-RPC message. */
export function formatInvalid(event: InvalidEvent): string {
  let line = `${head(event)},"reason":${JSON.stringify(event.reason)},"size":${event.size}`;
  if (event.raw !== undefined) line += `,"raw":${JSON.stringify(event.raw)}`;
  if (event.rawBase64 !== undefined) line += `,"raw_base64":${JSON.stringify(event.rawBase64)}`;
  return `${line}}`;
}

/** A line that a server wrote to its standard error. */
export function formatStderr(event: StderrEvent): string {
  return `${head(event)},"text":${JSON.stringify(event.text)}}`;
}

/** An HTTP exchange that says something by itself. */
export function formatHttp(event: HttpEvent): string {
  let line = `${head(event)},"end":"${event.end}"`;
  if (event.durationMs !== undefined) line += `,"duration_ms":${milliseconds(event.durationMs)}`;
  line += `,"size":${event.size}`;
  if (event.body !== undefined) line += `,"body":${JSON.stringify(event.body)}`;
  if (event.left !== undefined) line += `,"left":[${event.left.map(leftRequest).join()}]`;
  return `${line}}`;
}

function leftRequest({ id, method, target, status }: LeftRequest): string {
  const about = target === undefined ? '' : `,"target":${quoteName(target)}`;
  return `{"id":${id.text},"method":${quoteName(method)}${about},"status":"${status}"}`;
}

/** A place where bytes are known to be missing. */
export function formatGap(event: GapEvent): string {
  const frames = event.frames === undefined ? '' : `,"frames":${event.frames}`;
  return `${head(event)},"cause":${JSON.stringify(event.cause)},"bytes":${event.bytes}${frames}}`;
}

/** It has turned out whose a message was. */
export function formatEnds({ time, message, connection, stream, from, to }: EndsEvent): string {
  return JSON.stringify({
    kind: 'ends',
    timestamp: timestamp(time),
    message,
    connection,
    stream,
    from: from && endpointObject(from),
    to: to && endpointObject(to),
  });
}

/** The first line: what was captured where, and how. */
export function formatCapture(info: CaptureInfo): string {
  return JSON.stringify({
    kind: 'capture',
    schema_version: SCHEMA_VERSION,
    timestamp: timestamp(info.time),
    mcpspy_version: info.version,
    host: info.host,
    kernel: info.kernel,
    arch: info.arch,
    backend: info.backend,
    options: info.options,
  });
}

/** The last line. */
export function formatSummary(summary: Summary): string {
  return JSON.stringify({
    kind: 'summary',
    timestamp: timestamp(summary.time),
    backend: summary.backend,
    seconds: summary.seconds,
    bytes: summary.bytes,
    frames: summary.frames,
    methods: summary.methods.map(calls),
    tools: summary.tools.map(calls),
    pending: summary.pending,
    cancelled: summary.cancelled,
    orphans: summary.orphans,
    repeats: summary.repeats && {
      replayed: summary.repeats.replayed,
      both_ends: summary.repeats.bothEnds,
    },
    servers: summary.servers.map((entry) => ({
      connection: entry.connection,
      server: party(entry.server),
      client: party(entry.client),
      protocol_version: entry.protocolVersion,
      session_id: entry.sessionId,
      messages: entry.messages,
    })),
    undecoded_tls: summary.undecoded?.map(({ process, library, reason, connections, hosts }) => ({
      process: endpointObject(process),
      library,
      reason,
      connections,
      hosts,
    })),
    losses: summary.losses,
    unseen: summary.unseen,
  });
}

function calls({ name, calls, errors, p50, p95, max }: CallStatistics): object {
  return {
    name,
    calls,
    errors,
    p50_ms: p50 === undefined ? undefined : milliseconds(p50),
    p95_ms: p95 === undefined ? undefined : milliseconds(p95),
    max_ms: max === undefined ? undefined : milliseconds(max),
  };
}

function party({ name, version, endpoint }: Party): object {
  return { name, version, endpoint: endpoint === undefined ? undefined : endpointObject(endpoint) };
}

/** Rounded to the nanosecond: what the kernel's clock can tell, without the noise of binary fractions. */
function milliseconds(ms: number): number {
  return Math.round(ms * 1e6) / 1e6;
}

/** Everything up to what is particular to one kind; the object is left open. */
function head(event: SeenEvent): string {
  const late = event.late ? ',"late":true' : '';
  return `{"kind":"${event.kind}","timestamp":"${timestamp(event.time)}"${late},${formatOrigin(event)},"seq":${event.seq},"offset":${event.offset}`;
}

let cachedSecond = Number.NaN;
let cachedPrefix = '';

/** RFC 3339, UTC, microseconds. `time` in nanoseconds since the epoch. */
function timestamp(time: number): string {
  const microseconds = Math.floor(time / 1000);
  const second = Math.floor(microseconds / 1e6);
  if (second !== cachedSecond) {
    cachedSecond = second;
    cachedPrefix = new Date(second * 1000).toISOString().slice(0, '2026-01-15T12:34:56.'.length);
  }
  return `${cachedPrefix}${String(1e6 + microseconds - second * 1e6).slice(1)}Z`;
}
