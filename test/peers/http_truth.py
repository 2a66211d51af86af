# SPDX-License-Identifier: Apache-2.0
"""The account a Python peer keeps of its HTTP, in the form of http-truth.ts."""
import itertools
import json
import os
import threading
import time

from truth import _identity


class HttpAccount:
    def __init__(self):
        name = "%020d-%d.http" % (time.monotonic_ns(), os.getpid())
        path = os.path.join(os.environ["MCPSPY_TRUTH"], name)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.note({"event": "start", **_identity()})

    def note(self, entry):
        with self._lock:
            os.write(self._file, (json.dumps(entry) + "\n").encode())

    def exchange(self, role, tls, client, server, method, path, headers):
        """Addresses as `ip:port`, or None on a unix socket."""
        about = {"role": role, "tls": tls, "method": method, "path": path, "headers": headers}
        ends = {name: end for name, end in (("client", client), ("server", server)) if end}
        number = next(self._numbers)
        self.note({"event": "exchange", "exchange": number, "time": time.monotonic_ns(), **about, **ends})
        return AccountedExchange(self, number)


class AccountedExchange:
    def __init__(self, account, number):
        self._account = account
        self._number = number

    def head(self, status, headers):
        self._note({"event": "head", "status": status, "headers": headers})

    def message(self, side, text):
        """Before it is sent, or after it was received."""
        self._note({"event": "message", "side": side, "form": "body", "text": text})

    def _note(self, entry):
        self._account.note({**entry, "exchange": self._number, "time": time.monotonic_ns()})


def address(end):
    """`ip:port` of what getsockname() or getpeername() says."""
    return "%s:%d" % (end[0].removeprefix("::ffff:"), end[1]) if isinstance(end, tuple) else None
