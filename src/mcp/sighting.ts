// SPDX-License-Identifier: Apache-2.0
/** An exchange inside TLS as one end of its connection sees it, and by what the other end's sighting is found. */
import { hash } from 'node:crypto';
import type { Side } from '../protocols/http.ts';
import type { Frame, HttpExchange, HttpStep } from '../streams/frame.ts';
import type { HttpExchangeState } from './http-exchange.ts';
import type { Told } from './told.ts';

/** An exchange as one end sees it. */
export interface Sighting {
  readonly exchange: HttpExchange;
  /** Its own, as long as it is not known to be the other end's, too. */
  readonly state: HttpExchangeState;
  /** Of both ends, once they are known as one. */
  told: Readonly<Record<Side, Told>>;
  /** The other end has been seen. */
  matched: boolean;
  /** Places of the heads. */
  readonly heads: Partial<Record<Side, number>>;
  /** What the request says. */
  content: string | undefined;
  /** Messages, by side. */
  readonly count: Record<Side, number>;
  /** Under which names it is filed. */
  readonly names: Set<string>;
}

/** Is it a response without a request, and none of it has been shown? */
export function isIdle({ exchange, state }: Sighting): boolean {
  return !exchange.request && !state.shown;
}

/** Has nothing been said of it yet? */
export function isFresh({ state: { messages, over } }: Sighting): boolean {
  return messages.request + messages.response === 0 && !over;
}

/** Exactly this content. */
export function printOf(item: Frame | HttpStep): string {
  if (item.kind === 'http')
    return item.step.type === 'event' ? `event ${item.step.name} ${item.step.data}` : '';
  const { content, size } = item;
  switch (content.type) {
    case 'text':
      return hash('sha1', content.bytes ?? content.text, 'base64');
    case 'binary':
      return hash('sha1', content.bytes, 'base64');
    default:
      return `${content.type} ${size}`;
  }
}

/** What the request says, as soon as all of it is known. */
export function contentOf({ exchange }: Sighting, item: Frame | HttpStep): string | undefined {
  const { method, target, headers } = exchange.request ?? {};
  // Others are told by their body.
  const bare = method === 'GET' || method === 'DELETE';
  if (bare) return `${method} ${target} ${headers?.get('last-event-id') ?? ''}`;
  return item.kind === 'frame' ? `${method} ${target} ${printOf(item)}` : undefined;
}

/** A frame or an event: what is told once. */
export function isMessage(item: Frame | HttpStep): boolean {
  return item.kind === 'frame' || item.step.type === 'event';
}

export function isCoded(exchange: HttpExchange, side: Side): boolean {
  const coding = exchange[side]?.headers.get('content-encoding');
  return coding !== undefined && coding !== 'identity';
}

/** Clear text is seen once. */
export function isEncrypted({ requests, responses }: HttpExchange): boolean {
  return (requests ?? responses)?.carrier === 'tls';
}

function isJoined({ exchange: { requests, responses } }: Sighting): boolean {
  return (requests ?? responses)?.joined ?? false;
}

/** Was it joined in the middle, so that some of its request's headers are unknown (HPACK, RFC 7541, section 2.3.2)? */
export function isVague(sighting: Sighting): boolean {
  const { request } = sighting.exchange;
  return isJoined(sighting) && request !== undefined && !request.headers.complete;
}

/** Which end of which connection it is, if that has been followed from its first byte on. */
export function wholeEnd(sighting: Sighting): string | undefined {
  const carrier = carrierOf(sighting);
  const end = endOf(sighting);
  return carrier !== undefined && end && !isJoined(sighting) ? `${carrier} ${end}` : undefined;
}

/** The end opposite to this one, as `wholeEnd` names it. */
export function oppositeEnd(sighting: Sighting): string | undefined {
  const carrier = carrierOf(sighting);
  const end = endOf(sighting);
  return carrier !== undefined && end ? `${carrier} ${end === 'client' ? 'server' : 'client'}` : undefined;
}

/** Which connection carries it; `undefined` while that is not known. */
export function carrierOf({ exchange: { requests, responses } }: Sighting): string | undefined {
  if (requests?.carriedBy !== undefined) return `stream ${requests.carriedBy}`;
  const client = requests?.source ?? responses?.destination;
  const server = requests?.destination ?? responses?.source;
  return client && server && `${client.ip} ${client.port} ${server.ip} ${server.port}`;
}

/** At which end was it seen? */
function endOf({ exchange: { requests, responses } }: Sighting): 'client' | 'server' | undefined {
  if (requests?.seenAt) return requests.seenAt === 'writer' ? 'client' : 'server';
  if (responses?.seenAt) return responses.seenAt === 'reader' ? 'client' : 'server';
  return undefined;
}

/** Can there be another end in sight? Not where a known connection leads to nobody whom we know. */
export function mayMeet(sighting: Sighting): boolean {
  const { client, server } = sighting.state;
  return carrierOf(sighting) === undefined || (client !== undefined && server !== undefined);
}

/** Can these be the two ends of one exchange? */
export function mayBeOne(a: Sighting, b: Sighting): boolean {
  const [end, other] = [endOf(a), endOf(b)];
  if (end !== undefined && end === other) return false;
  if (!agree(a.state.client?.pid, b.state.client?.pid) || !agree(a.state.server?.pid, b.state.server?.pid))
    return false;
  return agree(carrierOf(a), carrierOf(b));
}

/** Do both ends count from the same byte? If nothing of one was missed without a word, they do from their first on. */
export function countAlike(a: Sighting, b: Sighting): boolean {
  if (isJoined(a) || isJoined(b)) return false;
  return agree(a.heads.request, b.heads.request) && agree(a.heads.response, b.heads.response);
}

/** Nothing that is known of both differs. */
function agree<T>(a: T | undefined, b: T | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

/** The name of all whose connection is not known. */
const UNTIED = 'untied';

/** Of a connection followed from its first byte on. */
export function placeNames(sighting: Sighting): string[] {
  const carrier = carrierOf(sighting);
  if (carrier === undefined || isJoined(sighting)) return [];
  return Object.entries(sighting.heads).map(([side, place]) => `${carrier} ${side} ${place}`);
}

/** What an exchange is known by as long as it says nothing: its connection, or the processes at its ends. */
export function ownNames(sighting: Sighting): string[] {
  const carrier = carrierOf(sighting);
  return carrier === undefined
    ? [UNTIED, ...processNames(sighting, 'untied')]
    : [carrier, ...processNames(sighting, 'tied')];
}

/** The same of its other end. */
export function otherNames(sighting: Sighting): string[] {
  const carrier = carrierOf(sighting);
  return carrier === undefined
    ? [UNTIED, ...processNames(sighting, 'tied')]
    : [carrier, ...processNames(sighting, 'untied')];
}

function processNames({ state: { client, server } }: Sighting, kind: 'tied' | 'untied'): string[] {
  return [
    ...(client ? [`${kind} client ${client.pid}`] : []),
    ...(server ? [`${kind} server ${server.pid}`] : []),
  ];
}

export function withContent(names: readonly string[], content: string): string[] {
  return names.map((name) => `${name} ${content}`);
}
