# SPDX-License-Identifier: Apache-2.0
"""An MCP server on the standard library that does what its caller asks of it, and keeps account.

Tools: echo {…}, fail {}, print {lines} (raw lines on stdout before the answer),
log {lines} (on stderr before the answer), exec {command} (becomes another program after the answer), exit {} (ends after the answer). Any other name echoes too. Every tool
takes `seconds`, to wait before the answer, or a file to wait for, `until`; and `thread`, not to keep the others waiting.
Options: --fork (a child does the work), --print LINE and --log LINE (before the first message), --touch PATH (after
those), --name NAME.
"""
import argparse
import json
import os
import sys
import threading
import time

from truth import Account, lines_of, write_all

parser = argparse.ArgumentParser()
parser.add_argument("--fork", action="store_true")
parser.add_argument("--name", default="python-server")
parser.add_argument("--print", dest="prints", action="append", default=[])
parser.add_argument("--log", dest="logs", action="append", default=[])
parser.add_argument("--touch")
options = parser.parse_args()

if options.fork:
    worker = os.fork()
    if worker:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]))

account = Account("server", os.environ.get("MCPSPY_LINK", "link"))
lock = threading.Lock()


def send(text):
    with lock:
        account.sent(text)
        write_all(1, text.encode() + b"\n")


def log(text):
    account.logged(text)
    write_all(2, text.encode() + b"\n")


def tool(name, arguments):
    time.sleep(arguments.get("seconds", 0))
    deadline = time.monotonic() + 60 * float(os.environ.get("MCPSPY_TEST_PATIENCE", 1))
    while not os.path.exists(arguments.get("until", "/")) and time.monotonic() < deadline:
        time.sleep(0.005)
    for line in arguments.get("lines", []):
        (log if name == "log" else send)(line)
    content = [{"type": "text", "text": json.dumps(arguments, ensure_ascii=False)}]
    return {"content": content, "isError": True} if name == "fail" else {"content": content}


def outcome(method, params):
    if method == "initialize":
        info = {"name": options.name, "version": "1.2.3"}
        return {"result": {"protocolVersion": params["protocolVersion"], "capabilities": {}, "serverInfo": info}}
    if method == "server/discover":
        meta = {"io.modelcontextprotocol/serverInfo": {"name": options.name, "version": "1.2.3"}}
        return {"result": {"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": meta}}
    if method in ("ping", "eth_call", "textDocument/hover", "x/own"):
        return {"result": {}}
    if method == "tools/list":
        return {"result": {"tools": []}}
    if method == "tools/call":
        return {"result": tool(params["name"], params.get("arguments", {}))}
    return {"error": {"code": -32601, "message": "Method not found"}}


def answer(request):
    reply = {"jsonrpc": "2.0", "id": request["id"], **outcome(request["method"], request.get("params", {}))}
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


def handle(line):
    message = json.loads(line)
    if isinstance(message, list):
        send("[" + ",".join(answer(each) for each in message if "id" in each and "method" in each) + "]")
        return
    if "method" not in message or "id" not in message:
        return
    send(answer(message))
    params = message.get("params") or {}
    if isinstance(params, dict) and params.get("name") == "exec":
        command = params["arguments"]["command"]
        os.execvp(command[0], command)
    if isinstance(params, dict) and params.get("name") == "exit":
        sys.exit()


for line in options.logs:
    log(line)
for line in options.prints:
    send(line)
if options.touch:
    open(options.touch, "w").close()
threads = []
for line in lines_of(0):
    account.received(line)
    if '"thread":true' in line:
        threads.append(threading.Thread(target=handle, args=(line,)))
        threads[-1].start()
    else:
        handle(line)
for thread in threads:
    thread.join()
