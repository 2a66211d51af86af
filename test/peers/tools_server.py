# SPDX-License-Identifier: Apache-2.0
"""An MCP server on standard streams that says it has a tool, for a proxy that asks; keeps account. Starts fast."""
import json

from truth import Account, lines_of, write_all

account = Account("server", "link")


def outcome(method, params):
    if method == "initialize":
        info = {"name": "tools-server", "version": "1.2.3"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "Echo: %s" % params["arguments"].get("message")}]}
    return {}


for line in lines_of(0):
    account.received(line)
    message = json.loads(line)
    if "id" in message and "method" in message:
        result = outcome(message["method"], message.get("params", {}))
        text = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}, ensure_ascii=False)
        account.sent(text)
        write_all(1, text.encode() + b"\n")
