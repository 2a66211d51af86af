-- SPDX-License-Identifier: Apache-2.0
-- For wrk(1): each request is a call of a tool, of about 1 KiB.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
wrk.body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"'
  .. string.rep("x", 900) .. '"}}}'
