# SPDX-License-Identifier: Apache-2.0
"""A client on http.client. Argument: the server's URL, or the path of its unix socket.

Keeps one connection alive; sends a body in pieces with Transfer-Encoding: chunked, too.
"""
import http.client
import json
import os
import socket
import ssl
import sys
import urllib.parse

from http_truth import HttpAccount, address

PATIENCE = 20 * float(os.environ.get("MCPSPY_TEST_PATIENCE", 1))


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(sys.argv[1])


url = urllib.parse.urlsplit(sys.argv[1])
if url.scheme == "https":
    context = ssl.create_default_context(cafile=os.environ["TLS_CERT"])
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=PATIENCE)
elif url.scheme == "http":
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=PATIENCE)
else:
    connection = UnixConnection("localhost", timeout=PATIENCE)
path = url.path if url.scheme else "/mcp"
account = HttpAccount()
headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
connection.connect()
ends = (address(connection.sock.getsockname()), address(connection.sock.getpeername()))


def post(message, chunked=False):
    text = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
    body = text.encode()
    exchange = account.exchange("client", url.scheme == "https", *ends, "POST", path, headers)
    exchange.message("request", text)
    pieces = iter([body[:7], body[7:30], body[30:]])
    connection.request("POST", path, body=pieces if chunked else body, headers=headers, encode_chunked=chunked)
    with connection.getresponse() as response:
        answer = response.read().decode()
        exchange.head(response.status, {name.lower(): value for name, value in response.headers.items()})
    if answer:
        exchange.message("response", answer)


def call(id, arguments, chunked=False):
    params = {"name": "echo", "arguments": arguments}
    post({"id": id, "method": "tools/call", "params": params}, chunked)


info = {"name": "http.client", "version": "3"}
post({"id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}})
post({"method": "notifications/initialized"})
for id in range(1, 21):
    call(id, {"number": id, "text": "grüße 🌍"})
call("chunked", {"in": "pieces"}, chunked=True)
call("large", {"text": "ü" * 500_000})
call("large and chunked", {"text": "ü" * 500_000}, chunked=True)
