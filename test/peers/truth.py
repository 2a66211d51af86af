# SPDX-License-Identifier: Apache-2.0
"""What a peer did, by its own account: who it is, and the exact text of every message it sent and received.

Each process image writes a file of its own into $MCPSPY_TRUTH; without that it keeps no account.
"""
import json
import os
import threading
import time


def _identity():
    with open("/proc/self/comm") as comm, open("/proc/self/cmdline", "rb") as argv:
        return {
            "pid": os.getpid(),
            "comm": comm.read().rstrip("\n"),
            "exe": os.readlink("/proc/self/exe"),
            "argv": argv.read().decode().rstrip("\0").split("\0"),
        }


class Account:
    def __init__(self, role, link):
        self._about = {"role": role, "link": link}
        self._lock = threading.Lock()
        self._file = None
        directory = os.environ.get("MCPSPY_TRUTH")
        if directory:
            name = "%020d-%d-%s.jsonl" % (time.monotonic_ns(), os.getpid(), role)
            self._file = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._note({"event": "start", **_identity()})

    def _note(self, entry):
        if self._file is None:
            return
        line = json.dumps({**self._about, "time": time.monotonic_ns(), **entry}) + "\n"
        with self._lock:
            os.write(self._file, line.encode())

    def sent(self, text):
        self._note({"event": "sent", "text": text})

    def received(self, text):
        self._note({"event": "received", "text": text})

    def logged(self, text):
        """A line written to standard error."""
        self._note({"event": "stderr", "text": text})


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def lines_of(fd):
    """Yields each line that can be read from fd, without its end."""
    rest = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            return
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
