# SPDX-License-Identifier: Apache-2.0
"""Starts a server and passes bytes on both ways, as a logging or sandboxing wrapper does; keeps account of lines."""
import os
import subprocess
import sys
import threading

from truth import Account, write_all

here = os.environ.get("MCPSPY_LINK", "link")
onward = here + "+"
near, far = Account("server", here), Account("client", onward)
server = subprocess.Popen(
    sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env={**os.environ, "MCPSPY_LINK": onward}
)


def copy(source, target, received, sent, done):
    rest = b""
    while chunk := os.read(source, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            received(line.decode())
            sent(line.decode())
        write_all(target, chunk)
    done()


back = threading.Thread(target=copy, args=(server.stdout.fileno(), 1, far.received, near.sent, lambda: None))
back.start()
copy(0, server.stdin.fileno(), near.received, far.sent, server.stdin.close)
back.join()
sys.exit(server.wait())
