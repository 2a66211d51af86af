// SPDX-License-Identifier: Apache-2.0
/** Events of HTTP, as the tests of views and outputs need them. */
import type { HttpEvent, HttpInfo, MessageEvent } from '../../src/mcp/events.ts';
import type { Endpoint } from '../../src/streams/frame.ts';

export const client: Endpoint = { pid: 99, comm: 'node' };
export const server: Endpoint = { pid: 100, comm: 'python' };

/** A POST over TLS, seen at the client's end; of a response with `status`. */
export function httpInfo(changes: Partial<HttpInfo> = {}): HttpInfo {
  return {
    exchange: 5,
    isRequest: true,
    form: 'body',
    version: '1.1',
    method: 'POST',
    path: '/mcp',
    host: 'api.example.com',
    status: undefined,
    sessionId: undefined,
    protocolVersion: undefined,
    headers: {},
    eventId: undefined,
    tls: 'OpenSSL',
    process: client,
    local: { ip: '192.0.2.1', port: 40000 },
    remote: { ip: '2001:db8::1', port: 443 },
    ...changes,
  };
}

const seen = {
  seq: 18,
  time: new Date(2026, 0, 15, 12, 34, 56, 789).getTime() * 1e6,
  transport: 'http',
  connection: 1,
  stream: 1,
  offset: 0,
} as const;

/** `tools/call` that was sent. */
export function httpRequest(http: Partial<HttpInfo> = {}, changes: Partial<MessageEvent> = {}): MessageEvent {
  return {
    ...seen,
    kind: 'message',
    from: client,
    to: undefined,
    http: httpInfo(http),
    type: 'request',
    id: { text: '7' },
    method: 'tools/call',
    known: true,
    description: 'Execute a tool',
    target: 'get_weather',
    status: 'pending',
    durationMs: undefined,
    error: undefined,
    params: undefined,
    result: undefined,
    errorText: undefined,
    batch: undefined,
    hop: undefined,
    foreign: false,
    warnings: [],
    raw: '{"jsonrpc":"2.0","id":7,"method":"tools/call"}',
    size: 46,
    ...changes,
  };
}

/** The answer that was received. */
export function httpResponse(
  http: Partial<HttpInfo> = {},
  changes: Partial<MessageEvent> = {},
): MessageEvent {
  return httpRequest(
    { isRequest: false, status: 200, ...http },
    { from: undefined, to: client, type: 'response', status: 'ok', durationMs: 101.2, ...changes },
  );
}

/** A request that was refused. */
export function httpEvent(http: Partial<HttpInfo> = {}, changes: Partial<HttpEvent> = {}): HttpEvent {
  return {
    ...seen,
    kind: 'http',
    from: undefined,
    to: client,
    http: httpInfo({ isRequest: false, status: 401, ...http }),
    end: 'complete',
    durationMs: 12,
    size: 14,
    body: 'invalid token\n',
    ...changes,
  };
}
