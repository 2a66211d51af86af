# SPDX-License-Identifier: Apache-2.0
"""A client on asyncio: the event loop's own subprocess transport, many calls in flight at once."""
import asyncio
import json
import sys

from truth import Account

CALLS = 200


async def main():
    account = Account("client", "link")
    server = await asyncio.create_subprocess_exec(
        *sys.argv[1:], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    waiting = {}

    async def read():
        while line := await server.stdout.readline():
            text = line.decode().rstrip("\n")
            account.received(text)
            waiting.pop(json.loads(text)["id"]).set_result(None)

    async def call(id, method, params):
        waiting[id] = asyncio.get_running_loop().create_future()
        answered = waiting[id]
        text = json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, separators=(",", ":"))
        account.sent(text)
        server.stdin.write(text.encode() + b"\n")
        await server.stdin.drain()
        await answered

    reader = asyncio.create_task(read())
    about = {"name": "asyncio-client", "version": "3"}
    await call(0, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about})
    calls = ({"name": "echo", "arguments": {"number": id, "thread": True}} for id in range(1, CALLS + 1))
    await asyncio.gather(*(call(id, "tools/call", params) for id, params in enumerate(calls, 1)))
    server.stdin.close()
    await server.wait()
    await reader


asyncio.run(asyncio.wait_for(main(), 30))
