"""Process 1 of a sandbox: starts programs there, signals them, and takes everything with it when it ends.

In a process namespace the kernel kills all that is left when process 1 ends, containers and their shims included; that
is how a cluster, or one node of it, ends at once and whole. Without a namespace (the API level, which needs no root)
every child asks the kernel to be killed with its parent. Requests come over a Unix socket in the sandbox's folder, one
JSON line each way; nothing here may block or fail, so it is one thread and the standard library.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

SOCKET = "control.sock"
PR_SET_PDEATHSIG = 1
REQUEST_TIMEOUT_S = 5.0
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In a new child: be killed when the parent ends, however it ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """The programs of one sandbox, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[str, subprocess.Popen[bytes]] = {}
        self.exits: dict[int, int] = {}
        self.selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Answer requests until killed."""
        listener = socket.socket(socket.AF_UNIX)
        (self.folder / SOCKET).unlink(missing_ok=True)
        listener.bind(str(self.folder / SOCKET))
        listener.listen(16)
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.accept(listener))
        self.selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        while True:
            for key, _ in self.selector.select():
                key.data()
            self.reap()

    def accept(self, listener: socket.socket) -> None:
        """Answer one request; a caller that breaks off harms only itself."""
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(REQUEST_TIMEOUT_S)
            try:
                with connection.makefile("rw") as stream:
                    if line := stream.readline():
                        stream.write(json.dumps(self.answer(json.loads(line))) + "\n")
            except (OSError, ValueError) as error:
                print(f"supervisor: a request failed: {error}", flush=True)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a request; what goes wrong is part of the answer."""
        try:
            if request["do"] == "start":
                return {"pid": self.start(request["name"], request["argv"], request["env"])}
            if request["do"] == "signal":
                os.killpg(self.programs[request["name"]].pid, request["signal"])
            return {"programs": {name: self.exits.get(child.pid) for name, child in self.programs.items()}}
        except (OSError, KeyError) as error:
            return {"error": repr(error)}

    def start(self, name: str, argv: list[str], env: dict[str, str]) -> int:
        """Start a program in a group of its own, with its output appended to its log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.exits.pop(child.pid, None)
        self.programs[name] = child
        return child.pid

    def reap(self) -> None:
        """Take note of the children that ended, and bury what was handed to process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.exits[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    Supervisor(Path(sys.argv[1])).serve()
