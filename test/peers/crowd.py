# SPDX-License-Identifier: Apache-2.0
"""10,000 processes that live for a moment and talk JSON-RPC among themselves, outside of the watched tree.

crowd.py STARTED: makes the file STARTED after the first hundred.
"""
import os
import subprocess
import sys

MESSAGE = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stranger"}}\n'

for number in range(10_000):
    if number % 100:
        # fork and exec, as cheaply as it can be done.
        os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
        continue
    subprocess.run(["cat"], input=MESSAGE * 10, stdout=subprocess.PIPE, check=True)
    if number == 100:
        with open(sys.argv[1], "w"):
            pass
