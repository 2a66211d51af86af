// SPDX-License-Identifier: Apache-2.0
/** What a message does to its conversation's open requests, and what that says of the message. */
import { objectMembers } from '../protocols/json-members.ts';
import type { Conversation } from './conversation.ts';
import type { MessageEvent, Status } from './events.ts';
import { member } from './hostile.ts';
import type { RpcMessage } from './jsonrpc.ts';
import { methodOf, targetOf } from './methods.ts';

export interface Outcome {
  /** On a response: that of its request. */
  readonly method: string | undefined;
  readonly target: string | undefined;
  readonly status: Status | undefined;
  /** Milliseconds. */
  readonly durationMs: number | undefined;
  readonly error: MessageEvent['error'];
  readonly warnings: readonly string[];
}

/**
 * @param lane As in `Exchange`.
 * @param time CLOCK_MONOTONIC, nanoseconds.
 * @param asked Whose request a response answers, if it is not of the same conversation.
 */
export function pair(
  conversation: Conversation,
  message: RpcMessage,
  lane: number,
  time: number,
  asked: Conversation = conversation,
): Outcome {
  const { type, value, id, method } = message;
  const none = { durationMs: undefined, error: undefined, warnings: message.warnings };
  conversation.messages++;
  if (type === 'response') {
    const error = errorOf(value['error']);
    const outcome = error ? 'error' : member(value['result'], 'isError') === true ? 'tool_error' : 'ok';
    const { exchange, status, durationMs } = asked.answer(id, lane, time, outcome);
    const { warnings } = message;
    return { method: exchange?.method, target: exchange?.target, status, durationMs, error, warnings };
  }
  const target = method === undefined ? undefined : targetOf(method, value['params']);
  if (type === 'request' && id && method !== undefined) {
    // The table's own name: the one in the message is a string of its own, and the request may stay open for long.
    const name = methodOf(method)?.name ?? method;
    const reused = conversation.ask({ id, method: name, target, time, lane, cancelled: false });
    const warnings = reused
      ? [...message.warnings, 'the id of a request that is still open']
      : message.warnings;
    return { ...none, method, target, status: 'pending', warnings };
  }
  const cancelled = method === 'notifications/cancelled' && cancels(conversation, message, lane);
  return { ...none, method, target, status: cancelled ? 'cancelled' : undefined };
}

/** @returns whether this took back a request that was still open. */
function cancels(conversation: Conversation, message: RpcMessage, lane: number): boolean {
  const params = message.member('params');
  const text = params?.startsWith('{') ? objectMembers(params).get('requestId') : undefined;
  if (text === undefined || !/^["\d-]/.test(text)) return false;
  return conversation.cancel({ text }, lane);
}

function errorOf(value: unknown): MessageEvent['error'] {
  const code = member(value, 'code');
  const message = member(value, 'message');
  if (typeof code !== 'number' || typeof message !== 'string') return undefined;
  return { code, message };
}
