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

/** What the events between two processes have in common, as text; by who writes, then by who reads. */
type Places = Map<Endpoint | undefined, Map<Endpoint | undefined, string>>;

/** Endpoints do not change, so the same object means the same text. Not by stream: of those there may be 50,000. */
const places: Readonly<Record<'stdio' | 'http', Places>> = { stdio: new Map(), http: new Map() };
const MAX_PLACES = 1024;
let placesKnown = 0;

/** All members for stdio; for HTTP those from `from` on. */
function placeOf({ transport, connection, stream, from, to }: SeenEvent): string {
  const text = places[transport].get(from)?.get(to) ?? learnPlace(transport, from, to);
  return `${text}"connection":${connection},"stream":${stream}`;
}

/** @returns members with a comma after each. */
function learnPlace(
  transport: 'stdio' | 'http',
  from: Endpoint | undefined,
  to: Endpoint | undefined,
): string {
  const stdio = {
    transport_type: 'stdio',
    stdio_transport: { from_pid: from?.pid, from_comm: from?.comm, to_pid: to?.pid, to_comm: to?.comm },
  };
  const members = {
    ...(transport === 'stdio' ? stdio : {}),
    from: from === undefined ? undefined : endpointObject(from),
    to: to === undefined ? undefined : endpointObject(to),
  };
  const inside = JSON.stringify(members).slice(1, -1);
  const text = inside ? `${inside},` : '';
  if (++placesKnown > MAX_PLACES) {
    for (const all of Object.values(places)) all.clear();
    placesKnown = 1;
  }
  const byReader = places[transport].get(from);
  if (byReader) byReader.set(to, text);
  else places[transport].set(from, new Map([[to, text]]));
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
