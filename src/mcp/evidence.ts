// SPDX-License-Identifier: Apache-2.0
/** What proves that a JSON-RPC message belongs to MCP. Other protocols use the same frame: LSP, DAP-like tools, Ethereum. */
import type { RpcMessage } from './jsonrpc.ts';
import { isDistinctive } from './methods.ts';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys that MCP reserves in `_meta` (2026-07-28, General fields). */
function hasMcpMeta(container: unknown): boolean {
  if (!isObject(container)) return false;
  const meta = container['_meta'];
  return isObject(meta) && Object.keys(meta).some((key) => key.startsWith('io.modelcontextprotocol/'));
}

/** Does this message alone say that its connection is MCP? */
export function provesMcp(message: RpcMessage): boolean {
  const { params, result } = message.value;
  if (message.method !== undefined) {
    if (isDistinctive(message.method) || hasMcpMeta(params)) return true;
    // LSP has an `initialize` too, without a version of MCP's form.
    return (
      message.method === 'initialize' && isObject(params) && typeof params['protocolVersion'] === 'string'
    );
  }
  return (
    isObject(result) &&
    ((typeof result['protocolVersion'] === 'string' && isObject(result['serverInfo'])) || hasMcpMeta(result))
  );
}
