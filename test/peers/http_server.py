# SPDX-License-Identifier: Apache-2.0
"""A server on http.server, a thread a connection, that echoes: at $PORT, with TLS if $TLS_CERT and $TLS_KEY are there."""
import http.server
import json
import os
import ssl

from http_truth import HttpAccount, address

account = HttpAccount()
certificate, key = os.environ.get("TLS_CERT"), os.environ.get("TLS_KEY")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        ends = [address(end[:2]) for end in (self.connection.getpeername(), self.connection.getsockname())]
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = account.exchange("server", bool(certificate), *ends, "POST", self.path, headers)
        text = self.body().decode()
        exchange.message("request", text)
        message = json.loads(text)
        if "id" not in message:
            exchange.head(202, {})
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if message["method"] == "initialize":
            info = {"name": "http.server", "version": "3"}
            result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}, "serverInfo": info}
        else:
            content = json.dumps(message["params"], ensure_ascii=False)
            result = {"content": [{"type": "text", "text": content}]}
        answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}, ensure_ascii=False)
        exchange.head(200, {"content-type": "application/json"})
        exchange.message("response", answer)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers["content-length"]))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    # The tests' clients come at once.
    request_queue_size = 256

    def finish_request(self, request, client_address):
        # In the connection's own thread: a slow handshake keeps nobody waiting.
        if certificate:
            try:
                request = context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)
        if certificate:
            try:
                request.unwrap()
            except OSError:
                pass


if certificate:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.serve_forever()
