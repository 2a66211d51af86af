// SPDX-License-Identifier: Apache-2.0
/** The live display: one line for each frame. Everything captured is escaped. */
import type { Bus } from '../bus.ts';
import type {
  EndsEvent,
  GapEvent,
  HttpEvent,
  InvalidEvent,
  MessageEvent,
  StderrEvent,
} from '../mcp/events.ts';
import { formatEnds } from './ends.ts';
import { escapeControl } from './escape.ts';
import { formatBytes, formatCount, formatDuration, formatEndpoint, LOSS_WORDS } from './format.ts';
import { describeHttp, statusMark } from './http-line.ts';
import { asIs, inColour, type Paint } from './paint.ts';
import { formatRawBox } from './raw-box.ts';

export interface ConsoleOptions {
  /** Use SGR colours. */
  readonly color: boolean;
  /** Print the raw text under each line. */
  readonly buffers: boolean;
}

export type ConsoleEvent = MessageEvent | InvalidEvent | StderrEvent | HttpEvent | GapEvent;

/** Writes a line, or with `buffers` several, to `write` for each frame on the bus, each with its line end. */
export class ConsoleView {
  constructor(bus: Bus, write: (text: string) => void, options: ConsoleOptions) {
    const show = (event: ConsoleEvent): void => write(`${formatEventLine(event, options)}\n`);
    bus.on('message', show).on('invalid', show).on('stderr', show).on('http', show).on('gap', show);
    bus.on('ends', (event) => write(`${formatEndsLine(event, options)}\n`));
  }
}

/** One event for the terminal, without the last line end. */
export function formatEventLine(event: ConsoleEvent, options: ConsoleOptions): string {
  const paint = options.color ? inColour : asIs;
  const late = event.late ? ' (out of order)' : '';
  const line = `${paint('time', clock(event.time))} ${describe(event, paint)}${late}`;
  const box = options.buffers ? boxOf(event) : undefined;
  return box === undefined ? line : `${line}\n${box}`;
}

/** Whose a message was that was shown with a `?`. */
export function formatEndsLine(event: EndsEvent, options: ConsoleOptions): string {
  const paint = options.color ? inColour : asIs;
  const subject = event.method ?? (event.id && `id ${event.id.text}`);
  const what = subject === undefined ? '' : ` (${escapeControl(subject, 100)})`;
  return `${paint('time', clock(event.time))} ${formatEnds(event)} ${paint('log', 'ENDS')} of #${event.message}${what}`;
}

function boxOf(event: ConsoleEvent): string | undefined {
  if (event.kind === 'http') return event.body ? formatRawBox(event.body, isJson(event.body)) : undefined;
  if (!('raw' in event) || event.raw === undefined) return undefined;
  return formatRawBox(event.raw, event.kind === 'message');
}

function describe(event: ConsoleEvent, paint: Paint): string {
  switch (event.kind) {
    case 'message':
      return describeMessage(event, paint);
    case 'invalid':
      return `${formatEnds(event)} ${paint('bad', 'BAD ')} ${invalidText(event, paint)}`;
    case 'stderr':
      // Where it goes (a terminal, a log) is seldom known and never the point.
      return `${formatEndpoint(event.from)} ${paint('log', 'LOG ')} stderr: ${escapeControl(event.text, 1000)}`;
    case 'http':
      return describeHttp(event, paint);
    case 'gap':
      return `${formatEnds(event)} ${paint('lost', `LOST ${gapText(event)}`)}`;
  }
}

function describeMessage(event: MessageEvent, paint: Paint): string {
  const isError = event.error !== undefined || event.status === 'tool_error';
  const tag = isError ? ERROR_TAG : TAGS[event.type];
  let line = `${formatEnds(event)} ${paint(tag.style, tag.text)} ${subject(event, paint)}`;
  const detail = detailOf(event);
  if (detail !== '') line += ` ${isError ? paint('error', detail) : detail}`;
  line += statusMark(event.http, paint);
  if (event.durationMs !== undefined) line += `  ${formatDuration(event.durationMs)}`;
  if (event.batch !== undefined) line += ` [${event.batch.index + 1}/${event.batch.size}]`;
  if (event.hop !== undefined) line += ` ↷ hop ${event.hop.number} of #${event.hop.origin}`;
  for (const warning of event.warnings) line += ` ${paint('bad', `⚠ ${escapeControl(warning, 100)}`)}`;
  return line;
}

/** `tools/call (get_weather)`; the id of what has no method. */
function subject(event: MessageEvent, paint: Paint): string {
  if (event.method === undefined) return `id ${escapeControl(event.id?.text ?? '?', 40)}`;
  let text = paint('method', escapeControl(event.method, 100));
  if (event.target !== undefined) text += ` (${escapeControl(event.target, 100)})`;
  if (event.foreign) text += ' (not MCP)';
  else if (event.known === false) text += ' (unknown method)';
  return text;
}

function detailOf(event: MessageEvent): string {
  if (event.type === 'notification') return notificationDetail(event) ?? event.description ?? '';
  const outcome = event.type === 'request' ? (event.description ?? '') : outcomeOf(event);
  const state = event.status === undefined ? undefined : STATE_WORDS[event.status];
  if (state === undefined) return outcome;
  return outcome === '' ? state : `${outcome}, ${state}`;
}

const STATE_WORDS: Readonly<Record<string, string>> = {
  cancelled: 'cancelled',
  late: 'late: after its request was cancelled',
  orphan: 'orphan: its request was not seen',
};

function outcomeOf(event: MessageEvent): string {
  if (event.error !== undefined) return `${escapeControl(event.error.message, 200)} (${event.error.code})`;
  if (event.status === 'ok') return 'OK';
  if (event.status !== 'tool_error') return '';
  const text = toolErrorText(event.result);
  return text === undefined ? 'tool error' : `tool error: ${escapeControl(text, 200)}`;
}

/** The first text of a tool's result. */
function toolErrorText(result: string | undefined): string | undefined {
  const content = parseSmall(result)?.content;
  if (!Array.isArray(content)) return undefined;
  for (const item of content) if (typeof item?.text === 'string') return item.text;
  return undefined;
}

/** What a well-known notification says, in short. */
function notificationDetail(event: MessageEvent): string | undefined {
  switch (event.method) {
    case 'notifications/progress': {
      const { progress, total, message } = parseSmall(event.params) ?? {};
      if (typeof progress !== 'number') return undefined;
      const part = typeof total === 'number' ? `${progress}/${total}` : `${progress}`;
      return typeof message === 'string' ? `${part} ${escapeControl(message, 100)}` : part;
    }
    case 'notifications/message': {
      const { level, data } = parseSmall(event.params) ?? {};
      if (typeof level !== 'string') return undefined;
      const text = typeof data === 'string' ? data : (JSON.stringify(data) ?? '');
      return `${escapeControl(level, 20)}: ${escapeControl(text, 200)}`;
    }
    case 'notifications/cancelled': {
      // Not from the parsed value: a large number would change.
      const id = REQUEST_ID.exec(event.params?.slice(0, MAX_PARSED) ?? '')?.[1];
      const reason = parseSmall(event.params)?.reason;
      if (id === undefined) return undefined;
      const request = `request ${escapeControl(id, 40)}`;
      return typeof reason === 'string' ? `${request}: ${escapeControl(reason, 100)}` : request;
    }
    default:
      return undefined;
  }
}

const REQUEST_ID = /"requestId"\s*:\s*("(?:[^"\\]|\\.)*"|[^\s,}]+)/;
/** More text than this (UTF-16 units) is not parsed for a detail. */
const MAX_PARSED = 65536;

/** The members of a small JSON object; `undefined` for everything else. */
function parseSmall(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined || text.length > MAX_PARSED) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function invalidText({ reason, size, raw, rawBase64, http }: InvalidEvent, paint: Paint): string {
  const shown =
    raw === undefined ? `base64 "${escapeControl(rawBase64 ?? '', 80)}"` : `"${escapeControl(raw, 80)}"`;
  return `${escapeControl(reason, 200)} (${formatBytes(size)})${statusMark(http, paint)}: ${shown}`;
}

function gapText({ bytes, frames, cause }: GapEvent): string {
  const count = `${formatCount(bytes)} ${bytes === 1 ? 'byte' : 'bytes'}`;
  const whole = frames === undefined ? '' : ` (${formatCount(frames)} ${frames === 1 ? 'frame' : 'frames'})`;
  return `${count}${whole}: ${LOSS_WORDS[cause]}`;
}

let cachedSecond = Number.NaN;
let cachedClock = '';

/** Local time of day, `12:34:56.789`. `time` in nanoseconds since the epoch. */
function clock(time: number): string {
  const milliseconds = Math.floor(time / 1e6);
  const second = Math.floor(milliseconds / 1000);
  if (second !== cachedSecond) {
    cachedSecond = second;
    const date = new Date(second * 1000);
    const fields = [date.getHours(), date.getMinutes(), date.getSeconds()];
    cachedClock = fields.map((field) => String(field).padStart(2, '0')).join(':');
  }
  return `${cachedClock}.${String(1000 + milliseconds - second * 1000).slice(1)}`;
}

const TAGS = {
  request: { style: 'request', text: 'REQ ' },
  response: { style: 'response', text: 'RESP' },
  notification: { style: 'notification', text: 'NOTF' },
} as const;
const ERROR_TAG = { style: 'error', text: 'ERR ' } as const;
