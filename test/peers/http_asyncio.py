# SPDX-License-Identifier: Apache-2.0
"""A client on asyncio's streams with TLS, which asyncio encrypts in memory (ssl.MemoryBIO). Argument: the URL."""
import asyncio
import json
import os
import ssl
import sys
import urllib.parse

from http_truth import HttpAccount, address

CONNECTIONS = 8
CALLS = 10
url = urllib.parse.urlsplit(sys.argv[1])
account = HttpAccount()


async def post(reader, writer, message):
    text = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
    body = text.encode()
    head = "POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    ends = [address(writer.get_extra_info(name)[:2]) for name in ("sockname", "peername")]
    exchange = account.exchange("client", url.scheme == "https", *ends, "POST", url.path, {})
    exchange.message("request", text)
    writer.write((head % (url.path, url.netloc, len(body))).encode() + body)
    await writer.drain()
    status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields if field)}
    answer = await reader.readexactly(int(headers.get("content-length", 0)))
    exchange.head(int(status.split()[1]), headers)
    if answer:
        exchange.message("response", answer.decode())


async def converse(number):
    context = ssl.create_default_context(cafile=os.environ["TLS_CERT"]) if url.scheme == "https" else None
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
    info = {"name": "asyncio", "version": str(number)}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    await post(reader, writer, {"id": 0, "method": "initialize", "params": params})
    for id in range(1, CALLS + 1):
        params = {"name": "echo", "arguments": {"connection": number, "text": "größe" * id * id * 40}}
        await post(reader, writer, {"id": id, "method": "tools/call", "params": params})
    writer.close()
    await writer.wait_closed()


async def main():
    await asyncio.gather(*(converse(number) for number in range(CONNECTIONS)))


asyncio.run(asyncio.wait_for(main(), 30))
