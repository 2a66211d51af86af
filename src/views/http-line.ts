// SPDX-License-Identifier: Apache-2.0
/** What the display says of HTTP: the line of an exchange, and the status on the line of a message. */
import type { HttpEvent, HttpInfo, LeftRequest } from '../mcp/events.ts';
import type { MessageEnd } from '../protocols/http.ts';
import { formatClientAndServer } from './ends.ts';
import { escapeControl } from './escape.ts';
import { formatCount, formatDuration } from './format.ts';
import { formatStatus } from './http-status.ts';
import type { Paint } from './paint.ts';

/** Of the requests that are left without an answer so many are named. */
const MAX_LEFT = 3;

const END_WORDS: Readonly<Record<MessageEnd, string | undefined>> = {
  complete: undefined,
  closed: 'connection closed',
  reset: 'reset',
  gap: 'bytes lost',
  stop: 'capture ended',
};

const LEFT_WORDS = { cancelled: 'cancelled', error: 'unanswered' } as const;

/** Both ends, the tag and all that follows; everything captured is escaped. */
export function describeHttp(event: HttpEvent, paint: Paint): string {
  const { method, path, status } = event.http;
  const isError = status === undefined || status >= 400;
  const target = `${escapeControl(method ?? '?', 20)} ${escapeControl(path ?? '?', 100)}`;
  const outcome = outcomeOf(event);
  let line = `${formatClientAndServer(event)} ${paint(isError ? 'error' : 'http', 'HTTP')} ${paint('method', target)}`;
  line += ` ${isError ? paint('error', outcome) : outcome}`;
  if (event.durationMs !== undefined) line += `  ${formatDuration(event.durationMs)}`;
  if (event.body) line += `: "${escapeControl(event.body, 80)}"`;
  return line;
}

/** `401 Unauthorized, unanswered: tools/call (get_weather)`. */
function outcomeOf({ http, end, left = [] }: HttpEvent): string {
  const parts = [http.status === undefined ? 'no response' : formatStatus(http.status)];
  const how = END_WORDS[end];
  if (how !== undefined) parts.push(how);
  for (const request of left.slice(0, MAX_LEFT)) parts.push(leftText(request));
  if (left.length > MAX_LEFT) parts.push(`and ${formatCount(left.length - MAX_LEFT)} more`);
  return parts.join(', ');
}

function leftText({ method, target, status }: LeftRequest): string {
  const about = target === undefined ? '' : ` (${escapeControl(target, 100)})`;
  return `${LEFT_WORDS[status]}: ${escapeControl(method, 100)}${about}`;
}

/** ` HTTP 404`, if the response that carried it has another status than those that a message always has. */
export function statusMark(http: HttpInfo | undefined, paint: Paint): string {
  if (http?.status === undefined || http.status === 200 || http.status === 202) return '';
  // The 101 of its handshake says nothing about a message of a WebSocket.
  if (http.form === 'websocket') return '';
  const text = `HTTP ${http.status}`;
  return ` ${http.status >= 400 ? paint('error', text) : text}`;
}
