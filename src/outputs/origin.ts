// SPDX-License-Identifier: Apache-2.0
/** Where an event was seen, as JSON members: what carried it, both ends, connection and stream. */
import type {
  GapEvent,
  HttpEvent,
  HttpInfo,
  InvalidEvent,
  MessageEvent,
  StderrEvent,
} from '../mcp/events.ts';
import type { Address, Endpoint } from '../streams/frame.ts';
import { quoteName } from './json-text.ts';

export type SeenEvent = MessageEvent | InvalidEvent | StderrEvent | HttpEvent | GapEvent;

/** The members from `transport_type` to `stream`, without braces. */
export function formatOrigin(event: SeenEvent): string {
  const place = placeOf(event);
  if (event.transport === 'stdio' || event.http === undefined) return place;
  return `"transport_type":"http","http_transport":${httpTransport(event.http)},${place}`;
}

/** Only the members that the schema knows. */
export function endpointObject({ pid, comm, exe, argv }: Endpoint): object {
  return { pid, comm, exe, argv };
}

/** What the events of a stream have in common, as text. */
interface Place {
  readonly transport: 'stdio' | 'http';
  readonly connection: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
  readonly text: string;
}

/** By stream. Endpoints do not change, so the same object means the same text. */
const places = new Map<number, Place>();
const MAX_PLACES = 1024;

/** All members for stdio; for HTTP those from `from` on. */
function placeOf(event: SeenEvent): string {
  const { transport, connection, stream, from, to } = event;
  const known = places.get(stream);
  if (
    known?.from === from &&
    known?.to === to &&
    known?.connection === connection &&
    known.transport === transport
  )
    return known.text;
  const stdio = {
    transport_type: 'stdio',
    stdio_transport: { from_pid: from?.pid, from_comm: from?.comm, to_pid: to?.pid, to_comm: to?.comm },
  };
  const members = {
    ...(transport === 'stdio' ? stdio : {}),
    from: from === undefined ? undefined : endpointObject(from),
    to: to === undefined ? undefined : endpointObject(to),
    connection,
    stream,
  };
  const text = JSON.stringify(members).slice(1, -1);
  if (places.size >= MAX_PLACES) places.clear();
  places.set(stream, { transport, connection, from, to, text });
  return text;
}

/** The first four members are those of the original mcpspy. */
function httpTransport(http: HttpInfo): string {
  let text = '{';
  if (http.process !== undefined) text += `"pid":${http.process.pid},"comm":${quoteName(http.process.comm)},`;
  if (http.host !== undefined) text += `"host":${quoteName(http.host)},`;
  text += `"is_request":${http.isRequest},"exchange":${http.exchange},"form":"${http.form}","http_version":"${http.version}"`;
  if (http.method !== undefined) text += `,"method":${quoteName(http.method)}`;
  if (http.path !== undefined) text += `,"path":${quoteName(http.path)}`;
  if (http.status !== undefined) text += `,"status":${http.status}`;
  if (http.sessionId !== undefined) text += `,"session_id":${quoteName(http.sessionId)}`;
  if (http.protocolVersion !== undefined) text += `,"protocol_version":${quoteName(http.protocolVersion)}`;
  const headers = JSON.stringify(http.headers);
  if (headers !== '{}') text += `,"headers":${headers}`;
  if (http.eventId !== undefined) text += `,"event_id":${JSON.stringify(http.eventId)}`;
  if (http.tls !== undefined) text += `,"tls":${quoteName(http.tls)}`;
  if (http.local !== undefined) text += `,"local":"${addressText(http.local)}"`;
  if (http.remote !== undefined) text += `,"remote":"${addressText(http.remote)}"`;
  return `${text}}`;
}

/** `192.0.2.1:443`, `[2001:db8::1]:443` (RFC 3986, section 3.2.2). */
function addressText({ ip, port }: Address): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
