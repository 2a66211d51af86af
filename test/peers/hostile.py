# SPDX-License-Identifier: Apache-2.0
"""Writes what a parser or a terminal might choke on, and logs every frame as it was sent.

hostile.py DIR CASE: the frames of CASE go to a child's standard input through a pipe, each followed by an
innocent one. DIR/sent holds the bytes.
"""
import json
import os
import subprocess
import sys

directory, case = sys.argv[1:]


def request(identity, text="x"):
    message = {"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": {"name": "echo", "arguments": {"text": text}}}
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")


def wrap(value, identity="1"):
    return b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"echo","arguments":{"v":%s}}}' % (identity.encode(), value)


TERMINAL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x85\u202egnp.exe\u2066\u200b\ufeff\u2028\u2029\x7f\x08\x00"

CASES = {
    "nesting": [
        wrap(b"[" * 100_000 + b"]" * 100_000),
        wrap(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    "keys": [
        wrap(b'{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","__proto__":{"method":"initialize"},"params":{"name":"__proto__"}}',
        b'{"__proto__":{"jsonrpc":"2.0","id":1,"method":"ping"}}',
        b'{"jsonrpc":"2.0","id":"__proto__","method":"__proto__"}',
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list","method":"tools/call","params":{},"params":{"name":"b"}}',
        b'{"jsonrpc":"2.0","id":3,"result":{},"toString":1,"hasOwnProperty":2,"valueOf":3}',
        b'{"jsonrpc":"2.0","id":3,"method":"constructor","params":{"name":"toString"}}',
    ],
    "numbers": [
        b'{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":-1e999,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":12345678901234567890123,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 300 + b',"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1e-400,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":-0,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":1e999,"message":"x"}}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":-32000.0,"message":"x"}}',
        wrap(b"-1e999"),
    ],
    "text": [
        wrap(b'"\\ud800"'),
        wrap(b'"\\udc00\\ud800"'),
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/call","params":{"name":"\\udfff"}}',
        b'{"jsonrpc":"2.0","id":"\\u0000\\u001b[31m","method":"\\u001b]0;x\\u0007","params":{"name":"\\u202e\\u009b"}}',
        wrap(b'"\xed\xa0\x80"'),  # a surrogate in UTF-8: not UTF-8
        wrap(b'"\xff\xfe"'),
        wrap(b'"\xc0\x80"'),
        b"\xff" * 5000,
        b"\xf0\x9f\x98",
        b"\x00",
        b"\x00" * 4097,
        wrap(b'"a\x00b"'),
        b"\xef\xbb\xbf" + request(5),
        b"\t \t",
        "\u2028".encode(),
    ],
    "terminal": [
        request(1, TERMINAL),
        TERMINAL.encode(),
        json.dumps({"jsonrpc": "2.0", "id": TERMINAL, "method": TERMINAL, "params": {"name": TERMINAL, "_meta": TERMINAL}}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": TERMINAL}}, ensure_ascii=False).encode(),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": TERMINAL, "data": TERMINAL}}).encode(),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1, "message": TERMINAL}}).encode(),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": TERMINAL, "reason": TERMINAL}}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": TERMINAL}, TERMINAL: 1}).encode(),
        json.dumps([{"jsonrpc": TERMINAL}, {"jsonrpc": "2.0", "method": "ping", "id": 9}]).encode(),
        b"\x1b[31m" * 1000,
    ],
    "huge": [wrap(b'"' + b"\xc3\xa4\\n" * (15 << 20) + b'"')],
}

initialize = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": TERMINAL, "version": "1"}},
}

reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
with open(os.path.join(directory, "sent"), "wb") as log:
    def send(frame):
        reader.stdin.write(frame + b"\n")
        reader.stdin.flush()
        log.write(frame + b"\n")

    send(json.dumps(initialize).encode())
    for number, frame in enumerate(CASES[case]):
        send(frame)
        send(request(1000 + number, "innocent"))
reader.stdin.close()
# What the monitor has used of memory is asked of the kernel when all is in the file: see the test.
if case == "huge":
    import time

    time.sleep(4)
    with open("/proc/%d/stat" % os.getppid()) as stat:
        monitor = stat.read().rpartition(")")[2].split()[1]
    with open("/proc/%s/status" % monitor) as status:
        print([line.split()[1] for line in status if line.startswith("VmHWM")][0], flush=True)
sys.exit(reader.wait())
