# SPDX-License-Identifier: Apache-2.0
"""A client on the standard library that follows a script (a JSON file: a list of steps) and keeps account.

Steps, each an object:
  start LINK, command, [via: pipes|socketpair|stdio], [stderr: pipe], [same_pid_as: LINK]
  send LINK, text          one raw line
  answer LINK, id          waits for the response with this id
  lines LINK, count        waits until so many lines have come from the server since the start
  burst LINK, first, count, [until: PATH]
                           one request after the other, each after the answer to the one before
  parallel [steps, …]      each list in a thread of its own
  sleep SECONDS            gate PATH: waits until the file is there    touch PATH
  close LINK               ends the server's input and waits for its end    kill LINK
"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

from truth import Account, lines_of, write_all

PATIENCE = 60 * float(os.environ.get("MCPSPY_TEST_PATIENCE", 1))
links = {}


class Link:
    def __init__(self, step):
        self.name = step["start"]
        self.child = None
        self.lock = threading.Lock()
        self.changed = threading.Condition()
        self.lines = 0
        self.ids = []
        self.account = Account("client", self.name)
        via = step.get("via", "pipes")
        self.socket = None
        if via == "stdio":
            self.reading, self.writing = 0, 1
        elif via == "socketpair":
            self.socket, theirs = socket.socketpair()
            self.reading = self.writing = self.socket.fileno()
            self.spawn(step, theirs, theirs)
            theirs.close()
        else:
            their_in, self.writing = os.pipe()
            self.reading, their_out = os.pipe()
            self.spawn(step, their_in, their_out)
            os.close(their_in)
            os.close(their_out)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def spawn(self, step, stdin, stdout):
        wanted = links[step["same_pid_as"]].child.pid if "same_pid_as" in step else None

        def only_with_wanted_pid():
            if os.getpid() != wanted:
                os._exit(99)

        for _ in range(1000):
            if wanted:
                with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                    last.write(str(wanted - 1))
            self.child = subprocess.Popen(
                step["command"],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE if step.get("stderr") == "pipe" else None,
                env={**os.environ, "MCPSPY_LINK": self.name},
                preexec_fn=only_with_wanted_pid if wanted else None,
            )
            if wanted in (None, self.child.pid):
                break
            self.child.wait()
        else:
            raise SystemExit("the pid could not be had again")
        if self.child.stderr:
            threading.Thread(target=self.child.stderr.read, daemon=True).start()

    def read(self):
        for line in lines_of(self.reading):
            self.account.received(line)
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            messages = message if isinstance(message, list) else [message]
            with self.changed:
                self.lines += 1
                self.ids += [each.get("id") for each in messages if isinstance(each, dict) and "method" not in each]
                self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, PATIENCE):
                raise SystemExit("%s: no %s within %d s" % (self.name, what, PATIENCE))

    def send(self, text):
        with self.lock:
            self.account.sent(text)
            write_all(self.writing, text.encode() + b"\n")

    def answer(self, id):
        self.wait(lambda: id in self.ids, "answer to %r" % id)
        with self.changed:
            self.ids.remove(id)

    def close(self):
        if self.socket:
            self.socket.shutdown(socket.SHUT_WR)
        else:
            os.close(self.writing)
        self.thread.join(PATIENCE)
        if self.child:
            self.child.wait(PATIENCE)

    def kill(self):
        self.child.kill()
        self.child.wait()


def run(steps):
    for step in steps:
        link = links.get(step.get("send") or step.get("answer") or step.get("lines") or step.get("burst"))
        if "start" in step:
            links[step["start"]] = Link(step)
        elif "send" in step:
            link.send(step["text"])
        elif "answer" in step:
            link.answer(step["id"])
        elif "lines" in step:
            link.wait(lambda: link.lines >= step["count"], "%d lines" % step["count"])
        elif "burst" in step:
            for id in range(step["first"], step["first"] + step["count"]):
                if "until" in step and os.path.exists(step["until"]):
                    break
                params = {"name": "echo", "arguments": {"number": id, "link": step["burst"]}}
                method = step.get("method", "tools/call")
                link.send(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
                link.answer(id)
        elif "parallel" in step:
            threads = [threading.Thread(target=run, args=(each,)) for each in step["parallel"]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        elif "sleep" in step:
            time.sleep(step["sleep"])
        elif "touch" in step:
            open(step["touch"], "w").close()
        elif "gate" in step:
            until = time.monotonic() + PATIENCE
            while not os.path.exists(step["gate"]):
                if time.monotonic() > until:
                    raise SystemExit("the gate never opened")
                time.sleep(0.005)
        elif "close" in step:
            links[step["close"]].close()
        elif "kill" in step:
            links[step["kill"]].kill()


try:
    with open(sys.argv[1]) as script:
        run(json.load(script))
finally:
    for link in links.values():
        if link.child and link.child.poll() is None:
            link.child.kill()
