// SPDX-License-Identifier: Apache-2.0
/** What client and server of a conversation call themselves. */
import type { Endpoint } from '../streams/frame.ts';
import type { Conversation } from './conversation.ts';
import type { Party, ServerEvent } from './events.ts';
import { member } from './hostile.ts';
import type { RpcMessage } from './jsonrpc.ts';

/**
 * Notes names and protocol version that this message tells: in the handshake, or in `_meta` of 2026-07-28.
 * @param method Of a response, that of its request.
 * @returns whether that makes the server better known than before.
 */
export function introduce(
  conversation: Conversation,
  message: RpcMessage,
  method: string | undefined,
): boolean {
  const { params, result } = message.value as { params?: unknown; result?: unknown };
  const asked = member(params, '_meta');
  const handshake = method === 'initialize';
  const client = handshake
    ? member(params, 'clientInfo')
    : member(asked, 'io.modelcontextprotocol/clientInfo');
  const server = handshake
    ? member(result, 'serverInfo')
    : member(member(result, '_meta'), 'io.modelcontextprotocol/serverInfo');
  const version = handshake
    ? member(result, 'protocolVersion')
    : member(asked, 'io.modelcontextprotocol/protocolVersion');
  if (client === undefined && server === undefined && version === undefined) return false;
  const before = namesOf(conversation);
  if (client !== undefined) conversation.clientInfo = partyOf(client, conversation.client);
  if (server !== undefined) conversation.serverInfo = partyOf(server, conversation.server);
  if (typeof version === 'string') conversation.protocolVersion = version;
  return before !== namesOf(conversation) && (server !== undefined || !handshake);
}

/** What is known of the two sides by now. `time`: wall clock, nanoseconds. */
export function serverEvent(conversation: Conversation, time: number): ServerEvent {
  const { connection, protocolVersion, sessionId } = conversation;
  const event: ServerEvent = {
    kind: 'server',
    time,
    connection,
    server: conversation.serverInfo ?? partyOf(undefined, conversation.server),
    client: conversation.clientInfo ?? partyOf(undefined, conversation.client),
    protocolVersion,
  };
  return sessionId === undefined ? event : { ...event, sessionId };
}

function namesOf({ clientInfo, serverInfo, protocolVersion }: Conversation): string {
  return [clientInfo?.name, serverInfo?.name, protocolVersion].join('\0');
}

function partyOf(info: unknown, endpoint: Endpoint | undefined): Party {
  const name = member(info, 'name');
  const version = member(info, 'version');
  return {
    name: typeof name === 'string' ? name : undefined,
    version: typeof version === 'string' ? version : undefined,
    endpoint,
  };
}
