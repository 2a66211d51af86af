// SPDX-License-Identifier: Apache-2.0
/** What the end of an exchange at an MCP endpoint says by itself. */
import type { Exchange } from './conversation.ts';
import type { LeftRequest } from './events.ts';
import { HEADERS_REQUIRED } from './header-check.ts';
import type { HttpConversation } from './http-conversation.ts';
import { laneOf } from './http-conversation.ts';
import type { HttpExchangeState } from './http-exchange.ts';

/** Worth an event; with the requests that get no answer any more. */
export interface HttpOutcome {
  readonly left: readonly LeftRequest[];
}

/**
 * Takes the requests that will not be answered out of the conversation.
 * @returns `undefined` when the messages of the exchange have said everything.
 */
export function outcomeOf(state: HttpExchangeState, conversation: HttpConversation): HttpOutcome | undefined {
  const { status, method } = state;
  const how = state.ends.response?.how;
  const leave = (as: LeftRequest['status']): HttpOutcome => ({
    left: conversation.leave(laneOf(state.id, 'request')).map((each) => leftOf(each, as)),
  });
  if (state.messages.response === 0) {
    if (status === undefined) return how === 'closed' || how === 'reset' ? leave('error') : undefined;
    // A redirection is followed by the same request at another place.
    if (status >= 300 && status !== 304) return leave('error');
    if (method === 'DELETE') return { left: [] };
    // A page instead of an answer, as of a login.
    const page = method === 'POST' && status === 200 && !!state.ends.response?.body && !state.isEventStream;
    if (page && how === 'complete' && !conversation.answersElsewhere) return unlessNone(leave('error'));
  }
  if (!isStateless(state)) return undefined;
  const closed = state.isEventStream && (how === 'closed' || how === 'reset');
  if (how !== 'complete' && !closed) return undefined;
  return unlessNone(leave(closed ? 'cancelled' : 'error'));
}

function unlessNone(outcome: HttpOutcome): HttpOutcome | undefined {
  return outcome.left.length ? outcome : undefined;
}

/** From 2026-07-28 on an exchange stands for itself, and no other one brings the answer. */
function isStateless(state: HttpExchangeState): boolean {
  const version = state.request?.headers.get('mcp-protocol-version') ?? state.version ?? '';
  return version >= HEADERS_REQUIRED;
}

function leftOf({ id, method, target, cancelled }: Exchange, status: LeftRequest['status']): LeftRequest {
  return { id, method, target, status: cancelled ? 'cancelled' : status };
}
